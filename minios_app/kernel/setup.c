/* SPDX-License-Identifier: MIT */
/* From Xen's first instruction to app_main. */
#include <mini-os/events.h>
#include <mini-os/lib.h>
#include <mini-os/mm.h>
#include <mini-os/sched.h>
#include <mini-os/time.h>
#include <mini-os/xenbus.h>

#include "internal.h"

union start_info_union start_info_union;
char cmdline[MAX_CMDLINE_SIZE];
shared_info_t *HYPERVISOR_shared_info = (shared_info_t *)shared_info_page;

unsigned long page_nx;
uintptr_t __stack_chk_guard;

#define CPUID1_ECX_RDRAND (1u << 30)
#define CPUID8_EDX_NX     (1u << 20)

static uint64_t mix(uint64_t state, uint64_t value)
{
    /* The finishing steps of splitmix64: every input bit reaches every output bit. */
    state = (state ^ value) + 0x9e3779b97f4a7c15ULL;
    state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9ULL;
    state = (state ^ (state >> 27)) * 0x94d049bb133111ebULL;
    return state ^ (state >> 31);
}

/*
 * The canary differs from boot to boot, but where the processor has no RDRAND
 * it comes from clocks and frame numbers alone: enough against a stray write,
 * not against somebody who can watch this domain start.
 */
static __attribute__((no_stack_protector)) void canary_init(uint32_t cpuid1_ecx)
{
    const vcpu_time_info_t *vcpu_time = &HYPERVISOR_shared_info->vcpu_info[0].time;
    uint64_t seed = rdtsc();
    unsigned long hw = 0;

    seed = mix(seed, vcpu_time->tsc_timestamp);
    seed = mix(seed, vcpu_time->system_time);
    seed = mix(seed, start_info.shared_info);
    seed = mix(seed, ((const unsigned long *)start_info.mfn_list)[1]);
    if (cpuid1_ecx & CPUID1_ECX_RDRAND) {
        __asm__ __volatile__("rdrand %0" : "=r"(hw) : : "cc");
        seed = mix(seed, hw);
    }
    seed = mix(seed, rdtsc());
    __stack_chk_guard = seed & ~0xffUL; /* a zero byte first stops string overruns */
}

void __stack_chk_fail(void) __attribute__((noreturn));
void __stack_chk_fail(void)
{
    printk("\nstack smashing detected: the stack protector's canary was overwritten\n");
    do_exit();
}

static void features_init(uint32_t *cpuid1_ecx)
{
    uint32_t regs[4];

    xen_cpuid(1, regs);
    *cpuid1_ecx = regs[2];
    xen_cpuid(0x80000000, regs);
    if (regs[0] >= 0x80000001) {
        xen_cpuid(0x80000001, regs);
        if (regs[3] & CPUID8_EDX_NX)
            page_nx = _PAGE_NX;
    }
}

void start_kernel(start_info_t *si) __attribute__((noreturn, no_stack_protector));
void start_kernel(start_info_t *si)
{
    uint32_t cpuid1_ecx;

    memcpy(&start_info, si, sizeof(start_info));
    phys_to_machine_mapping = (unsigned long *)start_info.mfn_list;
    pt_base = (pgentry_t *)start_info.pt_base;
    trap_init();
    features_init(&cpuid1_ecx);
    if (HYPERVISOR_update_va_mapping((unsigned long)shared_info_page, __pte(start_info.shared_info | L1_PROT),
                                     UVMF_INVLPG))
        HYPERVISOR_shutdown(SHUTDOWN_crash);
    canary_init(cpuid1_ecx);
    strncpy(cmdline, (const char *)start_info.cmd_line, sizeof(cmdline) - 1);

    init_events();
    init_console();
    init_mm();
    init_time();
    init_sched();
    local_irq_enable();
    init_xenbus();

    if (app_main)
        app_main(&start_info);
    else
        printk("no app_main in this image\n");
    run_idle_thread();
}
