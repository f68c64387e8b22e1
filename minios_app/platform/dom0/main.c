/* SPDX-License-Identifier: MIT */
/*
 * tinyvmi-dom0 [--batched | --revalidate | --single] [--costs] DOMID [NONCE [SCANS [PERIOD_MS]]]:
 * the monitor's core as a process of dom0, with all of dom0's power: to compare
 * with, and where a domain more is not wanted.
 * Prints the record stream; exits by the project's codes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/monitor.h"

#include "../host/arguments.h"
#include "guest_mem.h"

#define PRIVILEGE_TIMEOUT_MS 60000

static const struct {
    const char *option;
    enum mapping mapping;
} ways[] = { { "--batched", MAP_BATCHED }, { "--revalidate", MAP_REVALIDATE }, { "--single", MAP_SINGLE } };

static bool take(struct guest_mem *gm, bool *costs, const char *option)
{
    for (size_t i = 0; i < TV_ARRAY_SIZE(ways); i++) {
        if (strcmp(option, ways[i].option) == 0) {
            gm->mapping = ways[i].mapping;
            return true;
        }
    }
    if (strcmp(option, "--costs") == 0)
        return *costs = true;
    return false;
}

int main(int argc, char **argv)
{
    struct guest_mem gm = { .mapping = MAP_BATCHED };
    static struct monitor monitor;
    unsigned long target = 0;
    bool costs = false;
    const char *unfit;
    enum tv_verdict verdict;
    struct tv_run run;
    char *end;
    int err;

    while (argc > 1 && take(&gm, &costs, argv[1])) {
        argc--;
        argv++;
    }
    if (argc > 1)
        target = strtoul(argv[1], &end, 10);
    if (argc < 2 || argc > 5 || *end || target < 1 || target > 0x7fef) {
        fprintf(stderr, "usage: tinyvmi-dom0 [--batched | --revalidate | --single] [--costs] "
                        "DOMID [NONCE [SCANS [PERIOD_MS]]]\n");
        return 2;
    }
    run = run_of_arguments(argc - 2, argv + 2);
    run.privilege_timeout_ms = PRIVILEGE_TIMEOUT_MS;
    run.target = (uint32_t)target;
    run.costs = costs;
    gm.target = (uint16_t)target;
    err = guest_mem_open(&gm);
    if (err) {
        fprintf(stderr, "error: Xen cannot be asked: %s (is this dom0, and root?)\n", strerror(-err));
        return 4;
    }
    unfit = guest_mem_unfit(&gm);
    if (unfit) {
        fprintf(stderr, "error: domain %lu: %s\n", target, unfit);
        return 4;
    }
    verdict = tv_monitor(&monitor, &gm, &run);
    guest_mem_close(&gm);
    return exit_code_of(verdict);
}
