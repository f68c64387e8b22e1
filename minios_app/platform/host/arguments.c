/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include <tinyvmi/config.h>

#include "arguments.h"

struct tv_run run_of_arguments(int argc, char **argv)
{
    struct tv_run run = { .nonce = "",
                          .period_ms = tv_config.period_ms,
                          .heartbeat_ms = tv_config.heartbeat_ms,
                          .scans = 1,
                          .sink = { .write = write_to_stdout } };

    if (argc > 0)
        run.nonce = argv[0];
    if (argc > 1)
        run.scans = (uint32_t)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        run.period_ms = (uint32_t)strtoul(argv[2], NULL, 10);
    return run;
}

int exit_code_of(enum tv_verdict verdict)
{
    switch (verdict) {
    case TV_INTACT: return 0;
    case TV_UNVERIFIABLE: return 3;
    case TV_TAMPERED: return 5;
    case TV_ERROR: break;
    }
    return 4;
}
