/* SPDX-License-Identifier: MIT */
/*
 * text: the state of the running kernel on which its patches depend.  It is
 * the guest's to write, so it may only choose: what leads elsewhere than the
 * package allows is itself a finding.
 */
#include <tinyvmi/platform.h>

#include "internal.h"

#define USER_LIMIT_4  ((UINT64_C(1) << 47) - TV_PAGE_SIZE) /* TASK_SIZE_MAX, asm/page_64_types.h */
#define USER_LIMIT_5  ((UINT64_C(1) << 56) - TV_PAGE_SIZE)
#define USER_LIMIT_LAM ((UINT64_C(1) << 63) - TV_PAGE_SIZE) /* cpu/common.c */
#define SLABS_MAX 4096

int tv_text_state_open(struct tv_text_state *s, struct tv_kernel *k)
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
    tv_text_state_close(s);
    return -TV_ENOMEM;
}

static void release(void *const *tables, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (tables[i])
            tv_free(tables[i]);
}

void tv_text_state_close(struct tv_text_state *s)
{
    void *tables[] = { s->pv, s->constants };

    release(tables, TV_ARRAY_SIZE(tables));
    memset(s, 0, sizeof(*s));
}

bool tv_text_step(struct tv_text_state *s)
{
    if (s->steps)
        s->steps--;
    return s->steps;
}

int tv_text_area_open(struct tv_text_area *a, struct tv_kernel *k, uint32_t jump_keys, uint32_t call_keys)
{
    memset(a, 0, sizeof(*a));
    a->functions = tv_alloc((call_keys + 1) * sizeof(*a->functions));
    a->foreign = tv_alloc((call_keys + 1) * sizeof(*a->foreign));
    a->enabled = tv_alloc(jump_keys + 1);
    if (a->functions && a->foreign && a->enabled)
        return 0;
    tv_text_area_close(a, k);
    return -TV_ENOMEM;
}

void tv_text_area_close(struct tv_text_area *a, struct tv_kernel *k)
{
    void *tables[] = { a->functions, a->foreign, a->enabled };

    if (a->pages.npages)
        guest_view_release(k->gm, &a->pages);
    release(tables, TV_ARRAY_SIZE(tables));
    memset(a, 0, sizeof(*a));
}

/* Fields next to a region may be named too: its end, or a displacement that is counted from within an instruction. */
#define AROUND 4096u

uint64_t tv_text_address(const struct tv_text_state *s, const struct tv_text_area *a, uint32_t offset)
{
    for (uint32_t i = 0; i < a->region_count; i++) {
        const struct tv_text_region *r = &a->regions[i];

        if (offset - (r->start - AROUND) < r->size + 2 * AROUND)
            return r->va + (uint64_t)(int64_t)(int32_t)(offset - r->start);
    }
    return s->text + offset;
}

uint32_t tv_text_running(const struct tv_text_state *s, const struct tv_text_area *a, uint32_t offset)
{
    return a->region_count ? (uint32_t)(tv_text_address(s, a, offset) - s->text) : offset;
}

bool tv_text_capable(const struct tv_text_state *s, uint32_t feature)
{
    return s->choices.capabilities[feature / 32 % TV_TEXT_CAPABILITY_WORDS] >> feature % 32 & 1;
}

/* The function at `offset`: its entry of `functions`, or NULL. */
static const uint16_t *function_at(const struct tv_text_code *c, uint32_t offset)
{
    uint32_t page = offset / TV_PAGE_SIZE;

    if (page >= c->npages)
        return NULL;
    for (uint32_t i = c->function_index[page]; i < c->function_index[page + 1]; i++)
        if (c->functions[i] % TV_PAGE_SIZE == offset % TV_PAGE_SIZE)
            return &c->functions[i];
    return NULL;
}

bool tv_text_has_entry(const struct tv_text_code *c, uint32_t offset)
{
    return function_at(c, offset) != NULL;
}

bool tv_text_is_function(const struct tv_text *t, uint32_t offset)
{
    return tv_text_has_entry(&t->code, offset);
}

bool tv_text_counted(const struct tv_text *t, uint32_t offset)
{
    const uint16_t *function = function_at(&t->code, offset);

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

static bool read64(struct tv_text_state *s, struct tv_kernel *k, uint32_t offset, uint64_t *v)
{
    return tv_read_va(k, s->text + offset, v, sizeof(*v));
}

static bool listed(const uint32_t *list, uint32_t count, uint32_t value)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}

static void foreign(const struct tv_text_state *s, const char *kind, uint32_t offset, uint64_t value,
                    const char *note, struct tv_result *res)
{
    tv_attribute(tv_find(res, kind, "_text", offset, s->text + offset, NULL, 0, &value, sizeof(value), note), value, NULL);
}

static bool read_processor(struct tv_text_state *s, struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_text *t = s->t;
    uint64_t thunk, nops = 0;
    uint8_t up;

    if (!tv_read_va(k, s->text + t->capabilities, s->choices.capabilities, t->capability_words * sizeof(uint32_t)) ||
        !read64(s, k, t->x86_return_thunk, &thunk) || !tv_read_va(k, s->text + t->uniproc_patched, &up, 1) ||
        (t->ideal_nops && !read64(s, k, t->ideal_nops, &nops)))
        return false;
    s->choices.uniprocessor = up;
    s->choices.return_thunk = (uint32_t)(thunk - s->text);
    if (thunk - s->text >= TV_TEXT_FOREIGN || !listed(t->return_thunks, t->return_thunk_count, s->choices.return_thunk))
        foreign(s, "return", t->x86_return_thunk, thunk, "x86_return_thunk is none of the kernel's return thunks", res);
    s->choices.its_return = s->choices.return_thunk == t->its_return_thunk;
    s->choices.k8 = t->ideal_nops && (uint32_t)(nops - s->text) == t->k8_nops;
    if (t->ideal_nops && !s->choices.k8 && nops != s->text + t->p6_nops)
        foreign(s, "nops", t->ideal_nops, nops, "ideal_nops is none of the kernel's tables", res);
    s->choices.call_depth = t->features.call_depth && tv_text_capable(s, t->features.call_depth);
    return true;
}

static bool read_paravirt(struct tv_text_state *s, struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_text_paravirt *p = &s->t->paravirt;
    uint64_t value;

    for (uint32_t i = 0; i < p->pointer_count; i++) {
        uint32_t old = s->pv[i];

        if (!read64(s, k, p->pointers[i], &value))
            return false;
        s->pv[i] = tv_text_entry(s, value);
        s->renewed = s->renewed || s->pv[i] != old || s->pv[i] == TV_TEXT_FOREIGN;
        if (s->pv[i] == TV_TEXT_NULL || listed(p->functions, p->function_count, s->pv[i]))
            continue;
        s->pv[i] = TV_TEXT_FOREIGN;
        foreign(s, "paravirt", p->pointers[i], value, "pv_ops leads to no function of a hypervisor's guest support",
                res);
    }
    if (p->patch) {
        if (!read64(s, k, p->patch, &value))
            return false;
        s->choices.default_paravirt = value == s->text + p->patch_default;
    }
    return true;
}

/* Is `value` one of the kernel's slab caches (mm/slab_common.c)? */
static bool is_slab(struct tv_text_state *s, struct tv_kernel *k, uint64_t value)
{
    uint64_t head = s->text + s->t->slab_caches, at = head;

    for (uint32_t i = 0; i < SLABS_MAX && tv_read_va(k, at, &at, sizeof(at)) && at != head; i++)
        if (at - s->t->slab_list == value)
            return true;
    return false;
}

/* The first place that holds constant `number`: its value where the compiler kept no variable. */
static bool first_place(struct tv_text_state *s, struct tv_kernel *k, uint32_t number, uint64_t *v)
{
    const struct tv_text *t = s->t;
    const struct tv_text_code *c = &t->code;
    uint32_t arg = 0;

    for (uint32_t page = 0; page < t->range.npages; page++) {
        for (uint32_t i = c->site_index[page]; i < c->site_index[page + 1]; i++) {
            enum tv_text_kind kind = (enum tv_text_kind)(c->sites[i] >> 12);
            bool has_arg = kind != TV_TEXT_RETURN && kind != TV_TEXT_LOCK && kind != TV_TEXT_ENDBR &&
                           kind != TV_TEXT_FTRACE && kind != TV_TEXT_JUMP_LABEL;

            if (kind == TV_TEXT_RUNTIME_CONST && c->args[arg] == number)
                return read64(s, k, page * TV_PAGE_SIZE + (c->sites[i] & 0xfff), v);
            arg += has_arg;
        }
    }
    return false;
}

static bool plausible(struct tv_text_state *s, struct tv_kernel *k, uint32_t kind, uint64_t v)
{
    switch (kind) {
    case TV_TEXT_SHIFT:
        return v < 32;
    case TV_TEXT_USER_LIMIT:
        return v == (k->levels == 5 ? USER_LIMIT_5 : USER_LIMIT_4) || v == USER_LIMIT_LAM;
    case TV_TEXT_SLAB:
        return is_slab(s, k, v);
    }
    return v >> 63;
}

bool tv_text_constants_read(struct tv_text_state *s, struct tv_kernel *k, struct tv_result *res)
{
    for (uint32_t i = 0; i < s->t->constant_count; i++) {
        const struct tv_text_constant *c = &s->t->constants[i];
        uint64_t *v = &s->constants[i];
        size_t size = c->kind == TV_TEXT_SHIFT ? 4 : 8;
        uint64_t old = *v;

        *v = 0;
        if (!(c->variable ? tv_read_va(k, s->text + c->variable, v, size) : first_place(s, k, i, v)))
            return false;
        s->renewed = s->renewed || *v != old;
        if (!plausible(s, k, c->kind, *v))
            tv_find(res, "runtime-const", c->symbol, 0, s->text + c->variable, NULL, 0, v, size,
                    "a value that the kernel never gives to this constant");
    }
    return true;
}

static bool same_choices(const struct tv_text_choices *a, const struct tv_text_choices *b)
{
    return !memcmp(a->capabilities, b->capabilities, sizeof(a->capabilities)) &&
           a->return_thunk == b->return_thunk && a->its_return == b->its_return && a->k8 == b->k8 &&
           a->uniprocessor == b->uniprocessor && a->call_depth == b->call_depth &&
           a->default_paravirt == b->default_paravirt;
}

bool tv_text_state_read(struct tv_text_state *s, struct tv_kernel *k, struct tv_result *res)
{
    struct tv_text_choices old = s->choices;

    s->res = res;
    s->steps = TV_TEXT_STEPS;
    s->generated_count = 0;
    s->renewed = false;
    if (!read_processor(s, k, res) || !read_paravirt(s, k, res))
        return false;
    s->renewed = s->renewed || !same_choices(&old, &s->choices);
    return true;
}
