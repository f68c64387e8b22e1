/* SPDX-License-Identifier: MIT */
/* text: one page of code, the kernel's or a module's: every patch site in it is checked, then blanked. */
#include "encode.h"

bool tv_text_copy_cached(uint8_t *window, const struct tv_page_cache *cache, uint32_t i)
{
    const uint8_t *before = i ? tv_page_cache_page(cache, i - 1) : NULL, *here = tv_page_cache_page(cache, i);
    const uint8_t *after = tv_page_cache_page(cache, i + 1);
    uint8_t *page = window + TV_TEXT_BEFORE;

    memset(window, 0, TV_TEXT_BEFORE);
    memset(page + TV_PAGE_SIZE, 0, TV_TEXT_AFTER);
    if (before)
        memcpy(window, before + TV_PAGE_SIZE - TV_TEXT_BEFORE, TV_TEXT_BEFORE);
    if (after)
        memcpy(page + TV_PAGE_SIZE, after, TV_TEXT_AFTER);
    if (here)
        memcpy(page, here, TV_PAGE_SIZE);
    return here;
}

bool tv_text_copy(uint8_t *window, const struct tv_range *range, uint64_t va, uint32_t i, uint32_t npages)
{
    uint64_t at = va + (uint64_t)i * TV_PAGE_SIZE;
    uint8_t *page = window + TV_TEXT_BEFORE;

    /* A neighbour that is missing counts itself; what reaches into it cannot be checked here either. */
    if (i == 0 || !guest_range_read(range, at - TV_TEXT_BEFORE, window, TV_TEXT_BEFORE))
        memset(window, 0, TV_TEXT_BEFORE);
    if (i + 1 == npages || !guest_range_read(range, at + TV_PAGE_SIZE, page + TV_PAGE_SIZE, TV_TEXT_AFTER))
        memset(page + TV_PAGE_SIZE, 0, TV_TEXT_AFTER);
    return guest_range_read(range, at, page, TV_PAGE_SIZE);
}

/* Lead the call at `at` of the window to the function again. */
static void uncount_call(struct tv_text_pass *p, uint32_t at)
{
    uint32_t v;

    memcpy(&v, p->window + at + 1, sizeof(v));
    v += p->s->t->call_pad.size;
    memcpy(p->window + at + 1, &v, sizeof(v));
}

/* The accounting in front of the functions of page `n`, as far as it lies in page `i`'s window, becomes padding. */
static void uncount_pads(struct tv_text_pass *p, uint32_t i, uint32_t n)
{
    const struct tv_text_template *pad = &p->s->t->call_pad;
    const struct tv_text_code *c = p->a->c;
    uint32_t window = (uint32_t)(p->a->va - p->s->text) + i * TV_PAGE_SIZE - TV_TEXT_BEFORE;

    for (uint32_t f = c->function_index[n]; f < c->function_index[n + 1]; f++) {
        uint32_t kind = c->functions[f] >> 12;
        uint32_t at = TV_TEXT_BEFORE + (n - i) * TV_PAGE_SIZE + c->functions[f] % TV_PAGE_SIZE - pad->size;
        uint8_t want[TV_TEXT_BEFORE];

        if (at + pad->size > sizeof(p->window))
            break;
        if (kind == TV_TEXT_NO_PAD)
            continue;
        tv_text_fill(p->s, p->a, pad, window + at, want);
        if (memcmp(p->window + at, want, pad->size) == 0)
            memset(p->window + at, TV_OP_NOP, pad->size);
        else if (kind == TV_TEXT_PAD_COUNTED)
            memset(p->window + at, 0, pad->size); /* it must be there: then the digest differs */
    }
}

/* Take the call-depth accounting out of the copy: calls lead to the functions again, and padding is padding. */
static void uncount(struct tv_text_pass *p, uint32_t i)
{
    const struct tv_text_code *c = p->a->c;
    uint32_t at = 0;

    for (uint32_t n = c->call_index[i]; n < c->call_index[i + 1]; n++) {
        at += c->call_gaps[n];
        if (c->call_gaps[n] != 0xff)
            uncount_call(p, at);
    }
    uncount_pads(p, i, i);
    if (i + 1 < c->npages)
        uncount_pads(p, i, i + 1);
}

/* A text poke in flight has INT3 for the first byte until the others are there (text_poke_bp). */
static const char *note_of(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_site *site,
                           const uint8_t *expected)
{
    if (site->actual[0] != TV_OP_INT3 || expected[0] == TV_OP_INT3)
        return tv_text_kind_note(site->kind);
    if (!tv_text_poked(s, k, s->text + (uint64_t)(int64_t)(int32_t)site->offset))
        return "a breakpoint that neither a kprobe nor the kernel's own patching explains";
    s->poking = true;
    return "the kernel says that it is patching this place, and did not end: a dump taken just then, or a "
           "cover";
}

static void check_site(struct tv_text_pass *p, struct tv_kernel *k, const struct tv_text_site *site,
                       uint64_t offset, struct tv_result *res)
{
    uint8_t expected[TV_TEXT_AFTER];

    memset(expected, 0, sizeof(expected));
    tv_text_expect(p->s, k, site, expected);
    if (memcmp(expected, site->actual, site->size) != 0)
        tv_report_finding(res, &(struct tv_finding_args){ .kind = tv_text_finding_kind(site->kind),
                                                          .symbol = p->a->symbol,
                                                          .offset = offset,
                                                          .address = p->a->va + offset,
                                                          .expected = expected,
                                                          .expected_size = site->size,
                                                          .actual = site->actual,
                                                          .actual_size = site->size,
                                                          .note = note_of(p->s, k, site, expected) });
}

/* Site number `n`, which is on page `i`: the next one of the pass, but for what stands there. */
static struct tv_text_site next_site(struct tv_text_pass *p, uint32_t i, uint32_t n)
{
    const struct tv_text_code *c = p->a->c;
    struct tv_text_site site = { .area = p->a,
                                 .kind = (enum tv_text_kind)(c->sites[n] >> 12),
                                 .offset = (uint32_t)(p->a->va - p->s->text) + i * TV_PAGE_SIZE +
                                           (c->sites[n] & (TV_PAGE_SIZE - 1)) };
    uint32_t end;

    if (tv_text_has_argument(site.kind))
        site.argument = c->args[p->arg++];
    if (site.kind == TV_TEXT_JUMP_LABEL)
        site.jump = &c->jumps[p->jump++];
    site.size = tv_text_size(p->s->t, &site);
    end = (c->sites[n] & (TV_PAGE_SIZE - 1)) + site.size;
    if (end > TV_PAGE_SIZE)
        p->carried = end - TV_PAGE_SIZE;
    return site;
}

void tv_text_find_starts(struct tv_text_pass *p, struct tv_text_start *starts)
{
    p->arg = p->jump = p->carried = 0;
    for (uint32_t i = 0; i < p->a->c->npages; i++) {
        starts[i] = (struct tv_text_start){ .arg = p->arg, .jump = p->jump, .carried = p->carried };
        p->carried = 0;
        for (uint32_t n = p->a->c->site_index[i]; n < p->a->c->site_index[i + 1]; n++)
            next_site(p, i, n);
    }
}

/* All sites of page `i`.  An unreadable page is passed over, so that the tables stay in step. */
static void check_sites(struct tv_text_pass *p, struct tv_kernel *k, uint32_t i, bool readable,
                        struct tv_result *res)
{
    const struct tv_text_code *c = p->a->c;
    uint8_t *page = p->window + TV_TEXT_BEFORE;
    uint32_t carried = p->carried;

    p->carried = 0;
    if (readable)
        memset(page, 0, carried);
    for (uint32_t n = c->site_index[i]; n < c->site_index[i + 1]; n++) {
        uint32_t at = c->sites[n] & (TV_PAGE_SIZE - 1), offset = i * TV_PAGE_SIZE + at;
        struct tv_text_site site = next_site(p, i, n);

        if (!readable)
            continue;
        site.actual = page + at;
        check_site(p, k, &site, offset, res);
        if (!p->s->in_modules)
            tv_text_save_early(p->s, &site);
        memset(page + at, 0, site.size);
    }
}

/* Copy page `i`, with what lies around it, to where its sites are checked. */
static bool take(struct tv_text_pass *p, struct tv_kernel *k, uint32_t i)
{
    uint64_t since;
    bool there;

    if (p->cache)
        return tv_text_copy_cached(p->window, p->cache, i);
    since = tv_cost_begin(k->costs);
    there = tv_text_copy(p->window, p->range, p->a->va, i, p->a->c->npages);
    tv_cost_end(k->costs, TV_PHASE_READING, since);
    return there;
}

bool tv_text_check_page(struct tv_text_pass *p, struct tv_kernel *k, uint32_t i, struct tv_result *res)
{
    uint64_t since = tv_cost_begin(k->costs);
    bool readable = take(p, k, i);

    if (readable)
        tv_text_remove_probes(p->s, p->a, k, p->a->va + (uint64_t)i * TV_PAGE_SIZE, p->window,
                              sizeof(p->window));
    else
        res->missing++;
    if (readable && !p->s->in_modules)
        tv_text_save_callers(p->s, i * TV_PAGE_SIZE, p->window + TV_TEXT_BEFORE);
    if (readable && p->s->patching.call_depth)
        uncount(p, i);
    check_sites(p, k, i, readable, res);
    tv_cost_end(k->costs, TV_PHASE_SITES, since);
    return readable;
}
