/* SPDX-License-Identifier: MIT */
/* The target's running kernel: found by build-id, read through its own page tables. */
#ifndef TINYVMI_KERNEL_H
#define TINYVMI_KERNEL_H

#include <tinyvmi/guest_mem.h>
#include <tinyvmi/profile.h>

#define TV_PT_SLOTS 64 /* pages kept mapped for walks; also the size of a probing batch */

struct tv_kernel {
    struct guest_mem *gm;
    const struct tv_kernel_profile *profile;
    uint32_t profile_index;
    uint64_t text_pa; /* guest-physical address of _text */
    uint64_t delta;   /* running minus link address, modulo 2^64 */
    uint64_t root_pa; /* init_top_pgt */
    uint32_t levels;  /* 4 or 5 */
    bool was_running; /* booted once: system_state cannot talk us out of it */
    struct guest_view pt; /* page tables and single pages, each in the slot of its gfn */
    /* Set by the check that verifies modules: is `va` the entry of a function in one that is loaded? */
    bool (*module_entry)(struct tv_kernel *k, uint64_t va);
};

/* Leaf of a page-table walk. */
struct tv_translation {
    uint64_t pa;
    uint64_t size; /* of the page: 4 KiB, 2 MiB or 1 GiB */
    bool writable; /* at every level */
    bool executable;
};

/* Buffers for walks and views.  0 or -TV_ENOMEM. */
int tv_kernel_init(struct tv_kernel *k, struct guest_mem *gm);
void tv_kernel_fini(struct tv_kernel *k);

/*
 * Look for a kernel that one of the image's profiles knows: each 2 MiB-aligned
 * frame is probed for the build-id (CONFIG_PHYSICAL_ALIGN).  A hit is believed
 * only if its phys_base and its own page tables agree with where it was found.
 * 0; -TV_ENOENT: none (yet); other negative errno from guest_mem_frames().
 */
int tv_kernel_find(struct tv_kernel *k);

/* True once the kernel has finished booting (system_state >= SYSTEM_RUNNING). */
bool tv_kernel_running(struct tv_kernel *k);

/* Copy from guest-physical memory; false if a frame cannot be mapped. */
bool tv_read_pa(struct tv_kernel *k, uint64_t pa, void *dst, size_t n);

/* Copy from running kernel-virtual memory through the page tables; false if not mapped. */
bool tv_read_va(struct tv_kernel *k, uint64_t va, void *dst, size_t n);

/* Forget cached page-table pages: call at the start of each scan. */
void tv_pt_cache_flush(struct tv_kernel *k);

/* Walk the kernel's page tables.  0; -TV_EFAULT: not mapped; -TV_EIO: a table could not be read. */
int tv_translate(struct tv_kernel *k, uint64_t va, struct tv_translation *t);

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
};

/* Reserve a view for `size` bytes at link address `link_va`.  0 or -TV_ENOMEM. */
int tv_range_open(struct tv_kernel *k, struct tv_range *r, uint64_t link_va, uint64_t size);

/* Walk every page again and revalidate each mapping. */
void tv_range_refresh(struct tv_kernel *k, struct tv_range *r);

/* Show `npages` pages (no more than were reserved) from running address `va` on instead. */
void tv_range_show(struct tv_kernel *k, struct tv_range *r, uint64_t va, uint32_t npages);

/* Copy from running address `va`; false if a page is not present. */
bool tv_range_read(const struct tv_range *r, uint64_t va, void *dst, size_t n);

void tv_range_close(struct tv_kernel *k, struct tv_range *r);

#endif
