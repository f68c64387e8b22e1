/* SPDX-License-Identifier: MIT */
/* text: ftrace's hashes of functions' entries (struct ftrace_hash, kernel/trace/ftrace.c). */
#include "internal.h"

#define BITS_MAX  12 /* FTRACE_HASH_MAX_BITS */
#define CHAIN_MAX 4096

bool tv_text_hash_read(struct tv_text_state *s, struct tv_kernel *k, uint64_t va, struct tv_text_hash *h)
{
    const struct tv_text_ftrace *f = &s->t->ftrace;
    uint64_t bits = 0, count = 0;

    memset(h, 0, sizeof(*h));
    h->empty = true;
    if (!va)
        return true;
    if (!guest_read_va(k, va + f->bits, &bits, sizeof(bits)) ||
        !guest_read_va(k, va + f->count, &count, sizeof(count)) ||
        !guest_read_va(k, va + f->heads, &h->heads, sizeof(h->heads)) || bits > BITS_MAX)
        return false;
    h->bits = (uint32_t)bits;
    h->empty = !count;
    return true;
}

/* ftrace_hash_key() with hash_long() (linux/hash.h) */
static uint64_t head_of(const struct tv_text_hash *h, uint64_t ip)
{
    uint64_t key = h->bits ? ip * UINT64_C(0x61c8864680b583eb) >> (64 - h->bits) : 0;

    return h->heads + 8 * key;
}

bool tv_text_hash_has(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_hash *h, uint64_t ip)
{
    uint64_t at = head_of(h, ip), found;

    for (uint32_t i = 0; i < CHAIN_MAX && tv_text_walk_on(s); i++) {
        if (!guest_read_va(k, at, &at, sizeof(at)) || !at ||
            !guest_read_va(k, at + s->t->ftrace.entry_ip, &found, sizeof(found)))
            return false;
        if (found == ip)
            return true;
    }
    return false;
}

static void read_chain(struct tv_text_state *s, struct tv_kernel *k, uint64_t at)
{
    const struct tv_text_ftrace *f = &s->t->ftrace;

    while (s->direct_count < TV_TEXT_DIRECT_MAX && tv_text_walk_on(s) &&
           guest_read_va(k, at, &at, sizeof(at)) && at) {
        struct tv_text_direct *d = &s->direct[s->direct_count];

        if (!guest_read_va(k, at + f->entry_ip, &d->ip, sizeof(d->ip)) ||
            !guest_read_va(k, at + f->entry_direct, &d->target, sizeof(d->target)))
            return;
        tv_text_dynamic_add(s, d->target & ~UINT64_C(1)); /* bit 0: a jump (7.x) */
        s->direct_count++;
    }
}

void tv_text_direct_read(struct tv_text_state *s, struct tv_kernel *k)
{
    struct tv_text_hash h;
    uint64_t va;

    s->direct_count = 0;
    if (!guest_read_va(k, s->text + s->t->ftrace.direct, &va, sizeof(va)) ||
        !tv_text_hash_read(s, k, va, &h) || h.empty)
        return;
    for (uint32_t i = 0; i < UINT32_C(1) << h.bits; i++)
        read_chain(s, k, h.heads + 8 * (uint64_t)i);
}

uint64_t tv_text_direct_at(const struct tv_text_state *s, uint64_t ip)
{
    for (uint32_t i = 0; i < s->direct_count; i++)
        if (s->direct[i].ip == ip)
            return s->direct[i].target;
    return 0;
}
