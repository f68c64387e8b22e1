/* SPDX-License-Identifier: MIT */
/* What the programs that run as a process have in common: how they are told, how they end. */
#ifndef TINYVMI_HOST_ARGUMENTS_H
#define TINYVMI_HOST_ARGUMENTS_H

#include <tinyvmi/monitor.h>

/* A run of one scan by the built-in configuration, with `[NONCE [SCANS [PERIOD_MS]]]` from `argv` put in. */
struct tv_run run_of_arguments(int argc, char **argv);

/* The project's exit code for a run's verdict. */
int exit_code_of(enum tv_verdict verdict);

#endif
