/* SPDX-License-Identifier: MIT */
/*
 * tinyvmi-check [--live] [--map FILE] [--registers FILE] IMAGE [NONCE [SCANS [PERIOD_MS]]]:
 * the monitor's core over a memory image, raw unless the map says which frames
 * lie where, with the registers that were saved with it.
 * --live: it is shared with a guest that runs (QEMU's memory-backend-file).
 * Prints the record stream; exits by the project's codes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tinyvmi/config.h>
#include <tinyvmi/monitor.h>

#include "guest_mem.h"

static int fail(const char *what, const char *path)
{
    fprintf(stderr, "error: %s: %s: %s\n", path, what, strerror(errno));
    return 2;
}

int main(int argc, char **argv)
{
    struct tv_run run = { .nonce = "", .period_ms = tv_config.period_ms,
                          .heartbeat_ms = tv_config.heartbeat_ms, .scans = 1 };
    struct guest_mem gm = { .fd = -1 };
    const char *map = NULL, *registers = NULL;
    enum tv_verdict verdict;
    struct stat st;
    int err;

    if (argc > 1 && strcmp(argv[1], "--live") == 0) {
        gm.live = true;
        run.patience_ms = 60000;
        argc--;
        argv++;
    }
    while (argc > 2 && (strcmp(argv[1], "--map") == 0 || strcmp(argv[1], "--registers") == 0)) {
        *(argv[1][2] == 'm' ? &map : &registers) = argv[2];
        argc -= 2;
        argv += 2;
    }
    if (argc < 2 || argc > 5) {
        fprintf(stderr, "usage: tinyvmi-check [--live] [--map FILE] [--registers FILE] "
                        "IMAGE [NONCE [SCANS [PERIOD_MS]]]\n");
        return 2;
    }
    if (argc > 2)
        run.nonce = argv[2];
    if (argc > 3)
        run.scans = (uint32_t)strtoul(argv[3], NULL, 10);
    if (argc > 4)
        run.period_ms = (uint32_t)strtoul(argv[4], NULL, 10);
    gm.fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (gm.fd < 0)
        return fail("cannot be opened", argv[1]);
    if (fstat(gm.fd, &st))
        return fail("cannot be examined", argv[1]);
    err = map ? image_map(&gm, map, (uint64_t)st.st_size) : image_raw(&gm, (uint64_t)st.st_size);
    if (err) {
        errno = -err;
        return fail(map ? "its map cannot be used" : "cannot be used", argv[1]);
    }
    err = registers ? image_registers(&gm, registers) : 0;
    if (err) {
        errno = -err;
        return fail("registers cannot be read", registers);
    }

    verdict = tv_monitor(&gm, &run);
    free(gm.ranges);
    free(gm.vcpus);
    switch (verdict) {
    case TV_INTACT:
        return 0;
    case TV_UNVERIFIABLE:
        return 3;
    case TV_TAMPERED:
        return 5;
    case TV_ERROR:
        break;
    }
    return 4;
}
