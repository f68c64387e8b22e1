/* SPDX-License-Identifier: MIT */
/* The guest-memory interface on Mini-OS: foreign frames in a window of our own page tables. */
#ifndef TINYVMI_MINIOS_GUEST_MEM_H
#define TINYVMI_MINIOS_GUEST_MEM_H

#include <mini-os/os.h>

#include <tinyvmi/guest_mem.h>

enum guest_kind { KIND_UNKNOWN, KIND_HVM /* or PVH */, KIND_PV };

struct guest_mem {
    enum guest_kind kind;
    domid_t target;
    bool was_seen; /* the target answered once: an error now means that it went */
    bool blind;    /* Xen's policy does not let us ask how large the target is */
    bool no_info;  /* nor in which state it is */
    bool no_vcpu;  /* nor its registers */
    bool gone;     /* so its mappings showed */
    uint32_t shown, refused; /* pages, since guest_mem_alive() last asked */
    uint64_t searched, searched_ns; /* frames that a search for memory found, and when */
    uint64_t home;           /* a frame that was shown, or 0 */
    struct guest_view probe; /* one page, for questions that only a mapping answers */
};

/* 0 if `gfn` can be mapped (it is then in gm->probe), else why not: -TV_EINVAL if there is nothing. */
int guest_mem_try(struct guest_mem *gm, uint64_t gfn);

/* Whether `err` of a mapping is about the whole target: a policy's refusal, or that it is gone. */
bool guest_mem_is_refusal(int err);

bool guest_mem_is_pv(struct guest_mem *gm);

#endif
