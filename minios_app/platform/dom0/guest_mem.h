/* SPDX-License-Identifier: MIT */
/*
 * The guest-memory interface in dom0, through Xen's stable libraries
 * (xenforeignmemory.h, xencall.h).  Three ways to map, for what is gained by
 * which can be measured.
 */
#ifndef TINYVMI_DOM0_GUEST_MEM_H
#define TINYVMI_DOM0_GUEST_MEM_H

#include <xencall.h>
#include <xenforeignmemory.h>

#include <tinyvmi/guest_mem.h>

enum mapping {
    MAP_BATCHED, /* a view in one call, single pages (mapping_cache.h) each once; kept, and mapped again only where a gfn
                     * changes: the least that dom0 can do */
    MAP_REVALIDATE, /* a view in one call at each use: sees a frame that the guest has exchanged, as the monitor does */
    MAP_SINGLE, /* a call a page at each use, unmapped before the next: what a tool does that reads page by page */
};

struct guest_mem {
    uint16_t target;
    enum mapping mapping;
    xenforeignmemory_handle *memory;
    bool was_seen; /* the target answered once: an error now means that it went */
};

/* Open Xen's devices for `gm`.  0 or -errno. */
int guest_mem_open(struct guest_mem *gm);

void guest_mem_close(struct guest_mem *gm);

/* NULL if the target can be checked from here; else why not. */
const char *guest_mem_unfit(struct guest_mem *gm);

#endif
