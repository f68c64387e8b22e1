/* SPDX-License-Identifier: MIT */
/*
 * modules: the text and read-only pages of one module.  What the loader made
 * of addresses is taken back, then each page is digested; the places that the
 * kernel patches are judged as those of its own text are.
 */
#include <tinyvmi/cost.h>
#include <tinyvmi/digest.h>
#include <tinyvmi/record.h>

#include "internal.h"

#define TOP UINT64_C(0xffffffff80000000) /* kernel and modules lie in the last 2 GiB */

static bool wide(uint32_t field)
{
    return field == TV_MODULE_ABS64 || field == TV_MODULE_PC64;
}

/* Where the region of witness `w` was: what leads there tells.  False if nothing sensible can be read. */
static bool region_of_witness(struct tv_kernel *k, const struct tv_module *m,
                              const struct tv_module_seen *seen, const struct tv_module_witness *w, uint64_t *va)
{
    uint64_t at = seen->base[w->area] + w->offset, v = 0;

    if (!tv_read_va(k, at, &v, wide(w->field) ? 8 : 4))
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
static int locate_regions(struct tv_modules_state *s, struct tv_kernel *k, const struct tv_module *m,
                          const struct tv_module_seen *seen)
{
    int order = 0;

    for (uint32_t i = 0; i < m->region_count; i++) {
        const struct tv_module_region *r = &m->regions[i];
        const struct tv_module_seen *owner = r->module ? &s->seen[m->needs[r->module - 1]] : seen;

        if (!owner->loaded)
            return -1;
        s->regions[i].start = r->start;
        s->regions[i].size = r->size;
        s->regions[i].va = owner->base[r->area];
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

        /* If it leads nowhere sensible, the digest of its page will tell. */
        if (region_of_witness(k, m, seen, w, &va))
            s->regions[w->region - TV_MODULE_REGION].va = va;
    }
    s->area.regions = s->regions;
    s->area.region_count = m->region_count;
    return order;
}

/* What to take from the values of each class in `area`, to have what stands there at link addresses. */
static void find_deltas(struct tv_modules_state *s, struct tv_kernel *k, const struct tv_module *m, uint32_t area,
                        uint64_t running)
{
    uint64_t text = k->profile->text_va, own = running - (text + m->starts[area]);

    for (uint32_t i = 0; i < m->class_count && i < TV_MODULES_CLASSES; i++) {
        const struct tv_module_class *c = &m->classes[i];

        if (c->region == TV_MODULE_KERNEL) {
            s->delta[i] = k->delta;
        } else if (c->region == TV_MODULE_ABSOLUTE) {
            s->delta[i] = 0;
        } else {
            const struct tv_text_region *r = &s->regions[c->region - TV_MODULE_REGION];

            s->delta[i] = r->va - (text + r->start);
        }
        if (c->field == TV_MODULE_PC32 || c->field == TV_MODULE_PC64)
            s->delta[i] -= own;
    }
}

static void take_back(struct tv_modules_state *s, const struct tv_module *m, uint32_t number, uint32_t offset)
{
    uint8_t *at = s->pass.window + TV_TEXT_BEFORE - TV_RELOC_BIAS + offset;
    size_t size = wide(m->classes[number].field) ? 8 : 4;
    uint64_t v = 0;

    memcpy(&v, at, size);
    v -= s->delta[number];
    memcpy(at, &v, size);
}

/* All values of entry `e`'s page: checks/modules/pages.py describes the groups. */
static void unrelocate(struct tv_modules_state *s, const struct tv_module *m, const struct tv_module_pages *p,
                       uint32_t e)
{
    const uint8_t *at = p->relocs + p->reloc_index[e], *end = p->relocs + p->reloc_index[e + 1];

    while (at < end) {
        uint32_t number = at[0] & (TV_MODULE_ROW - 1), count = at[1] | at[2] << 8, offset = 0;

        if (at[0] & TV_MODULE_ROW) {
            offset = at[3] | at[4] << 8;
            for (uint32_t n = 0; n < count; n++, offset += at[5])
                take_back(s, m, number, offset);
            at += 6;
            continue;
        }
        for (at += 3; count; count--) {
            while (*at == 0xff)
                offset += *at++;
            offset += *at++;
            take_back(s, m, number, offset);
        }
    }
}

/* The digest has condemned a page: say which lines of it differ. */
static void locate_change(struct tv_modules_state *s, const struct tv_module *m, const struct tv_module_pages *p,
                          uint32_t e, uint64_t va, const uint8_t digest[32], struct tv_result *res)
{
    const uint8_t *page = s->pass.window + TV_TEXT_BEFORE;
    uint64_t base = s->area.va;
    bool text = p == &m->text, located = false;

    for (uint32_t at = 0; at < TV_PAGE_SIZE; at += TV_MODULE_LINE) {
        uint8_t actual[TV_MODULE_LINE];

        if ((uint8_t)tv_crc32(0, page + at, TV_MODULE_LINE) == p->sums[e][at / TV_MODULE_LINE])
            continue;
        located = true;
        if (tv_range_read(&s->range, va + at, actual, sizeof(actual)))
            tv_find(res, text ? "text-bytes" : "bytes", m->name, va + at - base, va + at, NULL, 0, actual,
                    sizeof(actual),
                    text ? "a line of code that differs from the module's file outside of the places that are patched"
                         : "a line of read-only data that differs from the module's file");
    }
    if (!located) /* made to look the same line by line: the digest still tells */
        tv_find(res, "page-digest", m->name, va - base, va, p->digests[e], 32, digest, 32, NULL);
}

/* Show pages of the area at `va` from number `first` on, as many as there are and the window shows; where it ends. */
static uint32_t show(struct tv_modules_state *s, struct tv_kernel *k, struct tv_kept *kept, uint64_t va, uint32_t first,
                     uint32_t npages)
{
    uint32_t left = npages - first;
    uint64_t since;

    tv_range_show(k, &s->range, va + (uint64_t)first * TV_PAGE_SIZE, left < TV_MODULES_WINDOW ? left : TV_MODULES_WINDOW);
    since = tv_cost_begin();
    for (uint32_t at = 0; kept && at < s->range.npages; at++)
        tv_kept_look(kept, first + at, &s->range.view, at);
    tv_cost_end(TV_READING, since);
    return first + s->range.npages;
}

/* Copy page `i` into the pass's window and judge the places on it.  False, and counted, if it is not there. */
static bool take_page(struct tv_modules_state *s, struct tv_kernel *k, const struct tv_module *m,
                      const struct tv_module_pages *p, uint64_t va, uint32_t i, struct tv_result *res)
{
    bool there;

    if (p == &m->text)
        return tv_text_page(&s->pass, k, i, res);
    there = s->pass.kept ? tv_text_copy_kept(s->pass.window, s->pass.kept, i) :
                           tv_text_copy(s->pass.window, &s->range, va, i, p->npages);
    res->missing += !there;
    return there;
}

/* All pages of an area, as many at a time as the window shows; `kept`: what is kept of them, or NULL. */
static void judge_pages(struct tv_modules_state *s, struct tv_kernel *k, const struct tv_module *m,
                        const struct tv_module_pages *p, struct tv_kept *kept, uint64_t va, uint32_t order,
                        struct tv_result *res)
{
    uint32_t shown = 0;

    s->pass.kept = kept;
    for (uint32_t i = 0; i < p->npages; i++) {
        uint32_t e = p->order ? p->order[order * p->npages + i] : i;
        uint8_t digest[TV_DIGEST_SIZE];
        uint64_t since;

        if (i + 1 >= shown && shown < p->npages)
            shown = show(s, k, kept, va, i ? i - 1 : 0, p->npages);
        s->text.lifted = false;
        if (!take_page(s, k, m, p, va, i, res))
            continue;
        res->units++;
        if (kept && (kept->flags[i] & TV_KEPT_GOOD) && !s->text.lifted)
            continue;
        unrelocate(s, m, p, e);
        since = tv_cost_begin();
        tv_digest_bytes(k->digest, s->pass.window + TV_TEXT_BEFORE, TV_PAGE_SIZE, digest);
        tv_cost_end(TV_HASHING, since);
        if (memcmp(digest, p->digests[e], sizeof(digest)) != 0)
            locate_change(s, m, p, e, va + (uint64_t)i * TV_PAGE_SIZE, digest, res);
        else if (kept && !s->text.lifted)
            kept->flags[i] |= TV_KEPT_GOOD;
    }
}

void tv_module_judge(struct tv_modules_state *s, struct tv_kernel *k, uint32_t i, struct tv_result *res)
{
    const struct tv_module *m = &s->m->list[i];
    const struct tv_module_seen *seen = &s->seen[i];
    uint64_t text = seen->base[TV_MODULE_TEXT], rodata = seen->base[TV_MODULE_RODATA];
    int order;

    s->area.c = &m->code;
    s->area.symbol = m->name;
    s->area.va = text;
    order = locate_regions(s, k, m, seen);
    if (order < 0) {
        s->strange++;
        tv_modules_name(s, "a module that it needs cannot be verified", m->name);
        return;
    }
    if (!tv_text_keys_read(&s->text, &s->area, k)) {
        res->missing++;
        return;
    }
    tv_text_answer(&s->text, k);
    tv_text_tell_calls(&s->text, &s->area, k);
    if (s->text.op_count)
        tv_text_records_seek(&s->text, k, text, text + m->sizes[TV_MODULE_TEXT]);
    tv_text_rights(k, m->name, text, text, m->sizes[TV_MODULE_TEXT], true, res);
    tv_text_rights(k, m->name, text, rodata, m->sizes[TV_MODULE_RODATA], false, res);
    s->pass.s = &s->text;
    s->pass.a = &s->area;
    s->pass.range = &s->range;
    s->pass.arg = s->pass.jump = s->pass.carried = 0;
    tv_module_remember(s, i);
    find_deltas(s, k, m, TV_MODULE_TEXT, text);
    judge_pages(s, k, m, &m->text, tv_module_kept(s, i, TV_MODULE_TEXT), text, 0, res);
    find_deltas(s, k, m, TV_MODULE_RODATA, rodata);
    judge_pages(s, k, m, &m->rodata, tv_module_kept(s, i, TV_MODULE_RODATA), rodata, (uint32_t)order, res);
}
