/* SPDX-License-Identifier: MIT */
/* Registers that were saved with a memory image, from a text file. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinyvmi/guest_vcpu.h>

#include "guest_mem.h"

static const char *const names[TV_REG_COUNT] = {
    [TV_REG_RIP] = "rip",
    [TV_REG_CPL] = "cpl",
    [TV_REG_CR0] = "cr0",
    [TV_REG_CR3] = "cr3",
    [TV_REG_CR4] = "cr4",
    [TV_REG_EFER] = "efer",
    [TV_REG_DR0] = "dr0",
    [TV_REG_DR1] = "dr1",
    [TV_REG_DR2] = "dr2",
    [TV_REG_DR3] = "dr3",
    [TV_REG_DR7] = "dr7",
    [TV_REG_IDT_BASE] = "idt.base",
    [TV_REG_IDT_LIMIT] = "idt.limit",
    [TV_REG_STAR] = "star",
    [TV_REG_LSTAR] = "lstar",
    [TV_REG_CSTAR] = "cstar",
    [TV_REG_SFMASK] = "sfmask",
    [TV_REG_SYSENTER_CS] = "sysenter.cs",
    [TV_REG_SYSENTER_EIP] = "sysenter.eip",
    [TV_REG_EVENT_CALLBACK] = "callback.event",
    [TV_REG_FAILSAFE_CALLBACK] = "callback.failsafe",
    [TV_REG_SYSCALL_CALLBACK] = "callback.syscall",
};

/* `name` is a register's, "pv" (then `value` is 1) or "trap:VECTOR:FLAGS".  False if it is none. */
static bool put(struct guest_vcpu *v, const char *name, uint64_t value)
{
    unsigned int vector, flags;

    if (strcmp(name, "pv") == 0) {
        v->pv = value == 1;
        return true;
    }
    if (sscanf(name, "trap:%3u:%3u", &vector, &flags) == 2 && vector < TV_TRAPS && flags < 8) {
        v->has_traps = true;
        v->traps[vector] = (struct tv_trap){ .address = value, .cs = 0x13, .flags = (uint8_t)flags };
        return true;
    }
    for (uint32_t i = 0; i < TV_REG_COUNT; i++) {
        if (strcmp(name, names[i]) == 0) {
            v->value[i] = value;
            v->known |= 1u << i;
            return true;
        }
    }
    return false;
}

int image_registers(struct guest_mem *gm, const char *path)
{
    FILE *f = fopen(path, "re");
    unsigned int number;
    char name[32];
    uint64_t value;
    int got, err = 0;

    if (!f)
        return -errno;
    while (!err && (got = fscanf(f, "%u %31s %" SCNx64, &number, name, &value)) == 3) {
        if (number >= TV_VCPUS_MAX) {
            err = -EINVAL;
        } else if (number >= gm->nvcpus) {
            struct guest_vcpu *grown = realloc(gm->vcpus, (number + 1) * sizeof(*grown));

            if (!grown) {
                err = -ENOMEM;
                break;
            }
            memset(grown + gm->nvcpus, 0, (number + 1 - gm->nvcpus) * sizeof(*grown));
            gm->vcpus = grown;
            gm->nvcpus = number + 1;
        }
        if (!err && !put(&gm->vcpus[number], name, value))
            err = -EINVAL;
    }
    if (!err && (got != EOF || ferror(f) || !gm->nvcpus))
        err = -EINVAL;
    fclose(f);
    return err;
}

int guest_vcpus(struct guest_mem *gm)
{
    return gm->nvcpus ? (int)gm->nvcpus : -TV_ENOENT;
}

int guest_vcpu_read(struct guest_mem *gm, uint32_t number, struct guest_vcpu *vcpu)
{
    if (number >= gm->nvcpus || !gm->vcpus[number].known)
        return -TV_ENOENT;
    *vcpu = gm->vcpus[number];
    return 0;
}
