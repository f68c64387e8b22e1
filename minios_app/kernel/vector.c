/* SPDX-License-Identifier: MIT */
/*
 * What a PV guest must do before it may use vector registers (Intel SDM volume 1, 13.2 and 14.3; Xen's
 * arch/x86/pv/emul-priv-op.c, xstate.c, i387.c).  SSE is there from the start.  For AVX the guest sets its
 * own CR4.OSXSAVE and XCR0, which Xen emulates; from then on Xen keeps that state, too, with the vcpu's.
 */
#include <mini-os/os.h>
#include <mini-os/vector.h>

#include "internal.h"

#define CPUID1_ECX_SSE41   (1u << 19)
#define CPUID1_ECX_XSAVE   (1u << 26)
#define CPUID1_ECX_OSXSAVE (1u << 27)
#define CPUID1_ECX_AVX     (1u << 28)
#define CPUID7_EBX_AVX2    (1u << 5)
#define CPUID7_EBX_SHA     (1u << 29)
#define CPUID_XSTATE       0xd
#define CR4_OSXSAVE        (1ul << 18)
#define XCR0_AVX_STATE     7u /* x87, SSE, upper halves of AVX */

static uint32_t xcr0_read(void)
{
    uint32_t low, high;

    __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool avx_enable(uint32_t max_leaf)
{
    uint32_t regs[4];
    unsigned long cr4;

    xen_cpuid(1, regs);
    if (!(regs[2] & CPUID1_ECX_XSAVE) || !(regs[2] & CPUID1_ECX_AVX) || max_leaf < CPUID_XSTATE)
        return false;
    xen_cpuid(CPUID_XSTATE, regs);
    if ((regs[0] & XCR0_AVX_STATE) != XCR0_AVX_STATE) /* what XCR0 may hold: all else would be a fault */
        return false;
    __asm__ __volatile__("mov %%cr4, %0" : "=r"(cr4));
    __asm__ __volatile__("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE) : "memory");
    __asm__ __volatile__("mov %%cr4, %0" : "=r"(cr4));
    xen_cpuid(1, regs); /* CPUID alone is not enough: Xen shows OSXSAVE as its own CR4 has it */
    if (!(cr4 & CR4_OSXSAVE) || !(regs[2] & CPUID1_ECX_OSXSAVE))
        return false;
    __asm__ __volatile__("xsetbv" : : "a"(xcr0_read() | XCR0_AVX_STATE), "d"(0), "c"(0) : "memory");
    return (xcr0_read() & XCR0_AVX_STATE) == XCR0_AVX_STATE;
}

unsigned int vector_enable(void)
{
    uint32_t regs[4], max_leaf, features = 0;
    unsigned int found = 0;

    HYPERVISOR_fpu_taskswitch(0); /* no trap at the first use; what Xen itself puts off, it does unseen */
    xen_cpuid(0, regs);
    max_leaf = regs[0];
    if (max_leaf >= 7) {
        xen_cpuid(7, regs);
        features = regs[1];
    }
    xen_cpuid(1, regs);
    if (regs[2] & CPUID1_ECX_SSE41) {
        found |= VECTOR_SSE41;
        if (features & CPUID7_EBX_SHA)
            found |= VECTOR_SHA;
        if ((features & CPUID7_EBX_AVX2) && avx_enable(max_leaf))
            found |= VECTOR_AVX2;
    }
    return found;
}
