/* SPDX-License-Identifier: MIT */
/*
 * text: ftrace's records (struct dyn_ftrace), one of each function's entry.
 * They lie in address order, as the pass goes, so that one forward reading of
 * them serves a whole scan.  A guest that shuffles them only loses them.
 */
#include "internal.h"

#define SLACK 65536 /* records of modules, or of what was freed after boot */

static bool next_page(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text_ftrace *f = &s->t->ftrace;
    struct tv_text_records *r = &s->records;
    int32_t count;
    uint64_t page = r->page;

    while (page && r->limit && tv_text_walk_on(s)) {
        if (!guest_read_va(k, page + f->page_records, &r->records, sizeof(r->records)) ||
            !guest_read_va(k, page + f->page_index, &count, sizeof(count)) ||
            !guest_read_va(k, page + f->page_next, &r->page, sizeof(r->page)))
            break;
        r->left = count > 0 ? (uint32_t)count : 0;
        if (r->left)
            return true;
        page = r->page;
    }
    r->page = 0;
    return false;
}

static bool refill(struct tv_text_state *s, struct tv_kernel *k)
{
    struct tv_text_records *r = &s->records;

    r->next = 0;
    r->have = 0;
    if (!r->left && !next_page(s, k))
        return false;
    r->have = r->left < TV_ARRAY_SIZE(r->chunk) ? r->left : (uint32_t)TV_ARRAY_SIZE(r->chunk);
    if (r->have > r->limit)
        r->have = r->limit;
    if (!r->have || !guest_read_va(k, r->records, r->chunk, r->have * sizeof(r->chunk[0]))) {
        r->have = 0;
        r->left = 0;
        return false;
    }
    r->records += r->have * sizeof(r->chunk[0]);
    r->left -= r->have;
    r->limit -= r->have;
    return true;
}

void tv_text_records_begin(struct tv_text_state *s, struct tv_kernel *k)
{
    struct tv_text_records *r = &s->records;

    memset(r, 0, sizeof(*r));
    r->limit = s->t->ftrace.site_count + SLACK;
    if (!guest_read_va(k, s->text + s->t->ftrace.pages, &r->page, sizeof(r->page)))
        r->page = 0;
}

void tv_text_records_seek(struct tv_text_state *s, struct tv_kernel *k, uint64_t low, uint64_t high)
{
    uint64_t ip;

    tv_text_records_begin(s, k);
    while (next_page(s, k))
        if (guest_read_va(k, s->records.records, &ip, sizeof(ip)) && ip >= low && ip < high)
            return;
    s->records.left = 0;
}

bool tv_text_record(struct tv_text_state *s, struct tv_kernel *k, uint64_t ip, uint64_t *flags)
{
    struct tv_text_records *r = &s->records;

    do {
        for (; r->next < r->have; r->next++) {
            if (r->chunk[r->next].ip > ip)
                return false;
            if (r->chunk[r->next].ip == ip) {
                *flags = r->chunk[r->next].flags;
                return true;
            }
        }
    } while (refill(s, k));
    return false;
}
