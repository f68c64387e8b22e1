/* SPDX-License-Identifier: MIT */
/* The target's running kernel: found by build-id, read through its own page tables. */
#ifndef TINYVMI_KERNEL_H
#define TINYVMI_KERNEL_H

#include <tinyvmi/cost.h>
#include <tinyvmi/digest.h>
#include <tinyvmi/guest_mem.h>
#include <tinyvmi/profile.h>
#include <tinyvmi/random.h>

#define TV_PT_SLOTS 64 /* pages kept mapped for walks; also the size of a probing batch */

/* A kernel's time, as its last tick left it in memory: it distinguishes a kernel that runs from one that was left behind. */
struct tv_clock {
    uint64_t source; /* the clocksource; 0: no clock yet, or its place is not known */
    uint64_t cycle; /* the counter */
    uint64_t real; /* wall clock, ns */
};

/* A place in memory that holds a known kernel whose own page tables map it there. */
struct tv_candidate {
    const struct tv_kernel_profile *profile;
    uint32_t profile_index;
    uint32_t levels;
    uint64_t text_pa, delta, root_pa;
    struct tv_clock clock; /* when it was first seen */
    bool moved; /* its clock has gone on since */
};

#define TV_CANDIDATES 8 /* kernels and what earlier ones left, in one memory */

/* A search of the whole memory, a part of it in each call. */
struct tv_search {
    uint64_t next; /* candidate frame to probe, in steps of 2 MiB */
    uint64_t started_ns; /* 0: the next call begins a new pass */
    uint64_t worked_ns; /* in this pass */
    uint64_t passed_ns, passed_cpu_ns; /* when the pass had seen all memory */
    bool passed;
    uint32_t count;
    struct tv_candidate found[TV_CANDIDATES];
};

#define TV_BANNER_MAX 256

/* A search for the banner of whatever Linux there is, a part of the memory in each call. */
struct tv_banner {
    uint64_t next; /* gfn */
    bool passed; /* all memory was seen */
    char text[TV_BANNER_MAX]; /* "" until one is found; from the guest, without control characters */
};

/* Kernels that have stopped, distinguished from the one that runs while their clocks stand still. */
#define TV_STALE_MAX 4

struct tv_stale_kernel {
    uint32_t profile_index;
    uint64_t text_pa, root_pa;
    bool pv;
    int64_t cpu_ns; /* processor time of the target when that was read last; negative: not known */
    struct tv_clock clock;
};

struct tv_kernel;
struct tv_page_cache_tally; /* checks/lib/page_cache.h */

/* Answers whether an address is the entry of a function in a module that is loaded and verified. */
struct tv_module_lookup {
    bool (*is_entry)(void *context, struct tv_kernel *k, uint64_t va); /* NULL: no check does */
    void *context;
};

struct tv_kernel {
    struct guest_mem *gm;

    /* What the monitor lends to those who read the kernel. */
    struct tv_costs *costs;
    const struct tv_digest *digest;
    struct tv_random *random;
    struct tv_page_cache_tally *page_cache;

    /* The kernel that was found. */
    const struct tv_kernel_profile *profile; /* NULL: none */
    uint32_t profile_index;
    uint64_t text_pa; /* guest-physical address of _text */
    bool pv; /* the root, page tables and what they lead to are machine addresses (guest_pv.h) */
    uint64_t delta; /* running minus link address, modulo 2^64 */
    uint64_t root_pa; /* init_top_pgt */
    uint32_t levels; /* 4 or 5 */

    /* Whether it runs (liveness.c). */
    bool ran; /* the target has been seen unpaused */
    bool was_running; /* booted once: system_state cannot talk us out of it */
    bool stopped; /* its clock stands, and nothing else runs: tv_kernel_revive() */
    uint64_t resourced_ns; /* when its clocksource changed last; 0: not since it was found */
    struct tv_clock clock; /* when it last moved, and when that was seen */
    uint64_t moved_ns, moved_cpu_ns;
    int64_t noted_cpu_ns; /* the target's processor time when the clock was read last; 0 or less: not known */
    int64_t ticking_cpu_ns; /* … and when it was read last before it was seen to have moved */

    /* The search for it. */
    struct tv_search search;
    struct tv_banner banner;
    struct tv_stale_kernel stale[TV_STALE_MAX];
    uint32_t retired; /* how many have been put there */

    struct guest_view pt; /* page tables and single pages, each in the slot of its gfn */
    struct {
        uint64_t root_pa, va, size, pa; /* the leaf that guest_read_va() walked to last; size 0: none */
    } leaf;
    struct tv_module_lookup modules; /* set by the check that verifies modules */
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
void tv_kernel_deinit(struct tv_kernel *k);

/*
 * Search for the running kernel among those that the image's profiles know: each
 * 2 MiB-aligned frame (CONFIG_PHYSICAL_ALIGN) of all memory is probed for their
 * build-ids.  A hit counts only if its phys_base and its own page tables
 * agree with where it was found; of several, the one whose clock moves, or on
 * memory that stands still the one whose clock is latest.  A call works for
 * about TV_SEARCH_NS.
 *
 * 0: found, and k describes it.  -TV_EAGAIN: not all memory has been seen, or a
 * clock has still to be watched.  -TV_ENOENT: all was seen, there is none (yet).
 * -TV_EBUSY: several, and nothing shows which of them runs.  Other negative errno
 * from guest_mem_frames().
 */
#define TV_SEARCH_NS UINT64_C(200000000)
int tv_kernel_find(struct tv_kernel *k);

/* True once the kernel has finished booting (system_state >= SYSTEM_RUNNING). */
bool tv_kernel_running(struct tv_kernel *k);

/* Forget the kernel that was found, and what was seen of others: the next tv_kernel_find() begins anew. */
void tv_kernel_forget(struct tv_kernel *k);

/*
 * Search for "Linux version …" as init/version.c has it, in a kernel that no
 * profile knows, for about TV_SEARCH_NS.  True if k->banner.text has become
 * known with this call.  It is only what the target's memory claims.
 */
bool tv_banner_search(struct tv_kernel *k);

enum tv_liveness {
    TV_LIVE_TICKING, /* its clock has moved since the last call that returned this */
    TV_LIVE_QUIET, /* it has not, but nothing indicates that it should have: idle, paused, a memory image */
    TV_LIVE_STOPPED, /* it has not, while the target's processors worked; or it was begun anew: this one does not run */
};

/* Read the kernel's clock. */
enum tv_liveness tv_kernel_liveness(struct tv_kernel *k);

/*
 * Is this still the kernel that runs?  Asked before a mismatch is reported.  It may take up to 3 s until its clock
 * has moved, so the question is put and then polled; a target that does not work either is answered sooner.
 */
enum tv_presence {
    TV_PRESENT,
    TV_ABSENT, /* the target has gone, or the kernel's clock stands while something works */
    TV_PRESENCE_OPEN, /* ask again in TV_PRESENCE_POLL_NS */
};
#define TV_PRESENCE_POLL_NS UINT64_C(20000000)

struct tv_presence_query {
    uint64_t began_ns, resourced_ns;
    int64_t cpu_ns;
    bool polled;
};
void tv_presence_begin(struct tv_kernel *k, struct tv_presence_query *q);
enum tv_presence tv_presence_poll(struct tv_kernel *k, struct tv_presence_query *q);

/*
 * Is the target's memory perhaps still being filled?  True while it is paused
 * and has not been seen otherwise, as when it is restored or migrated in.
 */
bool tv_kernel_arriving(struct tv_kernel *k);

/* Remember the kernel as one that has stopped, so that it is not found again while its clock stands, and forget it. */
void tv_kernel_retire(struct tv_kernel *k);

/*
 * Asked while no kernel that runs is found: has the last one that was retired perhaps only had its clock
 * stopped?  True, and k describes it, if it has not ended and lies in its place, once the target has
 * worked for ten seconds since it was retired or since this was last true.
 */
bool tv_kernel_revive(struct tv_kernel *k);

/* What a function named guest_… gives is hostile: bounded before it is used, checked before it is reported. */

/* Copy from guest-physical memory; false if a frame cannot be mapped. */
bool guest_read_pa(struct tv_kernel *k, uint64_t pa, void *dst, size_t n);

/* Copy from running kernel-virtual memory through the page tables; false if not mapped. */
bool guest_read_va(struct tv_kernel *k, uint64_t va, void *dst, size_t n);

/* A pointer or another word of 64 bits. */
static inline bool guest_read_u64(struct tv_kernel *k, uint64_t va, uint64_t *v)
{
    return guest_read_va(k, va, v, sizeof(*v));
}

/* Forget cached page-table pages, and where walks have led: call at the start of each scan. */
void tv_pt_cache_flush(struct tv_kernel *k);

/* Walk the kernel's page tables.  0; -TV_EFAULT: not mapped; -TV_EIO: a table could not be read. */
int tv_translate(struct tv_kernel *k, uint64_t va, struct tv_translation *t);

/*
 * The frames of up to `n` pages from page address `va` on, GFN_NONE where none is mapped: as many of them, one at
 * least, as one walk and one reading of the last table show.
 */
#define TV_FRAMES_MAX 64
uint32_t tv_frames(struct tv_kernel *k, uint64_t va, uint64_t *gfn, uint32_t n);

/*
 * The guest-physical address of what tv_translate() led to: the same, but for a
 * PV target, whose frames Xen translates.  GFN_NONE if Xen knows none.
 */
uint64_t tv_guest_physical(struct tv_kernel *k, uint64_t pa);

/* Is running address `va` the entry of a function in a module that is loaded and verified? */
static inline bool tv_module_entry(struct tv_kernel *k, uint64_t va)
{
    return k->modules.is_entry && k->modules.is_entry(k->modules.context, k, va);
}

/* guest_view_map(), counted as mapping. */
void tv_view_map(struct tv_kernel *k, struct guest_view *v, uint32_t first, uint32_t n);

/* A view of consecutive kernel-virtual pages of the running kernel. */
struct tv_range {
    struct guest_view view;
    uint64_t va; /* running address of the first page */
    uint32_t npages; /* of the view's, how many it shows */
    bool moved; /* some page has come to lead elsewhere; cleared by the caller */
};

/* Reserve a view for `size` bytes at link address `link_va`.  0 or -TV_ENOMEM. */
int tv_range_init(struct tv_kernel *k, struct tv_range *r, uint64_t link_va, uint64_t size);

/* Walk every page again and revalidate each mapping; or `n` pages from the first on. */
void tv_range_refresh(struct tv_kernel *k, struct tv_range *r);
void tv_range_refresh_part(struct tv_kernel *k, struct tv_range *r, uint32_t first, uint32_t n);

/* Only walk `n` pages: one that leads to another frame than before is not shown (-TV_EAGAIN) until it is mapped. */
void tv_range_walk(struct tv_kernel *k, struct tv_range *r, uint32_t first, uint32_t n);

/* Show `npages` pages (no more than were reserved) from running address `va` on instead. */
void tv_range_show(struct tv_kernel *k, struct tv_range *r, uint64_t va, uint32_t npages);

/* Copy from running address `va`; false if a page is not present. */
bool guest_range_read(const struct tv_range *r, uint64_t va, void *dst, size_t n);

/* The same from byte `offset` of the range on; inline, because checks read many small values by it. */
static inline bool guest_range_read_at(const struct tv_range *r, uint64_t offset, void *dst, size_t n)
{
    uint64_t size =
        (uint64_t)r->npages * TV_PAGE_SIZE; /* of what is shown: the view may have room for more */

    return offset <= size && n <= size - offset && guest_view_read(&r->view, offset, dst, n);
}

void tv_range_deinit(struct tv_kernel *k, struct tv_range *r);

#endif
