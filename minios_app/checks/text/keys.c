/* SPDX-License-Identifier: MIT */
/*
 * text: the keys that patch sites follow, static keys and those of static calls.
 * The kernel's own lie in some 180 pages, which are mapped in one go; the
 * tables of keys are in address order.
 */
#include "internal.h"

int tv_text_area_init(struct tv_text_area *a, struct tv_kernel *k, uint32_t jump_keys, uint32_t call_keys)
{
    memset(a, 0, sizeof(*a));
    a->functions = tv_alloc((call_keys + 1) * sizeof(*a->functions));
    a->foreign = tv_alloc((call_keys + 1) * sizeof(*a->foreign));
    a->enabled = tv_alloc(jump_keys + 1);
    if (a->functions && a->foreign && a->enabled)
        return 0;
    tv_text_area_deinit(a, k);
    return -TV_ENOMEM;
}

void tv_text_area_deinit(struct tv_text_area *a, struct tv_kernel *k)
{
    void *tables[] = { a->functions, a->foreign, a->enabled };

    if (a->pages.npages)
        guest_view_release(k->gm, &a->pages);
    for (uint32_t i = 0; i < TV_ARRAY_SIZE(tables); i++)
        if (tables[i])
            tv_free(tables[i]);
    memset(a, 0, sizeof(*a));
}

/* Fields next to a region may be named too: its end, or a displacement that is counted from within an instruction. */
#define AROUND 4096u

uint64_t tv_text_address(const struct tv_text_state *s, const struct tv_text_area *a, uint32_t offset)
{
    for (uint32_t i = 0; i < a->region_count; i++) {
        const struct tv_text_region *r = &a->regions[i];

        if (offset - (r->start - AROUND) < r->size + 2 * AROUND)
            return r->va + (uint64_t)(int64_t)(int32_t)(offset - r->start);
    }
    return s->text + offset;
}

uint32_t tv_text_running(const struct tv_text_state *s, const struct tv_text_area *a, uint32_t offset)
{
    return a->region_count ? (uint32_t)(tv_text_address(s, a, offset) - s->text) : offset;
}

/* Where the reading of keys in their order stands. */
struct at {
    uint32_t page; /* of the key that was read last, from _text */
    uint32_t next; /* of a->pages */
};

/* The pages that hold keys, in the order of reading: their number, and once the view is there, where they lead. */
static uint32_t find_pages(struct tv_text_area *a, struct tv_kernel *k)
{
    const struct tv_text_code *c = a->c;
    uint32_t count = 0, last = UINT32_MAX;

    for (uint32_t i = 0; i < c->jump_key_count + c->call_key_count; i++) {
        uint32_t key = i < c->jump_key_count ? c->jump_keys[i] : c->call_keys[i - c->jump_key_count];
        struct tv_translation t;

        if (i && i != c->jump_key_count && key / TV_PAGE_SIZE == last)
            continue;
        last = key / TV_PAGE_SIZE;
        if (count < a->pages.npages)
            a->pages.gfn[count] =
                tv_translate(k, k->profile->text_va + k->delta + key, &t) ? GFN_NONE : t.pa >> TV_PAGE_SHIFT;
        count++;
    }
    return count;
}

int tv_text_area_map_keys(struct tv_text_area *a, struct tv_kernel *k)
{
    uint32_t count = find_pages(a, k);

    return count ? guest_view_reserve(k->gm, &a->pages, count) : 0;
}

/* The next key, at link offset `key`. */
static bool read_key(const struct tv_text_state *s, const struct tv_text_area *a, struct tv_kernel *k,
                     struct at *at, uint32_t key, void *dst, size_t n)
{
    uint32_t page;

    if (!a->pages.npages)
        return guest_read_va(k, tv_text_address(s, a, key), dst, n);
    page = key / TV_PAGE_SIZE;
    if (page != at->page) {
        at->page = page;
        at->next++;
    }
    return guest_view_read(&a->pages, (uint64_t)(at->next - 1) * TV_PAGE_SIZE + key % TV_PAGE_SIZE, dst, n);
}

bool tv_text_keys_read(struct tv_text_state *s, struct tv_text_area *a, struct tv_kernel *k)
{
    const struct tv_text_code *c = a->c;
    struct at at = { .page = UINT32_MAX };

    if (a->pages.npages) {
        find_pages(a, k);
        tv_view_map(k, &a->pages, 0, a->pages.npages);
    }
    a->changed = false;
    for (uint32_t i = 0; i < c->jump_key_count; i++) {
        int32_t enabled;

        if (!read_key(s, a, k, &at, c->jump_keys[i], &enabled, sizeof(enabled)))
            return false;
        /* static_key_count(): -1 counts as enabled */
        a->changed = a->changed || a->enabled[i] != (enabled != 0);
        a->enabled[i] = enabled != 0;
    }
    at.page = UINT32_MAX;
    for (uint32_t i = 0; i < c->call_key_count; i++) {
        uint64_t old = a->foreign[i];

        if (!read_key(s, a, k, &at, c->call_keys[i], &a->foreign[i], sizeof(a->foreign[i])))
            return false;
        a->changed = a->changed || a->foreign[i] != old;
        if (a->foreign[i] != old || !old)
            a->functions[i] = tv_text_entry(s, a->foreign[i]);
        if (a->functions[i] == TV_TEXT_FOREIGN)
            tv_text_dynamic_add(s, a->foreign[i]);
    }
    return true;
}
