/* SPDX-License-Identifier: MIT */
/*
 * text: ftrace's trampolines.  Each is a copy of ftrace_caller or
 * ftrace_regs_caller, which this scan has verified, with the changes of
 * create_trampoline() (arch/x86/kernel/ftrace.c):
 *
 *     size bytes of the caller, its call led to the ops' own function
 *     5 bytes: jmp x86_return_thunk, or ret; int3 and three that are never run
 *     8 bytes: the address of the ops, which the copy loads
 *
 * One that was made for a tracer of the command line is older than the choice
 * of mitigations, and is never made again: a copy of the caller as compiled,
 * with a plain return.
 */
#include "../lib/insn.h"
#include "encode.h"

#define RETURN_SIZE    TV_BRANCH_SIZE
#define TRAMPOLINE_MAX (TV_FTRACE_CALLER_MAX + RETURN_SIZE + 8)
#define SHOWN          16 /* bytes of a difference */

void tv_text_save_callers(struct tv_text_state *s, uint32_t page_offset, const uint8_t *page)
{
    for (uint32_t i = 0; i < 2; i++) {
        const struct tv_text_caller *c = &s->t->ftrace.templates[i];
        uint32_t first = c->start > page_offset ? c->start : page_offset;
        uint32_t end = c->start + c->size;

        if (end > page_offset + TV_PAGE_SIZE)
            end = page_offset + TV_PAGE_SIZE;
        if (first >= end)
            continue;
        memcpy(s->callers[i] + (first - c->start), page + (first - page_offset), end - first);
        memcpy(s->early[i] + (first - c->start), page + (first - page_offset), end - first);
        s->caller_pages[i] |= (uint8_t)(1u << (page_offset / TV_PAGE_SIZE - c->start / TV_PAGE_SIZE));
    }
}

void tv_text_save_early(struct tv_text_state *s, const struct tv_text_site *site)
{
    for (uint32_t i = 0; i < 2; i++) {
        const struct tv_text_caller *c = &s->t->ftrace.templates[i];
        const struct tv_text_template *none;
        uint32_t at = site->offset - c->start;

        if (site->kind != TV_TEXT_ALTERNATIVE || at >= c->size || site->size > c->size - at)
            continue;
        none = &site->area->c->templates[site->area->c->shapes[site->argument].templates[0]];
        if (none->size == site->size)
            tv_text_fill(s, site->area, none, site->offset, s->early[i] + at);
    }
}

static bool is_known(const struct tv_text_state *s, uint32_t which)
{
    const struct tv_text_caller *c = &s->t->ftrace.templates[which];
    uint32_t npages = (c->start + c->size - 1) / TV_PAGE_SIZE - c->start / TV_PAGE_SIZE + 1;

    return s->caller_pages[which] == (1u << npages) - 1;
}

/* The bytes that the kernel has made for `op`; their number, 0 if the caller's own are not known. */
static uint32_t make(const struct tv_text_state *s, const struct tv_text_op *op, uint32_t which, bool early,
                     uint8_t *out)
{
    const struct tv_text_ftrace *f = &s->t->ftrace;
    const struct tv_text_caller *c = &f->templates[which];
    uint64_t to = op->trampoline;
    uint32_t load = c->size + RETURN_SIZE - (c->op + 7u); /* from behind the load to the address of the ops */

    if (!is_known(s, which))
        return 0;
    memcpy(out, early ? s->early[which] : s->callers[which], c->size);
    if (f->moves && !tv_insn_move(out, c->size, s->text + c->start, to))
        return 0;
    if (c->jmp)
        memcpy(out + c->jmp, "\x66\x90", 2);
    memcpy(out + c->op + 3, &load, sizeof(load));
    tv_text_put_branch(out + c->call, TV_OP_CALL, to + c->call, op->called);
    if (early)
        memcpy(out + c->size, "\xc3\xcc\0\0\0", RETURN_SIZE);
    else
        tv_text_put_return(s, (uint32_t)(to + c->size - s->text), out + c->size);
    memcpy(out + c->size + RETURN_SIZE, &op->at, sizeof(op->at));
    return c->size + RETURN_SIZE + 8u;
}

static const char *caller_name(uint32_t which)
{
    return which ? "ftrace_regs_caller" : "ftrace_caller";
}

static void differs(struct tv_text_state *s, const struct tv_text_op *op, uint32_t which, uint32_t at,
                    const uint8_t *want, const uint8_t *got, uint32_t size)
{
    uint32_t shown = size - at < SHOWN ? size - at : SHOWN;

    tv_report_finding(
        s->res,
        &(struct tv_finding_args){
            .kind = TV_KIND_FTRACE_TRAMPOLINE,
            .symbol = caller_name(which),
            .offset = at,
            .address = op->trampoline + at,
            .expected = want + at,
            .expected_size = shown,
            .actual = got + at,
            .actual_size = shown,
            .note = "a trampoline of ftrace is not the copy of ftrace's own code that the kernel makes",
            .target = op->func,
        });
}

/* The first byte that differs, or `size`. */
static uint32_t compare(struct tv_text_state *s, uint32_t which, uint8_t *want, const uint8_t *got,
                        uint32_t size)
{
    uint32_t code = s->t->ftrace.templates[which].size;

    if (want[code] == TV_OP_RET)
        memcpy(want + code + 2, got + code + 2,
               RETURN_SIZE - 2); /* behind ret; int3: whatever was there before */
    return tv_text_first_difference(want, got, size);
}

static void check_copy(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_op *op)
{
    uint8_t want[TRAMPOLINE_MAX], early[TRAMPOLINE_MAX], got[TRAMPOLINE_MAX];
    uint32_t which = op->flags & s->t->ftrace.save_regs ? 1 : 0;
    uint32_t size = make(s, op, which, false, want), at;
    struct tv_translation tr;

    if (!size || !guest_read_va(k, op->trampoline, got, size)) {
        s->res->missing++;
        return;
    }
    s->res->items++;
    if (!tv_translate(k, op->trampoline, &tr) && tr.writable)
        tv_report_finding(s->res,
                          &(struct tv_finding_args){ .kind = TV_KIND_MAPPING,
                                                     .symbol = caller_name(which),
                                                     .address = op->trampoline,
                                                     .note = "a trampoline of ftrace is mapped writable" });
    at = compare(s, which, want, got, size);
    if (at < size && (!make(s, op, which, true, early) || compare(s, which, early, got, size) < size))
        differs(s, op, which, at, want, got, size);
}

static void report_foreign(struct tv_text_state *s, const struct tv_text_op *op)
{
    tv_report_finding(
        s->res, &(struct tv_finding_args){
                    .kind = TV_KIND_FTRACE_TRAMPOLINE,
                    .symbol = "ftrace_ops_list",
                    .address = op->at + s->t->ftrace.trampoline,
                    .actual = &op->trampoline,
                    .actual_size = sizeof(op->trampoline),
                    .note = "the trampoline that a registered ftrace_ops brings is none of the kernel's",
                    .target = op->trampoline,
                });
}

void tv_text_check_trampolines(struct tv_text_state *s, struct tv_kernel *k)
{
    for (uint32_t i = 0; i < s->op_count; i++) {
        const struct tv_text_op *op = &s->ops[i];

        if (!op->trampoline)
            continue;
        if (op->flags & s->t->ftrace.alloc_tramp)
            check_copy(s, k, op);
        else if (tv_text_entry(s, op->trampoline) == TV_TEXT_FOREIGN) /* its own: it must be the kernel's */
            report_foreign(s, op);
    }
}
