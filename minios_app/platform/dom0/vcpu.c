/* SPDX-License-Identifier: MIT */
/* Registers are not read from dom0 yet: the check of that name is unverifiable there. */
#include <tinyvmi/guest_vcpu.h>

int guest_vcpus(struct guest_mem *gm)
{
    (void)gm;
    return -TV_EOPNOTSUPP;
}

int guest_vcpu_read(struct guest_mem *gm, uint32_t number, struct guest_vcpu *vcpu)
{
    (void)gm;
    (void)number;
    (void)vcpu;
    return -TV_EOPNOTSUPP;
}
