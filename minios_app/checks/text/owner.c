/* SPDX-License-Identifier: MIT */
/*
 * text: whose code it is that the kernel's own leads to.  Dynamic code of BPF stands
 * in bpf_kallsyms (dynamic.c), what livepatch replaces in klp_ops; both are reported by
 * name, and allowed only if the configuration allows them.
 */
#include "dynamic.h"

#define KLP_MAX 1024

static const char bpf_note[] = "code that the kernel made of BPF programs; its bytes cannot be verified";

static const char call_note[] =
    "a static call leads to no function of the kernel or of a verified module, and to no BPF dispatcher";
static const char direct_note[] = "a direct call of ftrace leads to code that no registry of the kernel has";

static const char *name_of(const struct tv_text_dynamic *g)
{
    return g ? g->name : NULL;
}

void tv_text_report_calls(struct tv_text_state *s, const struct tv_text_area *a, struct tv_kernel *k)
{
    for (uint32_t i = 0; i < a->c->call_key_count; i++) {
        uint64_t key = tv_text_address(s, a, a->c->call_keys[i]);
        const struct tv_text_dynamic *g;
        bool known;

        if (a->functions[i] != TV_TEXT_FOREIGN || tv_module_entry(k, a->foreign[i]))
            continue;
        if (s->in_modules && key - s->text < k->profile->image_size)
            continue; /* the kernel's: reported with its own calls */
        g = tv_text_dynamic_at(s, a->foreign[i]);
        known = g && g->known && tv_text_starts_with(g->name, "bpf_dispatcher_");
        tv_report(s->res, known && tv_text_config.allow_bpf,
                  &(struct tv_finding_args){ .kind = known ? TV_KIND_BPF : TV_KIND_STATIC_CALL,
                                             .symbol = "_text",
                                             .offset = key - s->text,
                                             .address = key,
                                             .actual = &a->foreign[i],
                                             .actual_size = sizeof(a->foreign[i]),
                                             .note = known ? bpf_note : call_note,
                                             .target = a->foreign[i],
                                             .owner = name_of(g) });
    }
}

static void report_direct(struct tv_text_state *s)
{
    for (uint32_t i = 0; i < s->direct_count; i++) {
        const struct tv_text_direct *d = &s->direct[i];
        uint64_t target = d->target & ~UINT64_C(1);
        const struct tv_text_dynamic *g = tv_text_dynamic_at(s, target);
        bool known = g && g->known && tv_text_starts_with(g->name, "bpf_trampoline_");

        tv_report(s->res, known && tv_text_config.allow_bpf,
                  &(struct tv_finding_args){ .kind = known ? TV_KIND_BPF : TV_KIND_FTRACE,
                                             .symbol = "_text",
                                             .offset = d->ip - s->text,
                                             .address = d->ip,
                                             .actual = &d->target,
                                             .actual_size = sizeof(d->target),
                                             .note = known ? bpf_note : direct_note,
                                             .target = target,
                                             .owner = name_of(g) });
    }
}

/* Is the ops at `va` one of livepatch's? */
static bool is_livepatch(struct tv_text_state *s, struct tv_kernel *k, uint64_t va)
{
    const struct tv_text_registries *r = &s->t->registries;
    uint64_t head = s->text + r->klp_list, at = head;

    for (uint32_t i = 0;
         i < KLP_MAX && tv_text_walk_on(s) && guest_read_va(k, at, &at, sizeof(at)) && at != head; i++)
        if (va == at - r->klp_node + r->klp_ops)
            return true;
    return false;
}

static void report_ops(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text_registries *r = &s->t->registries;

    for (uint32_t i = 0; i < s->op_count; i++) {
        const struct tv_text_op *op = &s->ops[i];
        bool livepatch = r->klp_list && op->func == s->text + r->klp_handler;
        const char *note = NULL;

        if (livepatch && !is_livepatch(s, k, op->at))
            note = "a registered ftrace_ops calls livepatch's handler and is none of livepatch's";
        else if (!tv_text_is_verified(s, k, op->func))
            note =
                "a registered ftrace_ops calls no function of verified code: a module may have registered it";
        if (note)
            tv_report_finding(s->res,
                              &(struct tv_finding_args){ .kind = TV_KIND_FTRACE,
                                                         .symbol = "ftrace_ops_list",
                                                         .address = op->at + s->t->ftrace.func,
                                                         .actual = &op->func,
                                                         .actual_size = sizeof(op->func),
                                                         .note = note,
                                                         .target = op->func,
                                                         .owner = name_of(tv_text_dynamic_at(s, op->func)) });
    }
}

static void report_livepatch(struct tv_text_state *s, struct tv_kernel *k, uint64_t ops)
{
    const struct tv_text_registries *r = &s->t->registries;
    uint64_t func, old, new, name_va;
    char name[TV_OWNER_MAX] = "";

    /* The function on top of the stack is the one that runs. */
    if (!guest_read_va(k, ops + r->klp_stack, &func, sizeof(func)) || func == ops + r->klp_stack)
        return;
    func -= r->klp_func;
    if (!guest_read_va(k, func + r->klp_old, &old, sizeof(old)) ||
        !guest_read_va(k, func + r->klp_new, &new, sizeof(new)) ||
        !guest_read_va(k, func + r->klp_name, &name_va, sizeof(name_va))) {
        s->res->missing++;
        return;
    }
    if (!guest_read_va(k, name_va, name, sizeof(name)))
        name[0] = 0;
    name[sizeof(name) - 1] = 0;
    tv_report(s->res, tv_text_config.allow_livepatch,
              &(struct tv_finding_args){
                  .kind = TV_KIND_LIVEPATCH,
                  .symbol = "_text",
                  .offset = old - s->text,
                  .address = old,
                  .actual = &new,
                  .actual_size = sizeof(new),
                  .note = "livepatch has replaced this function; that of the new one is a module's code",
                  .target = new,
                  .owner = name });
}

void tv_text_report_owners(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text_registries *r = &s->t->registries;
    uint64_t head = s->text + r->klp_list, at = head;

    report_direct(s);
    report_ops(s, k);
    for (uint32_t i = 0; r->klp_list && i < KLP_MAX && tv_text_walk_on(s) &&
                         guest_read_va(k, at, &at, sizeof(at)) && at != head;
         i++)
        report_livepatch(s, k, at - r->klp_node);
}
