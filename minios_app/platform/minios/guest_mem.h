/* SPDX-License-Identifier: MIT */
/* The guest-memory interface on Mini-OS: foreign frames in a window of our own page tables. */
#ifndef TINYVMI_MINIOS_GUEST_MEM_H
#define TINYVMI_MINIOS_GUEST_MEM_H

#include <mini-os/os.h>

#include <tinyvmi/guest_mem.h>

struct guest_mem {
    domid_t target;
    bool was_seen; /* the target answered once: an error now means that it went */
};

#endif
