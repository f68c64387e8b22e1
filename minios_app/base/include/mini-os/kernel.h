/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_KERNEL_H
#define MINIOS_KERNEL_H

#define MAX_CMDLINE_SIZE 1024
extern char cmdline[MAX_CMDLINE_SIZE];

/* Report where we are on the console and end the domain as crashed. */
void do_exit(void) __attribute__((noreturn));

/* End the domain orderly: a SHUTDOWN_ reason of Xen's public sched.h. */
void kernel_shutdown(unsigned int reason) __attribute__((noreturn));

#endif
