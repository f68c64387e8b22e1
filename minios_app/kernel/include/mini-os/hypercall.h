/* SPDX-License-Identifier: MIT */
/*
 * Calls through the hypercall page, which Xen fills in at load time.
 * Arguments: rdi, rsi, rdx, r10, r8; result in rax (Xen public arch-x86/xen-x86_64.h).
 */
#ifndef MINIOS_HYPERCALL_H
#define MINIOS_HYPERCALL_H

#include <mini-os/types.h>
#include <xen/xen.h>
#include <xen/sched.h>

extern char hypercall_page[];

static inline long hypercall5(unsigned int nr, unsigned long a1, unsigned long a2, unsigned long a3,
                              unsigned long a4, unsigned long a5)
{
    register unsigned long r10 __asm__("r10") = a4;
    register unsigned long r8 __asm__("r8") = a5;
    long ret;

    __asm__ __volatile__("call *%[entry]"
                         : "=a"(ret), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8)
                         : [entry] "0"(hypercall_page + nr * 32)
                         : "memory", "rcx", "r11");
    return ret;
}

static inline long hypercall3(unsigned int nr, unsigned long a1, unsigned long a2, unsigned long a3)
{
    long ret;

    __asm__ __volatile__("call *%[entry]"
                         : "=a"(ret), "+D"(a1), "+S"(a2), "+d"(a3)
                         : [entry] "0"(hypercall_page + nr * 32)
                         : "memory", "rcx", "r11", "r10", "r8");
    return ret;
}

static inline int HYPERVISOR_set_trap_table(trap_info_t *table)
{
    return (int)hypercall3(__HYPERVISOR_set_trap_table, (unsigned long)table, 0, 0);
}

static inline int HYPERVISOR_fpu_taskswitch(int set)
{
    return (int)hypercall3(__HYPERVISOR_fpu_taskswitch, (unsigned long)set, 0, 0);
}

static inline int HYPERVISOR_mmu_update(mmu_update_t *req, int count, int *success_count, domid_t domid)
{
    return (int)hypercall5(__HYPERVISOR_mmu_update, (unsigned long)req, (unsigned long)count,
                           (unsigned long)success_count, domid, 0);
}

static inline int HYPERVISOR_mmuext_op(struct mmuext_op *op, int count, int *success_count, domid_t domid)
{
    return (int)hypercall5(__HYPERVISOR_mmuext_op, (unsigned long)op, (unsigned long)count,
                           (unsigned long)success_count, domid, 0);
}

static inline int HYPERVISOR_update_va_mapping(unsigned long va, pte_t new_val, unsigned long flags)
{
    return (int)hypercall3(__HYPERVISOR_update_va_mapping, va, new_val.pte, flags);
}

static inline int HYPERVISOR_set_callbacks(unsigned long event_address, unsigned long failsafe_address,
                                           unsigned long syscall_address)
{
    return (int)hypercall3(__HYPERVISOR_set_callbacks, event_address, failsafe_address, syscall_address);
}

static inline int HYPERVISOR_sched_op(int cmd, void *arg)
{
    return (int)hypercall3(__HYPERVISOR_sched_op, (unsigned long)cmd, (unsigned long)arg, 0);
}

static inline int HYPERVISOR_shutdown(unsigned int reason)
{
    struct sched_shutdown shutdown = { .reason = reason };

    return HYPERVISOR_sched_op(SCHEDOP_shutdown, &shutdown);
}

static inline long HYPERVISOR_set_timer_op(uint64_t timeout)
{
    return hypercall3(__HYPERVISOR_set_timer_op, timeout, 0, 0);
}

static inline int HYPERVISOR_memory_op(unsigned int cmd, void *arg)
{
    return (int)hypercall3(__HYPERVISOR_memory_op, cmd, (unsigned long)arg, 0);
}

static inline int HYPERVISOR_multicall(void *call_list, int nr_calls)
{
    return (int)hypercall3(__HYPERVISOR_multicall, (unsigned long)call_list, (unsigned long)nr_calls, 0);
}

static inline int HYPERVISOR_event_channel_op(int cmd, void *op)
{
    return (int)hypercall3(__HYPERVISOR_event_channel_op, (unsigned long)cmd, (unsigned long)op, 0);
}

static inline int HYPERVISOR_xen_version(int cmd, void *arg)
{
    return (int)hypercall3(__HYPERVISOR_xen_version, (unsigned long)cmd, (unsigned long)arg, 0);
}

static inline int HYPERVISOR_console_io(int cmd, int count, char *str)
{
    return (int)hypercall3(__HYPERVISOR_console_io, (unsigned long)cmd, (unsigned long)count,
                           (unsigned long)str);
}

static inline int HYPERVISOR_vcpu_op(int cmd, int vcpuid, void *extra_args)
{
    return (int)hypercall3(__HYPERVISOR_vcpu_op, (unsigned long)cmd, (unsigned long)vcpuid,
                           (unsigned long)extra_args);
}

static inline int HYPERVISOR_vm_assist(unsigned int cmd, unsigned int type)
{
    return (int)hypercall3(__HYPERVISOR_vm_assist, cmd, type, 0);
}

/* `op` is the address of a struct xen_domctl, as in Mini-OS. */
static inline int HYPERVISOR_domctl(unsigned long op)
{
    return (int)hypercall3(__HYPERVISOR_domctl, op, 0, 0);
}

/* `bufs`: array of struct xen_dm_op_buf (Xen public hvm/dm_op.h). */
static inline int HYPERVISOR_dm_op(domid_t domid, unsigned int nr_bufs, void *bufs)
{
    return (int)hypercall3(__HYPERVISOR_dm_op, domid, nr_bufs, (unsigned long)bufs);
}

#endif
