/* SPDX-License-Identifier: MIT */
#include "encode.h"

/* asm/nops.h; a row of n bytes is the NOP of n bytes. */
static const uint8_t p6_nops[9][8] = {
    { 0 },
    { 0x90 },
    { 0x66, 0x90 },
    { 0x0f, 0x1f, 0x00 },
    { 0x0f, 0x1f, 0x40, 0x00 },
    { 0x0f, 0x1f, 0x44, 0x00, 0x00 },
    { 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00 },
    { 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00 },
    { 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00 },
};
static const uint8_t k8_nops[9][8] = {
    { 0 },
    { 0x90 },
    { 0x66, 0x90 },
    { 0x66, 0x66, 0x90 },
    { 0x66, 0x66, 0x66, 0x90 },
    { 0x66, 0x66, 0x90, 0x66, 0x90 },
    { 0x66, 0x66, 0x90, 0x66, 0x66, 0x90 },
    { 0x66, 0x66, 0x66, 0x90, 0x66, 0x66, 0x90 },
    { 0x66, 0x66, 0x66, 0x90, 0x66, 0x66, 0x66, 0x90 },
};
static const uint8_t k8_nop5_atomic[5] = { 0x66, 0x66, 0x66, 0x66, 0x90 };

void tv_text_put_nops(const struct tv_text_state *s, uint8_t *out, uint32_t n)
{
    if (n && n <= 8)
        memcpy(out, s->patching.k8 ? k8_nops[n] : p6_nops[n], n);
}

void tv_text_put_nop5(const struct tv_text_state *s, uint8_t *out)
{
    memcpy(out, s->patching.k8 ? k8_nop5_atomic : p6_nops[5], 5);
}

const uint8_t tv_text_plain_return[TV_BRANCH_SIZE] = { TV_OP_RET, TV_OP_INT3, TV_OP_INT3, TV_OP_INT3,
                                                       TV_OP_INT3 };

void tv_text_put_return(const struct tv_text_state *s, uint32_t offset, uint8_t *out)
{
    if (tv_text_capable(s, s->t->features.rethunk) && !(s->patching.its_return && (offset & 0x20)))
        tv_text_put_branch(out, TV_OP_JMP32, offset, s->patching.return_thunk);
    else
        memcpy(out, tv_text_plain_return, sizeof(tv_text_plain_return));
}

/* callthunks_translate_call_dest() */
uint32_t tv_text_called_as(const struct tv_text_state *s, uint32_t target)
{
    return s->patching.call_depth && tv_text_counted(s->t, target) ? target - s->t->call_pad.size : target;
}

uint32_t tv_text_pv_target(const struct tv_text_state *s, uint32_t pointer, const uint8_t *actual,
                           uint32_t at)
{
    uint32_t target = s->pv[pointer];

    if (target == TV_TEXT_NULL)
        return s->t->paravirt.bug;
    if (target == TV_TEXT_FOREIGN && actual && tv_text_is_function(s->t, tv_text_branch_target(actual, at)))
        return tv_text_branch_target(actual, at); /* the pointer itself is reported */
    return target;
}

static void fix(const struct tv_text_state *s, const struct tv_text_area *a, const struct tv_text_fix *f,
                uint32_t site, uint8_t *out)
{
    uint8_t *at = out + f->offset;
    uint32_t here = site + f->offset;
    uint64_t v64;
    uint32_t v;

    switch (f->kind) {
    case TV_TEXT_REL:
        v = tv_text_running(s, a, f->argument) - here;
        memcpy(at, &v, sizeof(v));
        break;
    case TV_TEXT_REL_RETURN: tv_text_put_rel32(at, here, s->patching.return_thunk); break;
    case TV_TEXT_REL_PV: tv_text_put_rel32(at, here, tv_text_pv_target(s, f->argument, NULL, 0)); break;
    case TV_TEXT_REL_PV_COUNTED:
        tv_text_put_rel32(at, here, tv_text_called_as(s, tv_text_pv_target(s, f->argument, NULL, 0)));
        break;
    case TV_TEXT_ADD32:
    case TV_TEXT_SUB32:
        memcpy(&v, at, sizeof(v));
        v += f->kind == TV_TEXT_ADD32 ? (uint32_t)s->delta : -(uint32_t)s->delta;
        memcpy(at, &v, sizeof(v));
        break;
    case TV_TEXT_ADDR32:
    case TV_TEXT_ADDR64:
        v64 = tv_text_address(s, a, f->argument);
        memcpy(at, &v64, f->kind == TV_TEXT_ADDR64 ? 8 : 4);
        break;
    case TV_TEXT_ADD64:
        memcpy(&v64, at, sizeof(v64));
        v64 += s->delta;
        memcpy(at, &v64, sizeof(v64));
        break;
    }
}

void tv_text_fill(const struct tv_text_state *s, const struct tv_text_area *a,
                  const struct tv_text_template *p, uint32_t offset, uint8_t *out)
{
    memcpy(out, p->code, p->size);
    for (uint32_t i = 0; i < p->fix_count; i++)
        fix(s, a, &p->fixes[i], offset, out);
}
