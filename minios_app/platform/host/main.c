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

#include "monitor/monitor.h"

#include "arguments.h"
#include "guest_mem.h"

static int fail(const char *what, const char *path)
{
    fprintf(stderr, "error: %s: %s: %s\n", path, what, strerror(errno));
    return 2;
}

int main(int argc, char **argv)
{
    static struct monitor monitor;
    struct guest_mem gm = { .fd = -1 };
    const char *map = NULL, *registers = NULL;
    enum tv_verdict verdict;
    struct tv_run run;
    struct stat st;
    int err;

    if (argc > 1 && strcmp(argv[1], "--live") == 0) {
        gm.live = true;
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
    run = run_of_arguments(argc - 2, argv + 2);
    run.privilege_timeout_ms = gm.live ? 60000 : 0;
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

    verdict = tv_monitor(&monitor, &gm, &run);
    free(gm.ranges);
    free(gm.vcpus);
    return exit_code_of(verdict);
}
