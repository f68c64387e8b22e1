/* SPDX-License-Identifier: MIT */
/* text: what runs in place of a probed instruction is made of the page's bytes again (arch/x86/kernel/kprobes/{core,opt}.c). */
#include "../lib/insn.h"
#include "encode.h"

#define SMAP         (9 * 32 + 20)
#define TEMPLATE_MAX 256 /* the generator refuses more */
#define COPIED_MAX   32
#define SLOT_SIZE    16 /* MAX_INSN_SIZE */

static void slot_differs(struct tv_text_state *s, const struct tv_text_probe *probe, uint64_t slot,
                         const uint8_t *want, const uint8_t *got, uint32_t size)
{
    uint32_t at = tv_text_first_difference(want, got, size);
    uint32_t shown = size - at < SLOT_SIZE ? size - at : SLOT_SIZE;

    tv_report_finding(
        s->res, &(struct tv_finding_args){
                    .kind = TV_KIND_KPROBE_SLOT,
                    .symbol = "_text",
                    .offset = probe->va - s->text,
                    .address = slot + at,
                    .expected = want + at,
                    .expected_size = shown,
                    .actual = got + at,
                    .actual_size = shown,
                    .note = "what runs in place of a probed instruction is not what the kernel makes of it",
                    .target = probe->va,
                });
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
static void check_single_step(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_probe *probe,
                              const uint8_t *code)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;
    uint8_t want[SLOT_SIZE + 5], got[SLOT_SIZE + 5];
    uint32_t length;
    uint64_t slot;

    if (!guest_read_va(k, probe->at + p->slot, &slot, sizeof(slot)) || !slot)
        return;
    length = copied(code, SLOT_SIZE, probe->va, slot, want);
    if (!length || !guest_read_va(k, slot, got, SLOT_SIZE)) {
        s->res->missing++;
        return;
    }
    s->res->items++;
    if (length + 5 <= SLOT_SIZE && got[length] == TV_OP_JMP32) {
        tv_text_put_branch(want + length, TV_OP_JMP32, slot + length, probe->va + length);
        length += 5;
    } else if (p->int3_in_slot && length < SLOT_SIZE) {
        want[length++] = TV_OP_INT3;
    }
    if (memcmp(want, got, length) != 0)
        slot_differs(s, probe, slot, want, got, length);
}

/* The slot that an optimised probe jumps to: the template, what was replaced, a jump back. */
static void check_optimized(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_probe *probe,
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
    tv_text_put_branch(want + p->template_call, TV_OP_CALL, slot + p->template_call, s->text + p->callback);
    while (length < 5) {
        uint32_t one =
            copied(code + length, SLOT_SIZE, probe->va + length, slot + size + length, want + size + length);

        if (!one) {
            s->res->missing++;
            return;
        }
        length += one;
    }
    size += length;
    tv_text_put_branch(want + size, TV_OP_JMP32, slot + size, probe->va + length);
    size += 5;
    if (!guest_read_va(k, slot, got, size)) {
        s->res->missing++;
        return;
    }
    s->res->items++;
    if (memcmp(want, got, size) != 0)
        slot_differs(s, probe, slot, want, got, size);
}

void tv_text_check_slots(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_probe *probe,
                         const uint8_t *code)
{
    uint64_t slot;

    check_single_step(s, k, probe, code);
    if (probe->optimized && guest_read_va(k, probe->at + s->t->kprobes.optimized, &slot, sizeof(slot)))
        check_optimized(s, k, probe, slot, code);
}
