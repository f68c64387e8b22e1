/* SPDX-License-Identifier: MIT */
/* text: what the guest has registered with ftrace and kprobes, to tell whose a change is. */
#include "text_internal.h"

#define KPROBE_FLAG_OPTIMIZED 4 /* linux/kprobes.h */
#define PROBES_A_BUCKET       1024

static void read_ops(struct tv_text_state *s, struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_text_ftrace *f = &s->t->ftrace;
    uint64_t end = s->text + f->list_end, ops;

    s->ops = 0;
    if (!tv_read_va(k, s->text + f->ops_list, &ops, sizeof(ops)))
        return;
    for (; ops != end && s->ops < TV_TEXT_OPS; s->ops++) {
        uint64_t *func = &s->ops_func[s->ops], *trampoline = &s->ops_trampoline[s->ops];
        uint64_t next;

        if (!tv_read_va(k, ops + f->func, func, sizeof(*func)) ||
            !tv_read_va(k, ops + f->trampoline, trampoline, sizeof(*trampoline)) ||
            !tv_read_va(k, ops + f->next, &next, sizeof(next)))
            return;
        if (tv_text_entry(s, *func) == TV_TEXT_FOREIGN && !tv_code_entry(k, *func))
            tv_find(res, "ftrace", "ftrace_ops_list", 0, ops + f->func, NULL, 0, func, sizeof(*func),
                    "a registered ftrace_ops calls code outside of the kernel: a module or livepatch may do so");
        ops = next;
    }
}

static void read_probe(struct tv_text_state *s, struct tv_kernel *k, uint64_t kp)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;
    struct tv_text_probe *probe = &s->probes[s->probe_count];
    uint32_t flags;

    if (!tv_read_va(k, kp + p->addr, &probe->va, sizeof(probe->va)) ||
        !tv_read_va(k, kp + p->opcode, probe->original, 1) || !tv_read_va(k, kp + p->flags, &flags, sizeof(flags)))
        return;
    probe->size = 1;
    if ((flags & KPROBE_FLAG_OPTIMIZED) && tv_read_va(k, kp + p->copied, probe->original + 1, 4))
        probe->size = 5;
    s->probe_count++;
}

static void read_probes(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text_kprobes *p = &s->t->kprobes;

    s->probe_count = 0;
    for (uint32_t bucket = 0; bucket < p->buckets; bucket++) {
        uint64_t at = s->text + p->table + 8 * bucket;

        for (uint32_t i = 0; i < PROBES_A_BUCKET && s->probe_count < TV_TEXT_PROBES; i++) {
            if (!tv_read_va(k, at, &at, sizeof(at)) || !at)
                break;
            read_probe(s, k, at - p->hlist);
        }
    }
}

void tv_text_trace_read(struct tv_text_state *s, struct tv_kernel *k, struct tv_result *res)
{
    read_ops(s, k, res);
    read_probes(s, k);
}
