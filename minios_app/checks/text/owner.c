/* SPDX-License-Identifier: MIT */
/*
 * text: whose code it is that the kernel's own leads to.  Code that the kernel
 * makes of BPF programs stands in bpf_kallsyms, what livepatch replaces in
 * klp_ops; both are told by name, and allowed only if the configuration says so.
 */
#include <tinyvmi/config.h>

#include "internal.h"

#define LIST_MAX  8192
#define KLP_MAX   1024
#define HALF_PAGE 2048 /* a dispatcher's two images (kernel/bpf/dispatcher.c) */

static const char bpf_note[] = "code that the kernel made of BPF programs; its bytes cannot be verified";

bool tv_text_verified(const struct tv_text_state *s, struct tv_kernel *k, uint64_t va)
{
    return va && (tv_text_entry(s, va) < TV_TEXT_FOREIGN || tv_module_entry(k, va));
}

void tv_text_ask(struct tv_text_state *s, uint64_t va)
{
    struct tv_text_generated *g = &s->generated[s->generated_count];

    if (s->generated_count == TV_TEXT_GENERATED || tv_text_generated(s, va))
        return;
    memset(g, 0, sizeof(*g));
    g->va = va;
    s->generated_count++;
}

const struct tv_text_generated *tv_text_generated(const struct tv_text_state *s, uint64_t va)
{
    for (uint32_t i = 0; i < s->generated_count; i++)
        if (s->generated[i].va == va)
            return &s->generated[i];
    return NULL;
}

static bool starts(const char *name, const char *with)
{
    return memcmp(name, with, strlen(with)) == 0;
}

/* May one call `va` in the BPF code [start, end) of this name?  Trampolines at their begin, dispatchers in either half. */
static bool is_entry(const char name[TV_OWNER_MAX], uint64_t va, uint64_t start, uint64_t end)
{
    if (starts(name, "bpf_dispatcher_"))
        return va < end && (va == start || va == start + HALF_PAGE);
    return va == start && starts(name, "bpf_");
}

static void compare_bpf(struct tv_text_state *s, struct tv_kernel *k, uint64_t ksym)
{
    const struct tv_text_registries *r = &s->t->registries;
    uint64_t start, end;
    char name[TV_OWNER_MAX];

    if (!tv_read_va(k, ksym + r->bpf_start, &start, sizeof(start)) || !tv_read_va(k, ksym + r->bpf_end, &end, sizeof(end)))
        return;
    for (uint32_t i = 0; i < s->generated_count; i++) {
        struct tv_text_generated *g = &s->generated[i];

        if (g->va < start || g->va >= end || !tv_read_va(k, ksym + r->bpf_name, name, sizeof(name)))
            continue;
        name[sizeof(name) - 1] = 0;
        memcpy(g->name, name, sizeof(name));
        g->known = is_entry(name, g->va, start, end);
    }
}

void tv_text_answer(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text_registries *r = &s->t->registries;
    uint64_t head = s->text + r->bpf_list, at = head;

    if (!s->generated_count || !r->bpf_list)
        return;
    for (uint32_t i = 0; i < LIST_MAX && tv_text_step(s) && tv_read_va(k, at, &at, sizeof(at)) && at != head; i++)
        compare_bpf(s, k, at - r->bpf_node);
}

static const char *name_of(const struct tv_text_generated *g)
{
    return g ? g->name : NULL;
}

void tv_text_tell_calls(struct tv_text_state *s, const struct tv_text_area *a, struct tv_kernel *k)
{
    for (uint32_t i = 0; i < a->c->call_key_count; i++) {
        uint64_t key = tv_text_address(s, a, a->c->call_keys[i]);
        const struct tv_text_generated *g;
        bool known;

        if (a->functions[i] != TV_TEXT_FOREIGN || tv_module_entry(k, a->foreign[i]))
            continue;
        if (s->in_modules && key - s->text < k->profile->image_size)
            continue; /* the kernel's: told with its own calls */
        g = tv_text_generated(s, a->foreign[i]);
        known = g && g->known && starts(g->name, "bpf_dispatcher_");
        tv_attribute(tv_tell(s->res, known && tv_text_config.allow_bpf, known ? "bpf" : "static-call", "_text",
                             key - s->text, key, NULL, 0, &a->foreign[i], sizeof(a->foreign[i]),
                             known ? bpf_note
                                   : "a static call leads to no function of the kernel or of a verified module, and to no "
                                     "BPF dispatcher"),
                     a->foreign[i], name_of(g));
    }
}

static void tell_direct(struct tv_text_state *s)
{
    for (uint32_t i = 0; i < s->direct_count; i++) {
        const struct tv_text_direct *d = &s->direct[i];
        uint64_t target = d->target & ~UINT64_C(1);
        const struct tv_text_generated *g = tv_text_generated(s, target);
        bool known = g && g->known && starts(g->name, "bpf_trampoline_");

        tv_attribute(tv_tell(s->res, known && tv_text_config.allow_bpf, known ? "bpf" : "ftrace", "_text", d->ip - s->text,
                             d->ip, NULL, 0, &d->target, sizeof(d->target),
                             known ? bpf_note : "a direct call of ftrace leads to code that no registry of the kernel has"),
                     target, name_of(g));
    }
}

/* Is the ops at `va` one of livepatch's? */
static bool is_livepatch(struct tv_text_state *s, struct tv_kernel *k, uint64_t va)
{
    const struct tv_text_registries *r = &s->t->registries;
    uint64_t head = s->text + r->klp_list, at = head;

    for (uint32_t i = 0; i < KLP_MAX && tv_text_step(s) && tv_read_va(k, at, &at, sizeof(at)) && at != head; i++)
        if (va == at - r->klp_node + r->klp_ops)
            return true;
    return false;
}

static void tell_ops(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text_registries *r = &s->t->registries;

    for (uint32_t i = 0; i < s->op_count; i++) {
        const struct tv_text_op *op = &s->ops[i];
        bool livepatch = r->klp_list && op->func == s->text + r->klp_handler;
        const char *note = NULL;

        if (livepatch && !is_livepatch(s, k, op->at))
            note = "a registered ftrace_ops calls livepatch's handler and is none of livepatch's";
        else if (!tv_text_verified(s, k, op->func))
            note = "a registered ftrace_ops calls no function of verified code: a module may have registered it";
        if (note)
            tv_attribute(tv_find(s->res, "ftrace", "ftrace_ops_list", 0, op->at + s->t->ftrace.func, NULL, 0, &op->func,
                                 sizeof(op->func), note),
                         op->func, name_of(tv_text_generated(s, op->func)));
    }
}

static void tell_livepatch(struct tv_text_state *s, struct tv_kernel *k, uint64_t ops)
{
    const struct tv_text_registries *r = &s->t->registries;
    uint64_t func, old, new, name_va;
    char name[TV_OWNER_MAX] = "";

    /* The function on top of the stack is the one that runs. */
    if (!tv_read_va(k, ops + r->klp_stack, &func, sizeof(func)) || func == ops + r->klp_stack)
        return;
    func -= r->klp_func;
    if (!tv_read_va(k, func + r->klp_old, &old, sizeof(old)) || !tv_read_va(k, func + r->klp_new, &new, sizeof(new)) ||
        !tv_read_va(k, func + r->klp_name, &name_va, sizeof(name_va))) {
        s->res->missing++;
        return;
    }
    if (!tv_read_va(k, name_va, name, sizeof(name)))
        name[0] = 0;
    name[sizeof(name) - 1] = 0;
    tv_attribute(tv_tell(s->res, tv_text_config.allow_livepatch, "livepatch", "_text", old - s->text, old, NULL, 0, &new,
                         sizeof(new), "livepatch has replaced this function; that of the new one is a module's code"),
                 new, name);
}

void tv_text_tell_owners(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text_registries *r = &s->t->registries;
    uint64_t head = s->text + r->klp_list, at = head;

    tell_direct(s);
    tell_ops(s, k);
    for (uint32_t i = 0; r->klp_list && i < KLP_MAX && tv_text_step(s) && tv_read_va(k, at, &at, sizeof(at)) && at != head;
         i++)
        tell_livepatch(s, k, at - r->klp_node);
}
