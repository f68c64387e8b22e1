/* SPDX-License-Identifier: MIT */
/* The target's running kernel: found by build-id, read through its own page tables. */
#ifndef TINYVMI_KERNEL_H
#define TINYVMI_KERNEL_H

#include <tinyvmi/digest.h>
#include <tinyvmi/guest_mem.h>
#include <tinyvmi/profile.h>

#define TV_PT_SLOTS 64 /* pages kept mapped for walks; also the size of a probing batch */

/* A kernel's time, as its last tick left it in memory: what tells a kernel that runs from what one left behind. */
struct tv_clock {
    uint64_t source; /* the clocksource; 0: no clock yet, or its place is not known */
    uint64_t cycle;  /* the counter */
    uint64_t real;   /* wall clock, ns */
};

/* A place in memory that holds a known kernel whose own page tables map it there. */
struct tv_candidate {
    const struct tv_kernel_profile *profile;
    uint32_t profile_index;
    uint32_t levels;
    uint64_t text_pa, delta, root_pa;
    struct tv_clock clock; /* when it was first seen */
    bool moved;            /* its clock has gone on since */
};

#define TV_CANDIDATES 8 /* kernels and what earlier ones left, in one memory */

/* A search of the whole memory, in slices. */
struct tv_search {
    uint64_t next;       /* candidate frame to probe, in steps of 2 MiB */
    uint64_t started_ns; /* 0: the next slice begins a new pass */
    uint64_t worked_ns;  /* in this pass */
    uint64_t passed_ns, passed_cpu_ns; /* when the pass had seen all memory */
    bool passed;
    uint32_t count;
    struct tv_candidate found[TV_CANDIDATES];
};

#define TV_BANNER_MAX 256

/* A search for the banner of whatever Linux there is, in slices. */
struct tv_banner {
    uint64_t next; /* gfn */
    bool passed;   /* all memory was seen */
    char text[TV_BANNER_MAX]; /* "" until one is found; hostile, without control characters */
};

#define TV_DEAD 4 /* kernels that have stopped, kept apart while their clocks stand still */

struct tv_dead {
    uint32_t profile_index;
    uint64_t text_pa, root_pa;
    bool pv;
    int64_t cpu_ns; /* processor time of the target when it was last looked at; negative: not known */
    struct tv_clock clock;
};

struct tv_kernel {
    struct guest_mem *gm;
    const struct tv_digest *digest;
    const struct tv_kernel_profile *profile;
    uint32_t profile_index;
    uint64_t text_pa; /* guest-physical address of _text */
    bool pv;          /* the root, page tables and what they lead to are machine addresses (guest_pv.h) */
    uint64_t delta;   /* running minus link address, modulo 2^64 */
    uint64_t root_pa; /* init_top_pgt */
    uint32_t levels;  /* 4 or 5 */
    bool ran; /* the target has been seen unpaused */
    bool was_running; /* booted once: system_state cannot talk us out of it */
    bool stopped; /* its clock stands, and nothing else runs: tv_kernel_exhume() */
    uint64_t resourced_ns; /* when its clocksource changed last; 0: not since it was found */
    struct tv_clock clock; /* when it last moved, and when that was seen */
    uint64_t moved_ns, moved_cpu_ns;
    int64_t noted_cpu_ns;   /* the target's processor time when the clock was read last; 0 or less: not known */
    int64_t ticking_cpu_ns; /* … and when it was read last before it was seen to have moved */
    struct tv_search search;
    struct tv_banner banner;
    struct tv_dead dead[TV_DEAD];
    uint32_t deaths;
    struct guest_view pt; /* page tables and single pages, each in the slot of its gfn */
    struct {
        uint64_t root_pa, va, size, pa; /* the leaf that tv_read_va() walked to last; size 0: none */
    } leaf;
    /* Set by the check that verifies modules: is `va` the entry of a function in one that is loaded? */
    bool (*module_entry)(struct tv_kernel *k, uint64_t va);
};

/* Leaf of a page-table walk. */
struct tv_translation {
    uint64_t pa;
    uint64_t entry_pa; /* of the entry that maps it */
    uint64_t size; /* of the page: 4 KiB, 2 MiB or 1 GiB */
    bool writable; /* at every level */
    bool executable;
};

/* Buffers for walks and views.  0 or -TV_ENOMEM. */
int tv_kernel_init(struct tv_kernel *k, struct guest_mem *gm);
void tv_kernel_fini(struct tv_kernel *k);

/*
 * Look for the running kernel among those that the image's profiles know: each
 * 2 MiB-aligned frame (CONFIG_PHYSICAL_ALIGN) of all memory is probed for their
 * build-ids.  A hit is believed only if its phys_base and its own page tables
 * agree with where it was found; of several, the one whose clock moves, or on
 * memory that stands still the one whose clock is latest.  A call works for
 * about TV_SLICE_NS.
 *
 * 0: found, and k describes it.  -TV_EAGAIN: not all memory has been seen, or a
 * clock has still to be watched.  -TV_ENOENT: all was seen, there is none (yet).
 * -TV_EBUSY: several, and nothing says which of them runs.  Other negative errno
 * from guest_mem_frames().
 */
#define TV_SLICE_NS UINT64_C(200000000)
int tv_kernel_find(struct tv_kernel *k);

/* True once the kernel has finished booting (system_state >= SYSTEM_RUNNING). */
bool tv_kernel_running(struct tv_kernel *k);

/* Forget the kernel that was found, and what was seen of others: the next tv_kernel_find() begins anew. */
void tv_kernel_forget(struct tv_kernel *k);

/*
 * Look for "Linux version …" as init/version.c has it, in a kernel that no
 * profile knows, for about TV_SLICE_NS.  True if k->banner.text has become
 * known with this call.  It is what the target's memory says, no more.
 */
bool tv_banner_search(struct tv_kernel *k);

enum tv_life {
    TV_ALIVE, /* its clock has moved since the last call that said so */
    TV_QUIET, /* it has not, but nothing says that it should have: idle, paused, a memory image */
    TV_DEAD_CLOCK, /* it has not, while the target's processors worked; or it was begun anew: this one does not run */
};

/* Look at the kernel's clock. */
enum tv_life tv_kernel_life(struct tv_kernel *k);

/*
 * Is this still the kernel that runs?  Asked before a bad result is believed:
 * waits up to 3 s for its clock to move, unless the target does not work either.
 * False: the target has gone, or the kernel's clock stands while something works.
 */
bool tv_kernel_still_there(struct tv_kernel *k);

/*
 * Is the target's memory perhaps still being filled?  True while it is paused
 * and has not been seen otherwise, as when it is restored or migrated in.
 */
bool tv_kernel_arriving(struct tv_kernel *k);

/* Remember the kernel as one that has stopped, so that it is not found again while its clock stands, and forget it. */
void tv_kernel_bury(struct tv_kernel *k);

/*
 * Asked while no kernel that runs is found: has the last one that was buried perhaps only had its clock
 * stopped?  True, and k describes it, if it has not ended and lies in its place, once the target has
 * worked for ten seconds since the burial or since this was last true.
 */
bool tv_kernel_exhume(struct tv_kernel *k);

/* Copy from guest-physical memory; false if a frame cannot be mapped. */
bool tv_read_pa(struct tv_kernel *k, uint64_t pa, void *dst, size_t n);

/* Copy from running kernel-virtual memory through the page tables; false if not mapped. */
bool tv_read_va(struct tv_kernel *k, uint64_t va, void *dst, size_t n);

/* Forget cached page-table pages, and where walks have led: call at the start of each scan. */
void tv_pt_cache_flush(struct tv_kernel *k);

/* Walk the kernel's page tables.  0; -TV_EFAULT: not mapped; -TV_EIO: a table could not be read. */
int tv_translate(struct tv_kernel *k, uint64_t va, struct tv_translation *t);

/*
 * The frames of up to `n` pages from page address `va` on, GFN_NONE where none is mapped: as many of them, one at
 * least, as one walk and one reading of the last table tell.
 */
#define TV_FRAMES_MAX 64
uint32_t tv_frames(struct tv_kernel *k, uint64_t va, uint64_t *gfn, uint32_t n);

/*
 * The guest-physical address of what tv_translate() led to: the same, but for a
 * PV target, whose pages are told by Xen.  GFN_NONE if Xen knows none.
 */
uint64_t tv_guest_physical(struct tv_kernel *k, uint64_t pa);

/* Is running address `va` the entry of a function in a module that is loaded and verified? */
static inline bool tv_module_entry(struct tv_kernel *k, uint64_t va)
{
    return k->module_entry && k->module_entry(k, va);
}

/* A view of consecutive kernel-virtual pages of the running kernel. */
struct tv_range {
    struct guest_view view;
    uint64_t va;     /* running address of the first page */
    uint32_t npages; /* of the view's, how many it shows */
    bool moved;      /* some page has come to lead elsewhere; for who clears it */
};

/* Reserve a view for `size` bytes at link address `link_va`.  0 or -TV_ENOMEM. */
int tv_range_open(struct tv_kernel *k, struct tv_range *r, uint64_t link_va, uint64_t size);

/* Walk every page again and revalidate each mapping; or `n` pages from the first on. */
void tv_range_refresh(struct tv_kernel *k, struct tv_range *r);
void tv_range_refresh_part(struct tv_kernel *k, struct tv_range *r, uint32_t first, uint32_t n);

/* Only walk `n` pages: one that leads to another frame than before is not shown (-TV_EAGAIN) until it is mapped. */
void tv_range_walk(struct tv_kernel *k, struct tv_range *r, uint32_t first, uint32_t n);

/* Show `npages` pages (no more than were reserved) from running address `va` on instead. */
void tv_range_show(struct tv_kernel *k, struct tv_range *r, uint64_t va, uint32_t npages);

/* Copy from running address `va`; false if a page is not present. */
bool tv_range_read(const struct tv_range *r, uint64_t va, void *dst, size_t n);

void tv_range_close(struct tv_kernel *k, struct tv_range *r);

#endif
