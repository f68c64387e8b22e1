/* SPDX-License-Identifier: MIT */
/* What the programs that run as a process have in common: their arguments, their console, their exit codes. */
#ifndef TINYVMI_HOST_ARGUMENTS_H
#define TINYVMI_HOST_ARGUMENTS_H

#include <tinyvmi/monitor.h>

/* A run of one scan by the built-in configuration, whose records go to standard output, with `[NONCE [SCANS [PERIOD_MS]]]` from `argv` put in. */
struct tv_run run_of_arguments(int argc, char **argv);

/* The sink of their records (struct tv_sink): ends the process if they cannot be written. */
void write_to_stdout(void *context, const char *s, size_t n);

/* The project's exit code for a run's verdict. */
int exit_code_of(enum tv_verdict verdict);

#endif
