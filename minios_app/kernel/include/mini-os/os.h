/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_OS_H
#define MINIOS_OS_H

#include <mini-os/compiler.h>
#include <mini-os/hypervisor.h>
#include <mini-os/kernel.h>
#include <mini-os/types.h>

#define BUG do_exit

/*
 * A PV guest has no interrupt flag of its own: events are held back by the
 * mask in its vcpu_info (one vcpu here), and whoever clears the mask looks
 * for what arrived meanwhile.
 */
static inline vcpu_info_t *this_vcpu_info(void)
{
    return &HYPERVISOR_shared_info->vcpu_info[0];
}

static inline int irqs_disabled(void)
{
    return READ_ONCE(this_vcpu_info()->evtchn_upcall_mask);
}

static inline void local_irq_disable(void)
{
    WRITE_ONCE(this_vcpu_info()->evtchn_upcall_mask, 1);
    barrier();
}

static inline void local_irq_enable(void)
{
    barrier();
    WRITE_ONCE(this_vcpu_info()->evtchn_upcall_mask, 0);
    barrier();
    if (unlikely(READ_ONCE(this_vcpu_info()->evtchn_upcall_pending)))
        force_evtchn_callback();
}

#define local_irq_save(flags)                     \
    do {                                          \
        (flags) = (unsigned long)irqs_disabled(); \
        local_irq_disable();                      \
    } while (0)

#define local_irq_restore(flags) \
    do {                         \
        if (!(flags))            \
            local_irq_enable();  \
    } while (0)

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    __asm__ __volatile__("rdtsc" : "=a"(lo), "=d"(hi));
    return ((uint64_t)hi << 32) | lo;
}

/*
 * CPUID as Xen shows it to this domain: the plain instruction may show the
 * machine's own answer to a PV guest (Xen public arch-x86/xen.h, forced emulation).
 */
static inline void xen_cpuid(uint32_t leaf, uint32_t regs[4])
{
    __asm__ __volatile__(XEN_CPUID
                         : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
                         : "0"(leaf), "2"(0));
}

#endif
