/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "mapping_cache.h"

/* Linux allows 65,530 mappings a process (vm.max_map_count). */
#define SLOTS 16384u /* a power of two */
#define MOST  (SLOTS / 2)

static struct {
    uint64_t gfn;
    void *at; /* NULL: free */
} slots[SLOTS];
static uint32_t used;

static void drop_all(struct guest_mem *gm)
{
    for (uint32_t i = 0; i < SLOTS; i++)
        if (slots[i].at)
            xenforeignmemory_unmap(gm->memory, slots[i].at, 1);
    memset(slots, 0, sizeof(slots));
    used = 0;
}

/* The slot of `gfn`, or the free one where it belongs. */
static uint32_t slot_of(uint64_t gfn)
{
    uint32_t i = (uint32_t)(gfn * UINT64_C(0x9e3779b97f4a7c15) >> 40) & (SLOTS - 1);

    while (slots[i].at && slots[i].gfn != gfn)
        i = (i + 1) & (SLOTS - 1);
    return i;
}

const uint8_t *cached_frame(struct guest_mem *gm, uint64_t gfn, int *err)
{
    uint32_t i = slot_of(gfn);
    void *at;

    if (slots[i].at)
        return slots[i].at;
    if (used == MOST) {
        drop_all(gm);
        i = slot_of(gfn);
    }
    at = xenforeignmemory_map(gm->memory, gm->target, PROT_READ, 1, &gfn, err);
    if (!at || *err) {
        if (!at)
            *err = -errno;
        else
            xenforeignmemory_unmap(gm->memory, at, 1);
        return NULL;
    }
    slots[i].gfn = gfn;
    slots[i].at = at;
    used++;
    return at;
}
