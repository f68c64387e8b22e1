/* SPDX-License-Identifier: MIT */
/*
 * text: kprobes.  Each that is armed stands in kprobe_table.  Its breakpoint
 * or jump is taken out of the page's copy, so that what was under it is judged
 * as ever; the code that runs in its place, in slots outside of .text, is made
 * of the same bytes again (arch/x86/kernel/kprobes/{core,opt}.c) and compared.
 */
#include <tinyvmi/config.h>

#include "internal.h"

#include "../lib/insn.h"

#define FLAG_GONE      1 /* linux/kprobes.h: KPROBE_FLAG_* */
#define FLAG_DISABLED  2
#define FLAG_OPTIMIZED 4
#define FLAG_FTRACE    8
#define PROBES_A_BUCKET 1024
#define CHILDREN_MAX    64
#define SMAP (9 * 32 + 20)

#define CALL  0xe8
#define JMP32 0xe9
#define INT3  0xcc
#define TEMPLATE_MAX 256 /* the generator refuses more */
#define COPIED_MAX   32
#define SLOT_SIZE    16 /* MAX_INSN_SIZE */

static bool read64(struct tv_kernel *k, uint64_t va, uint64_t *v)
{
    return tv_read_va(k, va, v, sizeof(*v));
}

/* A handler: 0, or the entry of a function of the kernel. */
static bool sound_handler(struct tv_text_state *s, struct tv_kernel *k, uint64_t va, uint64_t *first)
{
    uint64_t handler;

    if (!read64(k, va, &handler))
        return false;
    if (!handler || tv_text_verified(s, k, handler)) {
        if (!*first)
            *first = handler;
        return true;
    }
    *first = handler;
    return false;
}

/* The handlers of one struct kprobe, and of the kretprobe around it. */
static bool sound_probe(struct tv_text_state *s, struct tv_kernel *k, uint64_t kp, uint64_t *first)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;
    uint64_t handler = 0;

    if (!sound_handler(s, k, kp + p->pre_handler, &handler) || !sound_handler(s, k, kp + p->post_handler, &handler)) {
        *first = handler;
        return false;
    }
    if (handler == s->text + p->pre_handler_kretprobe) {
        handler = 0;
        if (!sound_handler(s, k, kp + p->handler, &handler) || !sound_handler(s, k, kp + p->entry_handler, &handler)) {
            *first = handler;
            return false;
        }
    }
    if (!*first)
        *first = handler;
    return true;
}

/* All handlers of the probe at one address: several share it through an aggregate, whose list has them. */
static bool sound(struct tv_text_state *s, struct tv_kernel *k, uint64_t kp, uint64_t *first)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;
    uint64_t own, head = kp + p->list, at = head;

    *first = 0;
    if (!read64(k, kp + p->pre_handler, &own) || own != s->text + p->aggr_pre_handler)
        return sound_probe(s, k, kp, first);
    for (uint32_t i = 0; i < CHILDREN_MAX && tv_text_step(s); i++) {
        if (!read64(k, at, &at))
            return false;
        if (at == head)
            return true;
        if (!sound_probe(s, k, at - p->list, first))
            return false;
    }
    return false;
}

static void tell(struct tv_text_state *s, const char *symbol, uint64_t base, const struct tv_text_probe *probe,
                 const uint8_t *actual, uint32_t size)
{
    bool allowed = probe->sound && tv_text_config.allow_kprobes;

    tv_attribute(tv_tell(s->res, allowed, "kprobe", symbol, probe->va - base, probe->va, probe->original, size,
                         actual, size,
                         !probe->sound    ? "a handler of this kprobe is no function of verified code"
                         : probe->on_ftrace ? "a kprobe that is registered in kprobe_table, on ftrace: a tracer may have set it"
                                            : "a kprobe that is registered in kprobe_table: a tracer may have set it"),
                 probe->handler, NULL);
}

static void read_probe(struct tv_text_state *s, struct tv_kernel *k, uint64_t kp)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;
    struct tv_text_probe *probe = &s->probes[s->probe_count];
    uint32_t flags;
    bool outside;

    memset(probe, 0, sizeof(*probe));
    probe->at = kp;
    if (!read64(k, kp + p->addr, &probe->va) || !tv_read_va(k, kp + p->opcode, probe->original, 1) ||
        !tv_read_va(k, kp + p->flags, &flags, sizeof(flags)) || (flags & (FLAG_GONE | FLAG_DISABLED)))
        return;
    probe->on_ftrace = flags & FLAG_FTRACE;
    probe->optimized = (flags & FLAG_OPTIMIZED) && tv_read_va(k, kp + p->copied, probe->original + 1, 4);
    probe->sound = sound(s, k, kp, &probe->handler);
    outside = probe->va - s->text >= (uint64_t)s->t->range.npages * TV_PAGE_SIZE;
    if (outside != s->in_modules) {
        if (outside && !k->module_entry)
            tell(s, "_text", s->text, probe, NULL, 0); /* in a module, and nobody judges those */
        return;
    }
    s->probe_count++;
}

void tv_text_probes_read(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;
    uint8_t disarmed;

    s->probe_count = 0;
    if (!tv_read_va(k, s->text + p->all_disarmed, &disarmed, 1) || disarmed)
        return;
    for (uint32_t bucket = 0; bucket < p->buckets; bucket++) {
        uint64_t at = s->text + p->table + 8 * bucket;

        for (uint32_t i = 0; i < PROBES_A_BUCKET && s->probe_count < TV_TEXT_PROBES && tv_text_step(s); i++) {
            if (!read64(k, at, &at) || !at)
                break;
            read_probe(s, k, at - p->hlist);
        }
    }
}

static void slot_differs(struct tv_text_state *s, const struct tv_text_probe *probe, uint64_t slot, const uint8_t *want,
                         const uint8_t *got, uint32_t size)
{
    uint32_t at, shown;

    for (at = 0; at < size && want[at] == got[at]; at++)
        ;
    shown = size - at < SLOT_SIZE ? size - at : SLOT_SIZE;
    tv_attribute(tv_find(s->res, "kprobe-slot", "_text", probe->va - s->text, slot + at, want + at, shown, got + at, shown,
                         "what runs in place of a probed instruction is not what the kernel makes of it"),
                 probe->va, NULL);
}

/* __copy_instruction(): the instruction at `code`, as it must be at `to`; its length, 0 if it is none. */
static uint32_t copied(const uint8_t *code, uint32_t room, uint64_t from, uint64_t to, uint8_t *out)
{
    struct tv_insn insn;

    if (!tv_insn_decode(code, room, &insn))
        return 0;
    memcpy(out, code, insn.length);
    if (insn.rip_relative) {
        int32_t v;

        memcpy(&v, out + insn.disp_at, sizeof(v));
        v = (int32_t)((uint32_t)v + (uint32_t)(from - to));
        memcpy(out + insn.disp_at, &v, sizeof(v));
    }
    return insn.length;
}

/* The slot for single steps: the instruction, then a jump back or INT3 (prepare_singlestep()). */
static void judge_slot(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_probe *probe,
                       const uint8_t *code)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;
    uint8_t want[SLOT_SIZE + 5], got[SLOT_SIZE + 5];
    uint32_t length;
    uint64_t slot;

    if (!read64(k, probe->at + p->slot, &slot) || !slot)
        return;
    length = copied(code, SLOT_SIZE, probe->va, slot, want);
    if (!length || !tv_read_va(k, slot, got, SLOT_SIZE)) {
        s->res->missing++;
        return;
    }
    s->res->units++;
    if (length + 5 <= SLOT_SIZE && got[length] == JMP32) {
        tv_text_put_branch(want + length, JMP32, slot + length, probe->va + length);
        length += 5;
    } else if (p->int3_in_slot && length < SLOT_SIZE) {
        want[length++] = INT3;
    }
    if (memcmp(want, got, length) != 0)
        slot_differs(s, probe, slot, want, got, length);
}

/* The slot that an optimised probe jumps to: the template, what was replaced, a jump back. */
static void judge_optimized(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_probe *probe,
                            uint64_t slot, const uint8_t *code)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;
    uint8_t want[TEMPLATE_MAX + COPIED_MAX], got[TEMPLATE_MAX + COPIED_MAX];
    uint32_t size = p->template_size, length = 0;

    memcpy(want, p->template, size);
    if (tv_text_capable(s, SMAP))
        memcpy(want + p->template_clac, "\x0f\x01\xca", 3);
    memcpy(want + p->template_val, "\x48\xbf", 2);
    memcpy(want + p->template_val + 2, &probe->at, sizeof(probe->at));
    tv_text_put_branch(want + p->template_call, CALL, slot + p->template_call, s->text + p->callback);
    while (length < 5) {
        uint32_t one = copied(code + length, SLOT_SIZE, probe->va + length, slot + size + length, want + size + length);

        if (!one) {
            s->res->missing++;
            return;
        }
        length += one;
    }
    size += length;
    tv_text_put_branch(want + size, JMP32, slot + size, probe->va + length);
    size += 5;
    if (!tv_read_va(k, slot, got, size)) {
        s->res->missing++;
        return;
    }
    s->res->units++;
    if (memcmp(want, got, size) != 0)
        slot_differs(s, probe, slot, want, got, size);
}

static bool is_jump_to(const uint8_t *code, uint64_t va, uint64_t target)
{
    uint8_t want[5];

    tv_text_put_branch(want, JMP32, va, target);
    return memcmp(code, want, sizeof(want)) == 0;
}

void tv_text_lift_probes(struct tv_text_state *s, const struct tv_text_area *a, struct tv_kernel *k, uint64_t va,
                         uint8_t *window, uint32_t size)
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
        else if (window[at] == INT3)
            replaced = 1;
        else if (probe->optimized && read64(k, probe->at + s->t->kprobes.optimized, &slot) &&
                 is_jump_to(window + at, probe->va, slot))
            replaced = sizeof(probe->original);
        if (probe->va - va < TV_PAGE_SIZE)
            tell(s, a->symbol, a->va, probe, window + at, replaced);
        memcpy(window + at, probe->original, replaced);
        probe->lifted = replaced;
        s->lifted = s->lifted || replaced;
    }
    for (uint32_t n = 0; n < s->probe_count; n++) {
        const struct tv_text_probe *probe = &s->probes[n];
        uint8_t *code = window + (probe->va - begin);

        if (probe->va - va >= TV_PAGE_SIZE || !probe->lifted)
            continue; /* in no page of ours, or nothing leads to its slots */
        judge_slot(s, k, probe, code);
        if (probe->optimized && read64(k, probe->at + s->t->kprobes.optimized, &slot))
            judge_optimized(s, k, probe, slot, code);
    }
}
