/* SPDX-License-Identifier: MIT */
/*
 * modules: the text and read-only pages of one module.  What the loader made
 * of addresses is taken back, then each page is digested; the patch sites are
 * checked as those of the kernel's own text are.
 */
#include "internal.h"

#define TOP UINT64_C(0xffffffff80000000) /* kernel and modules lie in the last 2 GiB */

static const char text_note[] =
    "a line of code that differs from the module's file outside of the places that are patched";
static const char rodata_note[] = "a line of read-only data that differs from the module's file";

static bool wide(uint32_t field)
{
    return field == TV_MODULE_ABS64 || field == TV_MODULE_PC64;
}

/* Where the region of witness `w` was: computed from what leads there.  False if nothing sensible can be read. */
static bool region_of_witness(struct tv_kernel *k, const struct tv_module *m,
                              const struct tv_module_seen *seen, const struct tv_module_witness *w,
                              uint64_t *va)
{
    uint64_t at = seen->base[w->area] + w->offset, v = 0;

    if (!guest_read_va(k, at, &v, wide(w->field) ? 8 : 4))
        return false;
    if (w->field == TV_MODULE_PC32 || w->field == TV_MODULE_PC64)
        v += at;
    if (!wide(w->field))
        v = (uint64_t)(int64_t)(int32_t)v;
    *va = v - (w->target - m->regions[w->region - TV_MODULE_REGION].start);
    return *va % TV_PAGE_SIZE == 0 && *va >= TOP;
}

/*
 * Fill in where each region is.  Returns the order (0 or 1) in which the
 * loader sorted its tables, or -1 if a module that is needed is not there.
 */
static int locate_regions(struct tv_modules_check *c, struct tv_kernel *k, const struct tv_module *m,
                          const struct tv_module_seen *seen)
{
    int order = 0;

    for (uint32_t i = 0; i < m->region_count; i++) {
        const struct tv_module_region *r = &m->regions[i];
        const struct tv_module_seen *owner = r->module ? &c->list.seen[m->needs[r->module - 1]] : seen;

        if (!owner->loaded)
            return -1;
        c->regions[i].start = r->start;
        c->regions[i].size = r->size;
        c->regions[i].va = owner->base[r->area];
    }
    /* Freed memory lay below or above the module; a table sorted by address begins or ends with it accordingly. */
    for (uint32_t i = 0; i < m->witness_count; i++) {
        const struct tv_module_witness *w = &m->witnesses[i];
        uint64_t va;

        if (m->regions[w->region - TV_MODULE_REGION].area == TV_MODULE_INIT_TEXT &&
            region_of_witness(k, m, seen, w, &va) && (va < seen->base[TV_MODULE_TEXT]) == (i & 1))
            order = i & 1;
    }
    for (uint32_t i = (uint32_t)order; i < m->witness_count; i += 2) {
        const struct tv_module_witness *w = &m->witnesses[i];
        uint64_t va;

        /* If it leads nowhere sensible, the digest of its page differs. */
        if (region_of_witness(k, m, seen, w, &va))
            c->regions[w->region - TV_MODULE_REGION].va = va;
    }
    c->area.regions = c->regions;
    c->area.region_count = m->region_count;
    return order;
}

/* What to take from the values of each class in `area`, to have what stands there at link addresses. */
static void find_deltas(struct tv_modules_check *c, struct tv_kernel *k, const struct tv_module *m,
                        uint32_t area, uint64_t running)
{
    uint64_t text = k->profile->text_va, own = running - (text + m->starts[area]);

    for (uint32_t i = 0; i < m->class_count && i < TV_MODULES_CLASSES; i++) {
        const struct tv_module_class *class = &m->classes[i];

        if (class->region == TV_MODULE_KERNEL) {
            c->delta[i] = k->delta;
        } else if (class->region == TV_MODULE_ABSOLUTE) {
            c->delta[i] = 0;
        } else {
            const struct tv_text_region *r = &c->regions[class->region - TV_MODULE_REGION];

            c->delta[i] = r->va - (text + r->start);
        }
        if (class->field == TV_MODULE_PC32 || class->field == TV_MODULE_PC64)
            c->delta[i] -= own;
    }
}

static void take_back(struct tv_modules_check *c, const struct tv_module *m, uint32_t number, uint32_t offset)
{
    uint8_t *at = c->pass.window + TV_TEXT_BEFORE - TV_RELOC_BIAS + offset;
    size_t size = wide(m->classes[number].field) ? 8 : 4;
    uint64_t v = 0;

    memcpy(&v, at, size);
    v -= c->delta[number];
    memcpy(at, &v, size);
}

/* All values of entry `e`'s page: checks/modules/pages.py describes the groups. */
static void unrelocate(struct tv_modules_check *c, const struct tv_module *m, const struct tv_module_pages *p,
                       uint32_t e)
{
    const uint8_t *at = p->relocs + p->reloc_index[e], *end = p->relocs + p->reloc_index[e + 1];

    while (at < end) {
        uint32_t number = at[0] & (TV_MODULE_ROW - 1), count = at[1] | at[2] << 8, offset = 0;

        if (at[0] & TV_MODULE_ROW) {
            offset = at[3] | at[4] << 8;
            for (uint32_t n = 0; n < count; n++, offset += at[5])
                take_back(c, m, number, offset);
            at += 6;
            continue;
        }
        for (at += 3; count; count--) {
            while (*at == 0xff)
                offset += *at++;
            offset += *at++;
            take_back(c, m, number, offset);
        }
    }
}

/* Pages of one area of a module. */
struct module_area {
    const struct tv_module *m;
    const struct tv_module_pages *p;
    struct tv_page_cache *cache; /* or NULL */
    uint64_t va;
    uint32_t order; /* in which the loader sorted its tables */
};

/* The digest of entry `e`'s page, which is page `i` of the area, differs: report its lines that do. */
static void report_changed(const struct tv_modules_check *c, const struct module_area *a, uint32_t e,
                           uint32_t i, const uint8_t digest[32], struct tv_result *res)
{
    bool text = a->p == &a->m->text;
    uint64_t va = a->va + (uint64_t)i * TV_PAGE_SIZE;
    struct tv_page_source source = { .range = &c->range };
    struct tv_changed_page page = {
        .bytes = c->pass.window + TV_TEXT_BEFORE,
        .size = TV_PAGE_SIZE,
        .line_size = TV_MODULE_LINE,
        .sums = a->p->sums[e],
        .sum_size = sizeof(a->p->sums[e][0]),
        .offset = va - c->range.va,
        .expected = a->p->digests[e],
        .digest = digest,
        .finding = { .kind = text ? TV_KIND_TEXT_BYTES : TV_KIND_BYTES,
                     .symbol = a->m->name,
                     .offset = va - c->area.va,
                     .address = va,
                     .note = text ? text_note : rodata_note },
    };

    tv_report_changed_lines(&page, &source, res);
}

/* Show the area's pages from number `first` on, as many as there are and the window shows; where it ends. */
static uint32_t show(struct tv_modules_check *c, struct tv_kernel *k, const struct module_area *a,
                     uint32_t first)
{
    uint32_t left = a->p->npages - first;
    uint64_t since;

    tv_range_show(k, &c->range, a->va + (uint64_t)first * TV_PAGE_SIZE,
                  left < TV_MODULES_WINDOW ? left : TV_MODULES_WINDOW);
    since = tv_cost_begin(k->costs);
    for (uint32_t at = 0; a->cache && at < c->range.npages; at++)
        tv_page_cache_update(a->cache, first + at, &c->range.view, at);
    tv_cost_end(k->costs, TV_PHASE_READING, since);
    return first + c->range.npages;
}

/* Copy page `i` into the pass's window and check the sites on it.  False, and counted, if it is not there. */
static bool take_page(struct tv_modules_check *c, struct tv_kernel *k, const struct module_area *a,
                      uint32_t i, struct tv_result *res)
{
    bool there;

    if (a->p == &a->m->text)
        return tv_text_check_page(&c->pass, k, i, res);
    there = a->cache ? tv_text_copy_cached(c->pass.window, a->cache, i)
                     : tv_text_copy(c->pass.window, &c->range, a->va, i, a->p->npages);
    res->missing += !there;
    return there;
}

/* Page `i`, once it is shown. */
static void check_page(struct tv_modules_check *c, struct tv_kernel *k, const struct module_area *a,
                       uint32_t i, struct tv_result *res)
{
    uint32_t e = a->p->order ? a->p->order[a->order * a->p->npages + i] : i;
    uint8_t digest[TV_DIGEST_SIZE];
    uint64_t since;

    c->text.removed = false;
    if (!take_page(c, k, a, i, res))
        return;
    res->items++;
    if (a->cache && (a->cache->flags[i] & TV_PAGE_VALID) && !c->text.removed)
        return;
    unrelocate(c, a->m, a->p, e);
    since = tv_cost_begin(k->costs);
    tv_digest_bytes(k->digest, c->pass.window + TV_TEXT_BEFORE, TV_PAGE_SIZE, digest);
    tv_cost_end(k->costs, TV_PHASE_HASHING, since);
    if (memcmp(digest, a->p->digests[e], sizeof(digest)) != 0)
        report_changed(c, a, e, i, digest, res);
    else if (a->cache && !c->text.removed)
        a->cache->flags[i] |= TV_PAGE_VALID;
}

/* All pages of an area, as many at a time as the window shows. */
static void check_area(struct tv_modules_check *c, struct tv_kernel *k, const struct module_area *a,
                       struct tv_result *res)
{
    uint32_t shown = 0;

    c->pass.cache = a->cache;
    for (uint32_t i = 0; i < a->p->npages; i++) {
        if (i + 1 >= shown && shown < a->p->npages)
            shown = show(c, k, a, i ? i - 1 : 0);
        check_page(c, k, a, i, res);
    }
}

static void check_rights(struct tv_kernel *k, const struct tv_module *m, const struct tv_module_seen *seen,
                         struct tv_result *res)
{
    struct tv_text_mapped mapped = { .symbol = m->name, .base = seen->base[TV_MODULE_TEXT] };

    mapped.va = seen->base[TV_MODULE_TEXT];
    mapped.size = m->sizes[TV_MODULE_TEXT];
    mapped.executable = true;
    tv_text_check_rights(k, &mapped, res);
    mapped.va = seen->base[TV_MODULE_RODATA];
    mapped.size = m->sizes[TV_MODULE_RODATA];
    mapped.executable = false;
    tv_text_check_rights(k, &mapped, res);
}

void tv_module_check(struct tv_modules_check *c, struct tv_kernel *k, uint32_t i, struct tv_result *res)
{
    const struct tv_module *m = &c->m->list[i];
    const struct tv_module_seen *seen = &c->list.seen[i];
    struct module_area text = { .m = m, .p = &m->text, .va = seen->base[TV_MODULE_TEXT] };
    struct module_area rodata = { .m = m, .p = &m->rodata, .va = seen->base[TV_MODULE_RODATA] };
    int order;

    c->area.c = &m->code;
    c->area.symbol = m->name;
    c->area.va = text.va;
    order = locate_regions(c, k, m, seen);
    if (order < 0) {
        c->list.strange++;
        tv_module_list_note(&c->list, "a module that it needs cannot be verified", m->name);
        return;
    }
    if (!tv_text_keys_read(&c->text, &c->area, k)) {
        res->missing++;
        return;
    }
    tv_text_dynamic_resolve(&c->text, k);
    tv_text_report_calls(&c->text, &c->area, k);
    if (c->text.op_count)
        tv_text_records_seek(&c->text, k, text.va, text.va + m->sizes[TV_MODULE_TEXT]);
    check_rights(k, m, seen, res);
    c->pass.s = &c->text;
    c->pass.a = &c->area;
    c->pass.range = &c->range;
    c->pass.arg = c->pass.jump = c->pass.carried = 0;
    tv_module_cache_locate(c, k, i);
    find_deltas(c, k, m, TV_MODULE_TEXT, text.va);
    text.cache = tv_module_cache_of(c, k, i, TV_MODULE_TEXT);
    check_area(c, k, &text, res);
    find_deltas(c, k, m, TV_MODULE_RODATA, rodata.va);
    rodata.order = (uint32_t)order;
    rodata.cache = tv_module_cache_of(c, k, i, TV_MODULE_RODATA);
    check_area(c, k, &rodata, res);
}
