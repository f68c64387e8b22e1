/* SPDX-License-Identifier: MIT */
/* Kernel discovery from memory alone: no register of the target is read. */
#include <tinyvmi/kernel.h>

#define PROBE_STEP       UINT64_C(0x200000)   /* CONFIG_PHYSICAL_ALIGN of x86-64 */
#define KERNEL_IMAGE_MAX UINT64_C(0x40000000) /* KERNEL_IMAGE_SIZE, asm/page_64_types.h: bounds the delta */

int tv_kernel_init(struct tv_kernel *k, struct guest_mem *gm)
{
    memset(k, 0, sizeof(*k));
    k->gm = gm;
    if (guest_view_reserve(gm, &k->pt, TV_PT_SLOTS))
        return -TV_ENOMEM;
    tv_pt_cache_flush(k);
    return 0;
}

void tv_kernel_fini(struct tv_kernel *k)
{
    guest_view_release(k->gm, &k->pt);
}

/* Does the kernel's own page table map `link_va` to its place in the image? */
static bool maps_linearly(struct tv_kernel *k, uint64_t link_va)
{
    struct tv_translation t;

    return tv_translate(k, link_va + k->delta, &t) == 0 && t.pa == k->text_pa + (link_va - k->profile->text_va);
}

/* Judge a build-id hit at physical address `pa`; fills in the kernel. */
static bool confirm(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t pa)
{
    uint8_t id[TV_BUILD_ID_SIZE];
    uint64_t phys_base;
    uint32_t la57 = 0;

    if (!tv_read_pa(k, pa + (p->build_id_va - p->text_va), id, sizeof(id)) ||
        memcmp(id, p->build_id, sizeof(id)) != 0)
        return false;
    if (!tv_read_pa(k, pa + (p->phys_base_va - p->text_va), &phys_base, sizeof(phys_base)))
        return false;
    if (p->la57_va && !tv_read_pa(k, pa + (p->la57_va - p->text_va), &la57, sizeof(la57)))
        return false;

    k->profile = p;
    k->text_pa = pa;
    /* arch/x86/kernel/head64.c: phys_base = load address - (link address of _text's page + delta) */
    k->delta = pa - p->physical_start - phys_base;
    k->root_pa = pa + (p->root_va - p->text_va);
    k->levels = la57 ? 5 : 4;
    if (k->delta >= KERNEL_IMAGE_MAX || k->delta % PROBE_STEP)
        return false;
    return maps_linearly(k, p->text_va) && maps_linearly(k, p->build_id_va) && maps_linearly(k, p->phys_base_va) &&
           maps_linearly(k, p->root_va);
}

/* Look for `p` in `frames` guest frames, TV_PT_SLOTS candidates at a time. */
static bool probe(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t frames)
{
    uint64_t id_offset = p->build_id_va - p->text_va;
    uint32_t in_page = (uint32_t)(id_offset & (TV_PAGE_SIZE - 1));
    uint32_t part = TV_PAGE_SIZE - in_page < TV_BUILD_ID_SIZE ? TV_PAGE_SIZE - in_page : TV_BUILD_ID_SIZE;
    uint64_t candidates = frames * TV_PAGE_SIZE / PROBE_STEP;

    for (uint64_t c = 0; c < candidates; c += TV_PT_SLOTS) {
        uint64_t hits = 0;

        for (uint32_t i = 0; i < TV_PT_SLOTS; i++)
            k->pt.gfn[i] = ((c + i) * PROBE_STEP + id_offset) >> TV_PAGE_SHIFT;
        guest_view_map(k->gm, &k->pt, 0, TV_PT_SLOTS);
        for (uint32_t i = 0; i < TV_PT_SLOTS; i++)
            if (!k->pt.err[i] && memcmp(k->pt.base + (size_t)i * TV_PAGE_SIZE + in_page, p->build_id, part) == 0)
                hits |= UINT64_C(1) << i;
        tv_pt_cache_flush(k); /* the slots were used out of their order */
        for (uint32_t i = 0; i < TV_PT_SLOTS; i++)
            if ((hits >> i & 1) && confirm(k, p, (c + i) * PROBE_STEP))
                return true;
    }
    return false;
}

int tv_kernel_find(struct tv_kernel *k)
{
    int64_t frames = guest_mem_frames(k->gm);

    if (frames < 0)
        return (int)frames;
    tv_pt_cache_flush(k);
    for (uint32_t i = 0; i < tv_profile_count; i++) {
        if (probe(k, tv_profiles[i], (uint64_t)frames)) {
            k->profile_index = i;
            k->was_running = false;
            return 0;
        }
    }
    k->profile = NULL;
    return -TV_ENOENT;
}

bool tv_kernel_running(struct tv_kernel *k)
{
    uint32_t state;

    if (!k->was_running && tv_read_va(k, k->profile->system_state_va + k->delta, &state, sizeof(state)))
        k->was_running = state >= k->profile->system_running;
    return k->was_running;
}
