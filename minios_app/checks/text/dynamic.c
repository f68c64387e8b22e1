/* SPDX-License-Identifier: MIT */
/*
 * text: dynamic code, which the kernel makes while it runs.  What it makes of BPF programs stands in bpf_kallsyms,
 * by whose names it is reported.
 */
#include "dynamic.h"

#define LIST_MAX  8192
#define HALF_PAGE 2048 /* a dispatcher's two images (kernel/bpf/dispatcher.c) */

bool tv_text_is_verified(const struct tv_text_state *s, struct tv_kernel *k, uint64_t va)
{
    return va && (tv_text_entry(s, va) < TV_TEXT_FOREIGN || tv_module_entry(k, va));
}

void tv_text_dynamic_add(struct tv_text_state *s, uint64_t va)
{
    struct tv_text_dynamic *g = &s->dynamic[s->dynamic_count];

    if (s->dynamic_count == TV_TEXT_DYNAMIC_MAX || tv_text_dynamic_at(s, va))
        return;
    memset(g, 0, sizeof(*g));
    g->va = va;
    s->dynamic_count++;
}

const struct tv_text_dynamic *tv_text_dynamic_at(const struct tv_text_state *s, uint64_t va)
{
    for (uint32_t i = 0; i < s->dynamic_count; i++)
        if (s->dynamic[i].va == va)
            return &s->dynamic[i];
    return NULL;
}

/* May the kernel call `va` in the BPF code [start, end) of this name?  Trampolines at their begin, dispatchers in either half. */
static bool is_entry(const char name[TV_OWNER_MAX], uint64_t va, uint64_t start, uint64_t end)
{
    if (tv_text_starts_with(name, "bpf_dispatcher_"))
        return va < end && (va == start || va == start + HALF_PAGE);
    return va == start && tv_text_starts_with(name, "bpf_");
}

static void compare_bpf(struct tv_text_state *s, struct tv_kernel *k, uint64_t ksym)
{
    const struct tv_text_registries *r = &s->t->registries;
    uint64_t start, end;
    char name[TV_OWNER_MAX];

    if (!guest_read_va(k, ksym + r->bpf_start, &start, sizeof(start)) ||
        !guest_read_va(k, ksym + r->bpf_end, &end, sizeof(end)))
        return;
    for (uint32_t i = 0; i < s->dynamic_count; i++) {
        struct tv_text_dynamic *g = &s->dynamic[i];

        if (g->va < start || g->va >= end || !guest_read_va(k, ksym + r->bpf_name, name, sizeof(name)))
            continue;
        name[sizeof(name) - 1] = 0;
        memcpy(g->name, name, sizeof(name));
        g->known = is_entry(name, g->va, start, end);
    }
}

void tv_text_dynamic_resolve(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text_registries *r = &s->t->registries;
    uint64_t head = s->text + r->bpf_list, at = head;

    if (!s->dynamic_count || !r->bpf_list)
        return;
    for (uint32_t i = 0;
         i < LIST_MAX && tv_text_walk_on(s) && guest_read_va(k, at, &at, sizeof(at)) && at != head; i++)
        compare_bpf(s, k, at - r->bpf_node);
}
