/* SPDX-License-Identifier: MIT */
/*
 * x86-64 page-table walks (Intel SDM volume 3, chapter 4: 4- and 5-level
 * paging) over the target's own tables, and single reads of its memory.
 */
#include <tinyvmi/guest_pv.h>
#include <tinyvmi/kernel.h>
#include <tinyvmi/page_table.h>

/* The slot that shows `gfn`, mapped now if it is not yet; NULL if it cannot be. */
static const uint8_t *slot_page(struct tv_kernel *k, uint64_t gfn)
{
    uint32_t slot = (uint32_t)((gfn * UINT64_C(0x9e3779b97f4a7c15)) >> 58); /* 64 slots */

    _Static_assert(TV_PT_SLOTS == 64, "the slot hash gives six bits");
    if (k->pt.gfn[slot] != gfn) {
        k->pt.gfn[slot] = gfn;
        tv_view_map(k, &k->pt, slot, 1);
    }
    return k->pt.err[slot] ? NULL : k->pt.base + (size_t)slot * TV_PAGE_SIZE;
}

void tv_pt_cache_flush(struct tv_kernel *k)
{
    for (uint32_t i = 0; i < k->pt.npages; i++)
        k->pt.gfn[i] = GFN_NONE;
    k->leaf.size = 0;
}

bool guest_read_pa(struct tv_kernel *k, uint64_t pa, void *dst, size_t n)
{
    uint8_t *out = dst;

    while (n) {
        size_t in_page = TV_PAGE_SIZE - (pa & (TV_PAGE_SIZE - 1));
        size_t part = n < in_page ? n : in_page;
        const uint8_t *page = slot_page(k, pa >> TV_PAGE_SHIFT);

        if (!page)
            return false;
        memcpy(out, page + (pa & (TV_PAGE_SIZE - 1)), part);
        out += part;
        pa += part;
        n -= part;
    }
    return true;
}

int tv_translate(struct tv_kernel *k, uint64_t va, struct tv_translation *t)
{
    uint64_t table = k->root_pa;

    t->writable = true;
    t->executable = true;
    for (uint32_t level = k->levels; level >= 1; level--) {
        uint32_t shift = TV_PAGE_SHIFT + 9 * (level - 1);
        uint64_t entry;

        if (!guest_read_pa(k, table + 8 * ((va >> shift) & (TV_PT_ENTRIES - 1)), &entry, sizeof(entry)))
            return -TV_EIO;
        if (!(entry & TV_PTE_PRESENT))
            return -TV_EFAULT;
        t->writable = t->writable && (entry & TV_PTE_WRITABLE);
        t->executable = t->executable && !(entry & TV_PTE_NX);
        if (level == 1 || ((entry & TV_PTE_LARGE) && level <= 3)) {
            t->size = UINT64_C(1) << shift;
            /* Bit 12 of a large entry is PAT, not address: the mask of the size drops it. */
            t->pa = (entry & TV_PTE_ADDRESS & ~(t->size - 1)) | (va & (t->size - 1));
            t->entry_pa = table + 8 * ((va >> shift) & (TV_PT_ENTRIES - 1));
            return 0;
        }
        if (entry & TV_PTE_LARGE)
            return -TV_EFAULT; /* reserved at levels 4 and 5 */
        table = entry & TV_PTE_ADDRESS;
    }
    return -TV_EFAULT;
}

uint32_t tv_frames(struct tv_kernel *k, uint64_t va, uint64_t *gfn, uint32_t n)
{
    uint64_t left, entries[TV_FRAMES_MAX];
    struct tv_translation t;

    gfn[0] = GFN_NONE;
    if (tv_translate(k, va, &t))
        return 1;
    left = t.size > TV_PAGE_SIZE ? (t.size - (va & (t.size - 1))) >> TV_PAGE_SHIFT
                                 : TV_PT_ENTRIES - t.entry_pa % TV_PAGE_SIZE / 8;
    n = n < TV_FRAMES_MAX ? n : TV_FRAMES_MAX;
    n = n < left ? n : (uint32_t)left;
    if (t.size > TV_PAGE_SIZE) {
        for (uint32_t i = 0; i < n; i++)
            gfn[i] = (t.pa >> TV_PAGE_SHIFT) + i;
        return n;
    }
    if (!guest_read_pa(k, t.entry_pa, entries, n * sizeof(*entries)))
        return 1;
    for (uint32_t i = 0; i < n; i++)
        gfn[i] = entries[i] & TV_PTE_PRESENT ? (entries[i] & TV_PTE_ADDRESS) >> TV_PAGE_SHIFT : GFN_NONE;
    return n;
}

/* Where `va` is.  Values that are read in a row mostly lie under one large leaf: one walk serves them. */
static bool physical(struct tv_kernel *k, uint64_t va, uint64_t *pa)
{
    struct tv_translation t;

    if (va - k->leaf.va >= k->leaf.size || k->leaf.root_pa != k->root_pa) {
        if (tv_translate(k, va, &t))
            return false;
        k->leaf.root_pa = k->root_pa;
        k->leaf.size = t.size;
        k->leaf.va = va & ~(t.size - 1);
        k->leaf.pa = t.pa & ~(t.size - 1);
    }
    *pa = k->leaf.pa + (va - k->leaf.va);
    return true;
}

bool guest_read_va(struct tv_kernel *k, uint64_t va, void *dst, size_t n)
{
    uint8_t *out = dst;

    while (n) {
        uint64_t pa;
        size_t in_page = TV_PAGE_SIZE - (va & (TV_PAGE_SIZE - 1));
        size_t part = n < in_page ? n : in_page;

        if (!physical(k, va, &pa) || !guest_read_pa(k, pa, out, part))
            return false;
        out += part;
        va += part;
        n -= part;
    }
    return true;
}

uint64_t tv_guest_physical(struct tv_kernel *k, uint64_t pa)
{
    uint64_t pfn = k->pv ? guest_pv_pfn(k->gm, pa >> TV_PAGE_SHIFT) : pa >> TV_PAGE_SHIFT;

    return pfn == GFN_NONE ? GFN_NONE : pfn << TV_PAGE_SHIFT | (pa & (TV_PAGE_SIZE - 1));
}
