/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_KERNEL_H
#define MINIOS_KERNEL_H

#define MAX_CMDLINE_SIZE 1024
extern char cmdline[MAX_CMDLINE_SIZE];

/* Report where we are on the console and end the domain as crashed. */
void do_exit(void) __attribute__((noreturn));

/*
 * Before an orderly HYPERVISOR_shutdown(): waits (two seconds at most) until
 * the console's reader has everything, then holds events back for good.
 */
void stop_kernel(void);

#endif
