/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_HYPERVISOR_H
#define MINIOS_HYPERVISOR_H

#include <mini-os/hypercall.h>
#include <mini-os/traps.h>
#include <mini-os/types.h>

/* Xen's own page; a copy is kept because the original lies in memory that is later reused. */
union start_info_union {
    start_info_t start_info;
    char padding[512];
};
extern union start_info_union start_info_union;
#define start_info (start_info_union.start_info)

extern shared_info_t *HYPERVISOR_shared_info;

/* Non-zero while event handlers run: they must not wait. */
extern int in_callback;

void force_evtchn_callback(void);
void do_hypervisor_callback(struct pt_regs *regs);
void mask_evtchn(uint32_t port);
void unmask_evtchn(uint32_t port);
void clear_evtchn(uint32_t port);

#endif
