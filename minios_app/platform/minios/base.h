/* SPDX-License-Identifier: MIT */
/*
 * What the two bases do differently: base_built_in.c is linked with minios_app/kernel/,
 * base_tree.c with a tree of the Xen Project's Mini-OS (docs/guide/minios-tree.md).
 */
#ifndef TINYVMI_MINIOS_BASE_H
#define TINYVMI_MINIOS_BASE_H

#include <tinyvmi/types.h>

/* Address space for `npages` pages that nothing else will use, with nothing mapped; 0 if there is none. */
unsigned long base_reserve(uint32_t npages);

/* Give it back.  The pages show nothing any more. */
void base_release(unsigned long va, uint32_t npages);

/* Wait about a millisecond for room in the console, without letting anybody else write to it. */
void base_console_wait(void);

/* The sink of records (struct tv_sink): the console. */
void base_console_write(void *context, const char *s, size_t n);

/* Of tv_vector_units(): what of them this base leaves alone, and what Xen lets this domain use. */
uint32_t base_vector_units(void);

/* Before the first record. */
void base_start(void);

/* Wait until the console's reader has everything (two seconds at most), then hold events back for good. */
void base_stop(void);

/* main.c: starts the monitor's thread.  Each base's app_main() calls it. */
void monitor_start(void);

#endif
