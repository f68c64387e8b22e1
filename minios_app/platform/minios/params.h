/* SPDX-License-Identifier: MIT */
/* What launch writes to xenstore for this monitor (docs/reference/launch.md). */
#ifndef TINYVMI_MINIOS_PARAMS_H
#define TINYVMI_MINIOS_PARAMS_H

#include <tinyvmi/monitor.h>

/* Wait for data/tinyvmi/target (or take the command line's), then read the other nodes; absent ones have built-in values. */
void params_wait(struct tv_run *run);

/* data/tinyvmi/`name`, decimal; what is absent or not within [min, max] is `fallback`. */
uint32_t params_number(const char *name, uint32_t min, uint32_t max, uint32_t fallback);

#endif
