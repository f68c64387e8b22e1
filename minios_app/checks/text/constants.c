/* SPDX-License-Identifier: MIT */
/*
 * text: run-time constants, which the kernel writes into its instructions at boot (asm/runtime-const.h).  Each must
 * be a value that the kernel can have given to it.
 */
#include "internal.h"

#define USER_LIMIT_4   ((UINT64_C(1) << 47) - TV_PAGE_SIZE) /* TASK_SIZE_MAX, asm/page_64_types.h */
#define USER_LIMIT_5   ((UINT64_C(1) << 56) - TV_PAGE_SIZE)
#define USER_LIMIT_LAM ((UINT64_C(1) << 63) - TV_PAGE_SIZE) /* cpu/common.c */
#define SLABS_MAX      4096

/* Is `value` one of the kernel's slab caches (mm/slab_common.c)? */
static bool is_slab(struct tv_text_state *s, struct tv_kernel *k, uint64_t value)
{
    uint64_t head = s->text + s->t->slab_caches, at = head;

    for (uint32_t i = 0; i < SLABS_MAX && guest_read_va(k, at, &at, sizeof(at)) && at != head; i++)
        if (at - s->t->slab_list == value)
            return true;
    return false;
}

/* The first patch site that holds constant `number`: its value where the compiler kept no variable. */
static bool first_site(struct tv_text_state *s, struct tv_kernel *k, uint32_t number, uint64_t *v)
{
    const struct tv_text *t = s->t;
    const struct tv_text_code *c = &t->code;
    uint32_t arg = 0;

    for (uint32_t page = 0; page < t->range.npages; page++) {
        for (uint32_t i = c->site_index[page]; i < c->site_index[page + 1]; i++) {
            enum tv_text_kind kind = (enum tv_text_kind)(c->sites[i] >> 12);

            if (kind == TV_TEXT_RUNTIME_CONST && c->args[arg] == number)
                return guest_read_va(k, s->text + page * TV_PAGE_SIZE + (c->sites[i] & (TV_PAGE_SIZE - 1)), v,
                                     sizeof(*v));
            arg += tv_text_has_argument(kind);
        }
    }
    return false;
}

static bool plausible(struct tv_text_state *s, struct tv_kernel *k, uint32_t kind, uint64_t v)
{
    switch (kind) {
    case TV_TEXT_SHIFT: return v < 32;
    case TV_TEXT_USER_LIMIT:
        return v == (k->levels == 5 ? USER_LIMIT_5 : USER_LIMIT_4) || v == USER_LIMIT_LAM;
    case TV_TEXT_SLAB: return is_slab(s, k, v);
    }
    return v >> 63;
}

bool tv_text_constants_read(struct tv_text_state *s, struct tv_kernel *k)
{
    for (uint32_t i = 0; i < s->t->constant_count; i++) {
        const struct tv_text_constant *c = &s->t->constants[i];
        uint64_t *v = &s->constants[i];
        size_t size = c->kind == TV_TEXT_SHIFT ? 4 : 8;
        uint64_t old = *v;

        *v = 0;
        if (!(c->variable ? guest_read_va(k, s->text + c->variable, v, size) : first_site(s, k, i, v)))
            return false;
        s->changed = s->changed || *v != old;
        if (!plausible(s, k, c->kind, *v))
            tv_report_finding(s->res, &(struct tv_finding_args){
                                          .kind = TV_KIND_RUNTIME_CONST,
                                          .symbol = c->symbol,
                                          .address = s->text + c->variable,
                                          .actual = v,
                                          .actual_size = size,
                                          .note = "a value that the kernel never gives to this constant",
                                      });
    }
    return true;
}
