/* SPDX-License-Identifier: MIT */
/*
 * text: what a function's entry may call.  ftrace keeps a record of each
 * entry and a list of who traces; together they ask for exactly one encoding
 * (ftrace_get_addr_curr(), kernel/trace/ftrace.c).
 */
#include "encode.h"

/* dyn_ftrace.flags: the same in every series that the generator knows, which it verifies. */
#define ENABLED   (UINT64_C(1) << 31)
#define REGS_EN   (UINT64_C(1) << 29)
#define TRAMP_EN  (UINT64_C(1) << 27)
#define DIRECT_EN (UINT64_C(1) << 23)

/* ftrace_ops_get_func() */
static uint64_t called(const struct tv_text_state *s, const struct tv_text_op *op)
{
    const struct tv_text_ftrace *f = &s->t->ftrace;

    if ((op->flags & f->assist_set) || (f->assist_clear && !(op->flags & f->assist_clear)))
        return s->text + f->assist;
    return op->func;
}

static bool read_op(struct tv_text_state *s, struct tv_kernel *k, struct tv_text_op *op, uint64_t *next)
{
    const struct tv_text_ftrace *f = &s->t->ftrace;
    uint64_t hashes, filter, notrace;

    if (!guest_read_u64(k, op->at + f->func, &op->func) ||
        !guest_read_u64(k, op->at + f->trampoline, &op->trampoline) ||
        !guest_read_u64(k, op->at + f->flags, &op->flags) || !guest_read_u64(k, op->at + f->next, next) ||
        !guest_read_u64(k, op->at + f->hashes, &hashes) || !guest_read_u64(k, hashes + f->filter, &filter) ||
        !guest_read_u64(k, hashes + f->notrace, &notrace))
        return false;
    op->called = called(s, op);
    return tv_text_hash_read(s, k, filter, &op->filter) && tv_text_hash_read(s, k, notrace, &op->notrace);
}

/* The list of those who trace.  One that cannot be read ends it: what only it explains is then a finding. */
static void read_ops(struct tv_text_state *s, struct tv_kernel *k)
{
    uint64_t end = s->text + s->t->ftrace.list_end, at;

    s->op_count = 0;
    if (!guest_read_u64(k, s->text + s->t->ftrace.ops_list, &at))
        return;
    while (at != end && s->op_count < TV_TEXT_OPS_MAX) {
        struct tv_text_op *op = &s->ops[s->op_count];

        op->at = at;
        if (!read_op(s, k, op, &at))
            return;
        s->op_count++;
        if (tv_text_entry(s, op->func) == TV_TEXT_FOREIGN)
            tv_text_dynamic_add(s, op->func);
    }
}

/* May ftrace_call lead to `function`: the stub, the list's function, or who is registered? */
static bool may_call(const struct tv_text_state *s, uint64_t function)
{
    const struct tv_text_ftrace *f = &s->t->ftrace;

    for (uint32_t i = 0; i < f->function_count; i++)
        if (function == s->text + f->functions[i])
            return true;
    for (uint32_t i = 0; i < s->op_count; i++)
        if (function == s->ops[i].called)
            return true;
    return false;
}

void tv_text_ftrace_read(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text_ftrace *f = &s->t->ftrace;
    uint32_t enabled = 1;

    read_ops(s, k);
    s->direct_count = 0;
    if (s->op_count) {
        tv_text_direct_read(s, k);
        tv_text_records_begin(s, k);
    }
    s->ftrace_enabled = !guest_read_va(k, s->text + f->enabled, &enabled, sizeof(enabled)) || enabled;
    s->trace_function = s->text + f->functions[0];
    if (!guest_read_u64(k, s->text + f->trace_function, &s->trace_function) || may_call(s, s->trace_function))
        return;
    tv_report_finding(s->res,
                      &(struct tv_finding_args){
                          .kind = TV_KIND_FTRACE,
                          .symbol = "ftrace_trace_function",
                          .address = s->text + f->trace_function,
                          .actual = &s->trace_function,
                          .actual_size = sizeof(s->trace_function),
                          .note = "what ftrace calls is neither its own nor of a registered ftrace_ops",
                          .target = s->trace_function,
                      });
    s->trace_function = s->text + f->functions[0];
}

/* Does `op` trace the function at `ip` (hash_contains_ip())? */
static bool traces(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_op *op, uint64_t ip)
{
    return (op->filter.empty || tv_text_hash_has(s, k, &op->filter, ip)) &&
           (op->notrace.empty || !tv_text_hash_has(s, k, &op->notrace, ip));
}

/* The trampoline of who traces `ip`: only one does.  The one that is called already is asked first; 0: none. */
static uint64_t trampoline_of(struct tv_text_state *s, struct tv_kernel *k, uint64_t ip, uint32_t actual)
{
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < s->op_count; i++) {
            const struct tv_text_op *op = &s->ops[i];
            bool same = (uint32_t)(op->trampoline - s->text) == actual;

            if (op->trampoline && same == !pass && traces(s, k, op, ip))
                return op->trampoline;
        }
    return 0;
}

/* ftrace_get_addr_curr(): where an entry with these flags leads; `actual` is where it does, from _text. */
static uint64_t target_of(struct tv_text_state *s, struct tv_kernel *k, uint64_t ip, uint64_t flags,
                          uint32_t actual)
{
    const struct tv_text_ftrace *f = &s->t->ftrace;
    uint64_t target = flags & DIRECT_EN ? tv_text_direct_at(s, ip) : 0;

    if (!target && (flags & TRAMP_EN))
        target = trampoline_of(s, k, ip, actual);
    if (target)
        return target;
    return s->text + f->callers[flags & REGS_EN ? 1 : 0];
}

void tv_text_expect_ftrace(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_site *site,
                           uint8_t *out)
{
    uint64_t ip = s->text + site->offset, flags, target;
    uint8_t opcode = TV_OP_CALL;
    uint32_t actual;

    memcpy(&actual, site->actual + 1, sizeof(actual));
    if (!s->op_count || !tv_text_record(s, k, ip, &flags) || !(flags & ENABLED))
        return;
    target = target_of(s, k, ip, flags, actual + site->offset + 5);
    if ((flags & DIRECT_EN) && (target & 1)) { /* ftrace_is_jmp() (7.x) */
        opcode = TV_OP_JMP32;
        target--;
    }
    tv_text_put_branch(out, opcode, site->offset, target - s->text);
}

/* ftrace_call and its like: ftrace_trace_function, when nothing is traced ftrace_stub. */
void tv_text_expect_ftrace_update(const struct tv_text_state *s, const struct tv_text_site *site,
                                  uint8_t *out)
{
    const struct tv_text_ftrace *f = &s->t->ftrace;
    uint32_t want = (uint32_t)(s->trace_function - s->text), actual;

    memcpy(&actual, site->actual + 1, sizeof(actual));
    actual += site->offset + 5;
    if (site->argument) { /* ftrace_graph_call: only the graph tracer moves it */
        want = f->graph[0];
        for (uint32_t i = 0; i < f->graph_count; i++)
            if (actual == f->graph[i])
                want = actual;
        tv_text_put_branch(out, TV_OP_JMP32, site->offset, want);
        return;
    }
    /* Counted as compiled, not when ftrace has set it: its callers count themselves. */
    if (actual != want)
        want = tv_text_called_as(s, want);
    /* Switched off (kernel.ftrace_enabled), it keeps what it last called. */
    if (!s->ftrace_enabled && may_call(s, s->text + (uint64_t)(int64_t)(int32_t)actual))
        want = actual;
    tv_text_put_branch(out, TV_OP_CALL, site->offset, want);
}
