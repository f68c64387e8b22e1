/* SPDX-License-Identifier: MIT */
/*
 * text: kprobes.  Each that is armed stands in kprobe_table.  Its breakpoint
 * or jump is taken out of the page's copy, so that what was under it is checked
 * as ever; the code that runs in its place, in slots outside of .text, is made
 * of the same bytes again and compared (slot.c).
 */
#include "encode.h"

#define FLAG_GONE       1 /* linux/kprobes.h: KPROBE_FLAG_* */
#define FLAG_DISABLED   2
#define FLAG_OPTIMIZED  4
#define FLAG_FTRACE     8
#define PROBES_A_BUCKET 1024
#define CHILDREN_MAX    64

/* A handler: 0, or the entry of a function of the kernel. */
static bool has_valid_handler(struct tv_text_state *s, struct tv_kernel *k, uint64_t va, uint64_t *first)
{
    uint64_t handler;

    if (!guest_read_u64(k, va, &handler))
        return false;
    if (!handler || tv_text_is_verified(s, k, handler)) {
        if (!*first)
            *first = handler;
        return true;
    }
    *first = handler;
    return false;
}

/* The handlers of one struct kprobe, and of the kretprobe around it. */
static bool is_valid_probe(struct tv_text_state *s, struct tv_kernel *k, uint64_t kp, uint64_t *first)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;
    uint64_t handler = 0;

    if (!has_valid_handler(s, k, kp + p->pre_handler, &handler) ||
        !has_valid_handler(s, k, kp + p->post_handler, &handler)) {
        *first = handler;
        return false;
    }
    if (handler == s->text + p->pre_handler_kretprobe) {
        handler = 0;
        if (!has_valid_handler(s, k, kp + p->handler, &handler) ||
            !has_valid_handler(s, k, kp + p->entry_handler, &handler)) {
            *first = handler;
            return false;
        }
    }
    if (!*first)
        *first = handler;
    return true;
}

/* All handlers of the probe at one address: several share it through an aggregate, whose list has them. */
static bool is_valid(struct tv_text_state *s, struct tv_kernel *k, uint64_t kp, uint64_t *first)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;
    uint64_t own, head = kp + p->list, at = head;

    *first = 0;
    if (!guest_read_u64(k, kp + p->pre_handler, &own) || own != s->text + p->aggr_pre_handler)
        return is_valid_probe(s, k, kp, first);
    for (uint32_t i = 0; i < CHILDREN_MAX && tv_text_walk_on(s); i++) {
        if (!guest_read_u64(k, at, &at))
            return false;
        if (at == head)
            return true;
        if (!is_valid_probe(s, k, at - p->list, first))
            return false;
    }
    return false;
}

/* Report the probe, which stands in a stretch of code that begins at `base`. */
static void report(struct tv_text_state *s, const char *symbol, uint64_t base,
                   const struct tv_text_probe *probe, const uint8_t *actual, uint32_t size)
{
    const char *note = "a kprobe that is registered in kprobe_table: a tracer may have set it";

    if (!probe->valid)
        note = "a handler of this kprobe is no function of verified code";
    else if (probe->on_ftrace)
        note = "a kprobe that is registered in kprobe_table, on ftrace: a tracer may have set it";
    tv_report(s->res, probe->valid && tv_text_config.allow_kprobes,
              &(struct tv_finding_args){ .kind = TV_KIND_KPROBE,
                                         .symbol = symbol,
                                         .offset = probe->va - base,
                                         .address = probe->va,
                                         .expected = probe->original,
                                         .expected_size = size,
                                         .actual = actual,
                                         .actual_size = size,
                                         .note = note,
                                         .target = probe->handler });
}

static void read_probe(struct tv_text_state *s, struct tv_kernel *k, uint64_t kp)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;
    struct tv_text_probe *probe = &s->probes[s->probe_count];
    uint32_t flags;
    bool outside;

    memset(probe, 0, sizeof(*probe));
    probe->at = kp;
    if (!guest_read_u64(k, kp + p->addr, &probe->va) ||
        !guest_read_va(k, kp + p->opcode, probe->original, 1) ||
        !guest_read_va(k, kp + p->flags, &flags, sizeof(flags)) || (flags & (FLAG_GONE | FLAG_DISABLED)))
        return;
    probe->on_ftrace = flags & FLAG_FTRACE;
    probe->optimized = (flags & FLAG_OPTIMIZED) && guest_read_va(k, kp + p->copied, probe->original + 1, 4);
    probe->valid = is_valid(s, k, kp, &probe->handler);
    outside = probe->va - s->text >= (uint64_t)s->t->range.npages * TV_PAGE_SIZE;
    if (outside != s->in_modules) {
        if (outside && !k->modules.is_entry)
            report(s, "_text", s->text, probe, NULL, 0); /* in a module, and nothing checks those */
        return;
    }
    s->probe_count++;
}

void tv_text_probes_read(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;
    uint8_t disarmed;

    s->probe_count = 0;
    if (!guest_read_va(k, s->text + p->all_disarmed, &disarmed, 1) || disarmed)
        return;
    for (uint32_t bucket = 0; bucket < p->buckets; bucket++) {
        uint64_t at = s->text + p->table + 8 * bucket;

        for (uint32_t i = 0; i < PROBES_A_BUCKET && s->probe_count < TV_TEXT_PROBES_MAX && tv_text_walk_on(s);
             i++) {
            if (!guest_read_u64(k, at, &at) || !at)
                break;
            read_probe(s, k, at - p->hlist);
        }
    }
}

static bool is_jump_to(const uint8_t *code, uint64_t va, uint64_t target)
{
    uint8_t want[5];

    tv_text_put_branch(want, TV_OP_JMP32, va, target);
    return memcmp(code, want, sizeof(want)) == 0;
}

void tv_text_remove_probes(struct tv_text_state *s, const struct tv_text_area *a, struct tv_kernel *k,
                           uint64_t va, uint8_t *window, uint32_t size)
{
    uint64_t begin = va - TV_TEXT_BEFORE, slot;

    for (uint32_t n = 0; n < s->probe_count; n++) {
        struct tv_text_probe *probe = &s->probes[n];
        uint64_t at = probe->va - begin;
        uint32_t replaced = 0;

        if (at + sizeof(probe->original) > size || at > size)
            continue;
        if (probe->on_ftrace)
            ;
        else if (window[at] == TV_OP_INT3)
            replaced = 1;
        else if (probe->optimized && guest_read_u64(k, probe->at + s->t->kprobes.optimized, &slot) &&
                 is_jump_to(window + at, probe->va, slot))
            replaced = sizeof(probe->original);
        if (probe->va - va < TV_PAGE_SIZE)
            report(s, a->symbol, a->va, probe, window + at, replaced);
        memcpy(window + at, probe->original, replaced);
        probe->removed = replaced;
        s->removed = s->removed || replaced;
    }
    for (uint32_t n = 0; n < s->probe_count; n++) {
        const struct tv_text_probe *probe = &s->probes[n];
        uint8_t *code = window + (probe->va - begin);

        if (probe->va - va >= TV_PAGE_SIZE || !probe->removed)
            continue; /* in no page of ours, or nothing leads to its slots */
        tv_text_check_slots(s, k, probe, code);
    }
}
