/* SPDX-License-Identifier: MIT */
/*
 * text: the patching state of the running kernel.  The guest can write it, so it may only
 * choose: what leads elsewhere than the package allows is itself a finding.
 */
#include <tinyvmi/platform.h>

#include "../lib/function_table.h"
#include "internal.h"

int tv_text_state_init(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text *t = tv_text_golden(k);

    memset(s, 0, sizeof(*s));
    if (t->capability_words > TV_TEXT_CAPABILITY_WORDS)
        return -TV_EINVAL;
    s->t = t;
    s->text = t->range.va + k->delta;
    s->delta = k->delta;
    /* One more, so that an empty table is no failure. */
    s->pv = tv_alloc((t->paravirt.pointer_count + 1) * sizeof(*s->pv));
    s->constants = tv_alloc((t->constant_count + 1) * sizeof(*s->constants));
    if (s->pv && s->constants)
        return 0;
    tv_text_state_deinit(s);
    return -TV_ENOMEM;
}

void tv_text_state_deinit(struct tv_text_state *s)
{
    if (s->pv)
        tv_free(s->pv);
    if (s->constants)
        tv_free(s->constants);
    memset(s, 0, sizeof(*s));
}

bool tv_text_walk_on(struct tv_text_state *s)
{
    if (s->walk_left)
        s->walk_left--;
    return s->walk_left;
}

bool tv_text_capable(const struct tv_text_state *s, uint32_t feature)
{
    return s->patching.capabilities[feature / 32 % TV_TEXT_CAPABILITY_WORDS] >> feature % 32 & 1;
}

bool tv_text_is_function(const struct tv_text *t, uint32_t offset)
{
    return tv_function_at(&t->code, offset) != NULL;
}

bool tv_text_counted(const struct tv_text *t, uint32_t offset)
{
    const uint16_t *function = tv_function_at(&t->code, offset);

    return function && *function >> 12 != TV_TEXT_NO_PAD;
}

uint32_t tv_text_entry(const struct tv_text_state *s, uint64_t va)
{
    uint64_t offset = va - s->text;

    if (!va)
        return TV_TEXT_NULL;
    if (offset >= TV_TEXT_FOREIGN || !tv_text_is_function(s->t, (uint32_t)offset))
        return TV_TEXT_FOREIGN;
    return (uint32_t)offset;
}

static bool listed(const uint32_t *list, uint32_t count, uint32_t value)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}

static void report_foreign(const struct tv_text_state *s, enum tv_finding_kind kind, uint32_t offset,
                           uint64_t value, const char *note)
{
    tv_report_finding(s->res, &(struct tv_finding_args){ .kind = kind,
                                                         .symbol = "_text",
                                                         .offset = offset,
                                                         .address = s->text + offset,
                                                         .actual = &value,
                                                         .actual_size = sizeof(value),
                                                         .note = note,
                                                         .target = value });
}

static bool read_processor(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text *t = s->t;
    uint64_t thunk, nops = 0;
    uint8_t up;

    if (!guest_read_va(k, s->text + t->capabilities, s->patching.capabilities,
                       t->capability_words * sizeof(uint32_t)) ||
        !guest_read_u64(k, s->text + t->x86_return_thunk, &thunk) ||
        !guest_read_va(k, s->text + t->uniproc_patched, &up, 1) ||
        (t->ideal_nops && !guest_read_u64(k, s->text + t->ideal_nops, &nops)))
        return false;
    s->patching.uniprocessor = up;
    s->patching.return_thunk = (uint32_t)(thunk - s->text);
    if (thunk - s->text >= TV_TEXT_FOREIGN ||
        !listed(t->return_thunks, t->return_thunk_count, s->patching.return_thunk))
        report_foreign(s, TV_KIND_RETURN, t->x86_return_thunk, thunk,
                       "x86_return_thunk is none of the kernel's return thunks");
    s->patching.its_return = s->patching.return_thunk == t->its_return_thunk;
    s->patching.k8 = t->ideal_nops && (uint32_t)(nops - s->text) == t->k8_nops;
    if (t->ideal_nops && !s->patching.k8 && nops != s->text + t->p6_nops)
        report_foreign(s, TV_KIND_NOPS, t->ideal_nops, nops, "ideal_nops is none of the kernel's tables");
    s->patching.call_depth = t->features.call_depth && tv_text_capable(s, t->features.call_depth);
    return true;
}

static bool read_paravirt(struct tv_text_state *s, struct tv_kernel *k)
{
    const struct tv_text_paravirt *p = &s->t->paravirt;
    uint64_t value;

    for (uint32_t i = 0; i < p->pointer_count; i++) {
        uint32_t old = s->pv[i];

        if (!guest_read_u64(k, s->text + p->pointers[i], &value))
            return false;
        s->pv[i] = tv_text_entry(s, value);
        s->changed = s->changed || s->pv[i] != old || s->pv[i] == TV_TEXT_FOREIGN;
        if (s->pv[i] == TV_TEXT_NULL || listed(p->functions, p->function_count, s->pv[i]))
            continue;
        s->pv[i] = TV_TEXT_FOREIGN;
        report_foreign(s, TV_KIND_PARAVIRT, p->pointers[i], value,
                       "pv_ops leads to no function of a hypervisor's guest support");
    }
    if (p->patch) {
        if (!guest_read_u64(k, s->text + p->patch, &value))
            return false;
        s->patching.default_paravirt = value == s->text + p->patch_default;
    }
    return true;
}

/* Field by field: the padding between the fields of a struct is undefined. */
static bool is_same(const struct tv_text_patching *a, const struct tv_text_patching *b)
{
    return memcmp(a->capabilities, b->capabilities, sizeof(a->capabilities)) == 0 &&
           a->return_thunk == b->return_thunk && a->its_return == b->its_return && a->k8 == b->k8 &&
           a->uniprocessor == b->uniprocessor && a->call_depth == b->call_depth &&
           a->default_paravirt == b->default_paravirt;
}

bool tv_text_state_read(struct tv_text_state *s, struct tv_kernel *k)
{
    struct tv_text_patching old = s->patching;

    s->walk_left = TV_TEXT_WALK_MAX;
    s->dynamic_count = 0;
    s->changed = false;
    if (!read_processor(s, k) || !read_paravirt(s, k))
        return false;
    s->changed = s->changed || !is_same(&old, &s->patching);
    return true;
}
