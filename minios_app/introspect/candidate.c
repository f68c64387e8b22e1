/* SPDX-License-Identifier: MIT */
/*
 * Candidates for the kernel that runs: places in memory that hold a known kernel which its own page tables map
 * there.
 */
#include "internal.h"

#define KERNEL_IMAGE_MAX UINT64_C(0x40000000) /* KERNEL_IMAGE_SIZE, asm/page_64_types.h: bounds the delta */

bool tv_pv_candidate_at(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t root,
                        struct tv_candidate *c)
{
    uint64_t root_pa = k->root_pa, phys_base;
    uint32_t levels = k->levels;
    uint8_t id[TV_BUILD_ID_SIZE];
    struct tv_translation t;
    bool pv = k->pv, valid;

    c->profile = p;
    c->text_pa = p->physical_start;
    c->delta = 0;
    c->root_pa = root;
    c->levels = PV_LEVELS;
    k->pv = true;
    k->root_pa = root; /* the walks are those of this candidate */
    k->levels = c->levels;
    valid = tv_translate(k, p->root_va, &t) == 0 && t.pa == root &&
            guest_read_va(k, p->build_id_va, id, sizeof(id)) && memcmp(id, p->build_id, sizeof(id)) == 0 &&
            guest_read_va(k, p->phys_base_va, &phys_base, sizeof(phys_base)) && phys_base == 0 &&
            tv_translate(k, p->text_va, &t) == 0 && tv_guest_physical(k, t.pa) == c->text_pa;
    if (valid)
        tv_clock_read(k, p, c->text_pa, &c->clock);
    k->pv = pv;
    k->root_pa = root_pa;
    k->levels = levels;
    return valid;
}

/* Does the kernel's own page table map `link_va` to its place in the image? */
static bool maps_linearly(struct tv_kernel *k, const struct tv_candidate *c, uint64_t link_va)
{
    struct tv_translation t;

    return tv_translate(k, link_va + c->delta, &t) == 0 &&
           t.pa == c->text_pa + (link_va - c->profile->text_va);
}

bool tv_candidate_at(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t pa,
                     struct tv_candidate *c)
{
    uint64_t root_pa = k->root_pa, phys_base;
    uint32_t levels = k->levels, la57 = 0;
    uint8_t id[TV_BUILD_ID_SIZE];
    bool linear;

    if (k->pv)
        return tv_pv_candidate_at(k, p, k->root_pa, c);
    if (!guest_read_pa(k, pa + (p->build_id_va - p->text_va), id, sizeof(id)) ||
        memcmp(id, p->build_id, sizeof(id)) != 0)
        return false;
    if (!guest_read_pa(k, pa + (p->phys_base_va - p->text_va), &phys_base, sizeof(phys_base)))
        return false;
    if (p->la57_va && !guest_read_pa(k, pa + (p->la57_va - p->text_va), &la57, sizeof(la57)))
        return false;

    c->profile = p;
    c->text_pa = pa;
    /* arch/x86/kernel/head64.c: phys_base = load address - (link address of _text's page + delta) */
    c->delta = pa - p->physical_start - phys_base;
    c->root_pa = pa + (p->root_va - p->text_va);
    c->levels = la57 ? 5 : 4;
    if (c->delta >= KERNEL_IMAGE_MAX || c->delta % TV_PROBE_STEP)
        return false;
    k->root_pa = c->root_pa; /* the walks are those of this candidate */
    k->levels = c->levels;
    linear = maps_linearly(k, c, p->text_va) && maps_linearly(k, c, p->build_id_va) &&
             maps_linearly(k, c, p->phys_base_va) && maps_linearly(k, c, p->root_va);
    k->root_pa = root_pa;
    k->levels = levels;
    return linear;
}

void tv_kernel_take(struct tv_kernel *k, const struct tv_candidate *c)
{
    k->profile = c->profile;
    k->profile_index = c->profile_index;
    k->text_pa = c->text_pa;
    k->delta = c->delta;
    k->root_pa = c->root_pa;
    k->levels = c->levels;
    k->was_running = false;
    k->resourced_ns = 0;
    k->moved_ns = 0;
    k->noted_cpu_ns = k->ticking_cpu_ns = 0;
    memset(&k->clock, 0, sizeof(k->clock));
    memset(&k->search, 0, sizeof(k->search));
    tv_kernel_liveness(k); /* from here on its clock is watched */
}
