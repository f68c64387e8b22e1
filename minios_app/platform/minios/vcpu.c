/* SPDX-License-Identifier: MIT */
/*
 * Registers of the target's vCPUs.  Xen stops the target for as long as one
 * vCPU is read.  PVH and HVM guests have them in their HVM context, PV guests in
 * the vCPU context, where traps and callbacks are what they registered.
 */
#include <mini-os/os.h>
#include <mini-os/hypervisor.h>

#include <tinyvmi/guest_vcpu.h>

#include "../xen/domctl.h"
#include "guest_mem.h"

int guest_vcpus(struct guest_mem *gm)
{
    struct domctl op = { 0 };
    long rc = gm->no_vcpu ? -TV_EACCES : domctl(&op, DOMCTL_GETDOMAININFO, gm->target);

    gm->no_vcpu = rc == -TV_EACCES; /* each refusal is a line in Xen's log: not asked again */
    if (rc)
        return (int)rc;
    if (op.u.info.domain != gm->target)
        return -TV_ESRCH;
    gm->kind = op.u.info.flags & DOMINF_HVM_GUEST ? KIND_HVM : KIND_PV;
    return op.u.info.max_vcpu_id < TV_VCPUS_MAX ? (int)op.u.info.max_vcpu_id + 1 : TV_VCPUS_MAX;
}

static void put(struct guest_vcpu *v, enum tv_register reg, uint64_t value)
{
    v->value[reg] = value;
    v->known |= 1u << reg;
}

/*
 * struct hvm_hw_cpu (public/arch-x86/hvm/save.h), by offset: trees of Mini-OS do
 * not all bring that header, and the structure only grows at its end.
 */
#define SAVE_CPU   2 /* the record's type */
#define SAVE_SIZE  4096
#define SS_ARBYTES 0x38c

static const struct {
    uint8_t reg;
    uint8_t size;
    uint16_t at;
} places[] = {
    { TV_REG_RIP, 8, 0x280 },          { TV_REG_CR0, 8, 0x290 },      { TV_REG_CR3, 8, 0x2a0 },
    { TV_REG_CR4, 8, 0x2a8 },          { TV_REG_DR0, 8, 0x2b0 },      { TV_REG_DR1, 8, 0x2b8 },
    { TV_REG_DR2, 8, 0x2c0 },          { TV_REG_DR3, 8, 0x2c8 },      { TV_REG_DR7, 8, 0x2d8 },
    { TV_REG_IDT_LIMIT, 4, 0x320 },    { TV_REG_IDT_BASE, 8, 0x368 }, { TV_REG_SYSENTER_CS, 8, 0x398 },
    { TV_REG_SYSENTER_EIP, 8, 0x3a8 }, { TV_REG_LSTAR, 8, 0x3c0 },    { TV_REG_STAR, 8, 0x3c8 },
    { TV_REG_CSTAR, 8, 0x3d0 },        { TV_REG_SFMASK, 8, 0x3d8 },   { TV_REG_EFER, 8, 0x3e0 },
};

static int read_hvm(struct guest_mem *gm, uint32_t number, struct guest_vcpu *v)
{
    static uint8_t c[SAVE_SIZE] __attribute__((aligned(8)));
    struct domctl op = { .u.hvm = { .type = SAVE_CPU, .instance = number, .size = sizeof(c) } };
    uint32_t arbytes;
    long rc;

    op.u.hvm.buffer = (uint64_t)(unsigned long)c;
    rc = domctl(&op, DOMCTL_GETHVMCONTEXT_PARTIAL, gm->target);
    if (rc)
        return (int)rc;
    for (size_t i = 0; i < TV_ARRAY_SIZE(places); i++) {
        uint64_t value = 0;

        memcpy(&value, c + places[i].at, places[i].size);
        put(v, places[i].reg, value);
    }
    memcpy(&arbytes, c + SS_ARBYTES, sizeof(arbytes));
    put(v, TV_REG_CPL, arbytes >> 5 & 3); /* DPL of SS, as the SDM defines the CPL */
    return 0;
}

static int read_pv(struct guest_mem *gm, uint32_t number, struct guest_vcpu *v)
{
    static struct vcpu_guest_context c __attribute__((aligned(8)));
    struct domctl op = { .u.vcpu = { .vcpu = number } };
    long rc;

    op.u.vcpu.buffer = (uint64_t)(unsigned long)&c;
    rc = domctl(&op, DOMCTL_GETVCPUCONTEXT, gm->target);
    if (rc == -61 /* ENODATA: never brought up */)
        return -TV_ENOENT;
    if (rc)
        return (int)rc;
    if (!(c.flags & VGCF_online))
        return -TV_ENOENT;
    v->pv = true;
    put(v, TV_REG_RIP, c.user_regs.rip);
    put(v, TV_REG_CPL, c.flags & VGCF_in_kernel ? 0 : 3);
    put(v, TV_REG_CR0, c.ctrlreg[0]);
    put(v, TV_REG_CR3, c.ctrlreg[3]); /* xen_pfn_to_cr3() of a 64-bit guest leaves the frame where it is */
    put(v, TV_REG_CR4, c.ctrlreg[4]);
    put(v, TV_REG_DR0, c.debugreg[0]);
    put(v, TV_REG_DR1, c.debugreg[1]);
    put(v, TV_REG_DR2, c.debugreg[2]);
    put(v, TV_REG_DR3, c.debugreg[3]);
    put(v, TV_REG_DR7, c.debugreg[7]);
    put(v, TV_REG_EVENT_CALLBACK, c.event_callback_eip);
    put(v, TV_REG_FAILSAFE_CALLBACK, c.failsafe_callback_eip);
    put(v, TV_REG_SYSCALL_CALLBACK, c.syscall_callback_eip);
    v->has_traps = true;
    for (uint32_t i = 0; i < TV_TRAPS; i++)
        v->traps[i] = (struct tv_trap){
            .address = c.trap_ctxt[i].address,
            .cs = c.trap_ctxt[i].cs,
            .flags = c.trap_ctxt[i].flags,
        };
    return 0;
}

int guest_vcpu_read(struct guest_mem *gm, uint32_t number, struct guest_vcpu *v)
{
    memset(v, 0, sizeof(*v));
    return gm->kind == KIND_HVM ? read_hvm(gm, number, v) : read_pv(gm, number, v);
}
