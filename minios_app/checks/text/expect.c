/* SPDX-License-Identifier: MIT */
/*
 * text: the encoding of each kind of patch site.  The functions follow those of
 * arch/x86/kernel/alternative.c, static_call.c, jump_label.c and ftrace.c.
 */
#include "encode.h"

/* The same of a module's function, whose tables are not at hand: the accounting is put there before anything calls it. */
static uint32_t counted_in_module(const struct tv_text_state *s, struct tv_kernel *k, uint32_t target)
{
    static const struct tv_text_area kernel; /* without regions of its own */
    const struct tv_text_template *pad = &s->t->call_pad;
    uint8_t want[TV_TEXT_BEFORE], there[TV_TEXT_BEFORE];
    uint32_t at = target - pad->size;

    if (!s->patching.call_depth)
        return target;
    tv_text_fill(s, &kernel, pad, at, want);
    if (!guest_read_va(k, s->text + (uint64_t)(int64_t)(int32_t)at, there, pad->size) ||
        memcmp(want, there, pad->size) != 0)
        return target;
    return at;
}

static bool holds(const struct tv_text_state *s, uint32_t condition)
{
    if (condition & TV_TEXT_PV_NOP)
        return s->pv[condition & ~(uint32_t)TV_TEXT_PV_NOP] == s->t->paravirt.nop;
    if (condition == TV_TEXT_ITS_RETURN)
        return s->patching.its_return;
    if (condition == TV_TEXT_K8)
        return s->patching.k8;
    return tv_text_capable(s, condition);
}

static void expect_alternative(const struct tv_text_state *s, const struct tv_text_site *site, uint8_t *out)
{
    const struct tv_text_code *c = site->area->c;
    const struct tv_text_shape *shape = &c->shapes[site->argument];
    uint32_t number = 0;

    for (uint32_t i = 0; i < shape->condition_count; i++)
        number |= (uint32_t)holds(s, shape->conditions[i]) << i;
    tv_text_fill(s, site->area, &c->templates[shape->templates[number]], site->offset, out);
}

/*
 * Is there `jmp *reg; int3` at running address `va`, in the upper half of a
 * line and not writable: a thunk of its_allocate_thunk()?
 */
static bool is_its_thunk(struct tv_kernel *k, uint64_t va, uint32_t reg)
{
    uint8_t want[4], got[4];
    uint32_t n = 0;
    struct tv_translation tr;

    if (reg >= 8)
        want[n++] = TV_OP_REX_B;
    want[n++] = TV_OP_GROUP5;
    want[n++] = (uint8_t)(0xe0 + (reg & 7));
    want[n++] = TV_OP_INT3;
    return ((va + n - 1) & 0x20) && !tv_translate(k, va, &tr) && !tr.writable && tr.executable &&
           guest_read_va(k, va, got, n) && memcmp(got, want, n) == 0;
}

/* emit_indirect() with its padding: call or jmp *reg in `room` bytes. */
static void put_indirect(const struct tv_text_state *s, uint8_t *out, uint32_t reg, bool jmp, uint32_t room)
{
    uint32_t size = reg >= 8 ? 3 : 2, excess = room - size;

    if (s->t->pads_jumps && !jmp && excess <= 3)
        for (; excess; excess--)
            *out++ = TV_OP_CS;
    if (reg >= 8)
        *out++ = TV_OP_REX_B;
    *out++ = TV_OP_GROUP5;
    *out++ = (uint8_t)((jmp ? 0xe0 : 0xd0) + (reg & 7));
    if (jmp && s->t->pads_jumps)
        for (; excess; excess--)
            *out++ = TV_OP_INT3;
    if (jmp && s->t->int3_after_jump && excess) {
        *out++ = TV_OP_INT3;
        excess--;
    }
    tv_text_put_nops(s, out, excess);
}

/* patch_retpoline() */
static void expect_retpoline(const struct tv_text_state *s, struct tv_kernel *k,
                             const struct tv_text_site *site, uint8_t *out)
{
    const struct tv_text_features *f = &s->t->features;
    uint32_t reg = site->argument & 15, prefix = site->argument >> 5 & 1, used = 0;
    bool jmp = site->argument >> 4 & 1, lfence = tv_text_capable(s, f->lfence);
    uint32_t thunk = s->t->indirect_thunks;

    /* The instruction as compiled, or led to another thunk. */
    if (tv_text_capable(s, f->retpoline) && !lfence && s->patching.call_depth)
        thunk = jmp ? s->t->jump_thunks : s->t->call_thunks;
    out[0] = TV_OP_CS;
    tv_text_put_branch(out + prefix, jmp ? TV_OP_JMP32 : TV_OP_CALL, site->offset + prefix, thunk + 32 * reg);
    if (tv_text_capable(s, f->retpoline) && !lfence)
        return;
    if (lfence)
        used = 3;
    if (tv_text_capable(s, f->its) && !((site->offset + used + 1 + reg / 8) & 0x20)) {
        uint32_t target = tv_text_branch_target(site->actual + prefix, site->offset + prefix);

        if (is_its_thunk(k, s->text + (uint64_t)(int64_t)(int32_t)target, reg))
            tv_text_put_branch(out + prefix, jmp ? TV_OP_JMP32 : TV_OP_CALL, site->offset + prefix, target);
        return;
    }
    if (used + (reg >= 8 ? 3 : 2) > site->size)
        return; /* no room: left as it was */
    memcpy(out, "\x0f\xae\xe8", used);
    put_indirect(s, out + used, reg, jmp, site->size - used);
}

/* Instructions that stand for a native function (5.10); their size, 0 if there are none. */
static uint32_t put_native(const struct tv_text_state *s, uint32_t pointer, uint8_t *out)
{
    const struct tv_text_paravirt *p = &s->t->paravirt;

    for (uint32_t i = 0; !s->patching.default_paravirt && i < p->native_count; i++) {
        const struct tv_text_native *n = &p->native[i];

        if (n->pointer == pointer && (!n->function || n->function == s->pv[pointer])) {
            memcpy(out, n->code, n->size);
            return n->size;
        }
    }
    if (s->pv[pointer] == TV_TEXT_NULL && !p->bug) {
        memcpy(out, "\x0f\x0b", 2);
        return 2;
    }
    if (p->ident && s->pv[pointer] == p->ident) {
        memcpy(out, "\x48\x89\xf8", 3);
        return 3;
    }
    return 0;
}

/* paravirt_patch() */
static void expect_paravirt(const struct tv_text_state *s, const struct tv_text_site *site, uint8_t *out)
{
    uint32_t pointer = site->argument & 0xff, used = put_native(s, pointer, out);

    if (!used && s->pv[pointer] != s->t->paravirt.nop) {
        tv_text_put_branch(out, pointer == s->t->paravirt.iret ? TV_OP_JMP32 : TV_OP_CALL, site->offset,
                           tv_text_pv_target(s, pointer, site->actual, site->offset));
        used = 5;
    }
    tv_text_put_nops(s, out + used, site->size - used);
}

static void expect_jump(const struct tv_text_state *s, const struct tv_text_site *site, uint8_t *out)
{
    const struct tv_text_jump *j = site->jump;
    uint32_t target = tv_text_running(s, site->area, j->target);

    if (site->area->enabled[j->key] == j->branch) {
        if (j->size == 2)
            tv_text_put_nops(s, out, 2);
        else
            tv_text_put_nop5(s, out);
    } else if (j->size == 2) {
        out[0] = TV_OP_JMP8;
        out[1] = (uint8_t)(target - (site->offset + 2));
    } else {
        tv_text_put_branch(out, TV_OP_JMP32, site->offset, target);
    }
}

/* __static_call_transform() */
static void expect_static_call(const struct tv_text_state *s, struct tv_kernel *k,
                               const struct tv_text_site *site, uint8_t *out)
{
    uint32_t key = site->argument & 0x7fff, function = site->area->functions[key];
    bool tail = site->kind == TV_TEXT_TRAMPOLINE || site->argument >> 15;

    if (function == TV_TEXT_FOREIGN) /* reported once for all its sites; they must lead there all the same */
        function = (uint32_t)(site->area->foreign[key] - s->text);
    if (function == TV_TEXT_NULL && tail) {
        /* Emptied before the return thunk was chosen, it has kept a plain return. */
        tv_text_put_return(s, site->offset, out);
        if (memcmp(site->actual, tv_text_plain_return, sizeof(tv_text_plain_return)) == 0)
            memcpy(out, tv_text_plain_return, sizeof(tv_text_plain_return));
    } else if (function == TV_TEXT_NULL) {
        tv_text_put_nop5(s, out);
    } else if (tail) {
        tv_text_put_branch(out, TV_OP_JMP32, site->offset, function);
    } else {
        uint32_t target = site->area->functions[key] == TV_TEXT_FOREIGN ? counted_in_module(s, k, function)
                                                                        : tv_text_called_as(s, function);

        if (s->t->ret0 && target == s->t->ret0)
            memcpy(out, "\x2e\x2e\x2e\x31\xc0", 5);
        else if (s->t->warn && target == s->t->warn)
            memcpy(out, "\x67\x48\x0f\xb9\x3a", 5);
        else
            tv_text_put_branch(out, TV_OP_CALL, site->offset, target);
    }
}

void tv_text_expect(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_site *site,
                    uint8_t *out)
{
    switch (site->kind) {
    case TV_TEXT_ALTERNATIVE: expect_alternative(s, site, out); break;
    case TV_TEXT_RETURN: tv_text_put_return(s, site->offset, out); break;
    case TV_TEXT_RETPOLINE:
        s->depends = s->depends || tv_text_capable(s, s->t->features.its); /* is_its_thunk() */
        expect_retpoline(s, k, site, out);
        break;
    case TV_TEXT_PARAVIRT: expect_paravirt(s, site, out); break;
    case TV_TEXT_LOCK: out[0] = s->patching.uniprocessor ? TV_OP_DS : TV_OP_LOCK; break;
    case TV_TEXT_ENDBR: memcpy(out, s->t->endbr_poison, sizeof(s->t->endbr_poison)); break;
    case TV_TEXT_FTRACE:
        tv_text_put_nop5(s, out);
        tv_text_expect_ftrace(s, k, site, out);
        break;
    case TV_TEXT_JUMP_LABEL: expect_jump(s, site, out); break;
    case TV_TEXT_STATIC_CALL:
    case TV_TEXT_TRAMPOLINE:
        s->depends = s->depends || s->patching.call_depth; /* counted_in_module() */
        expect_static_call(s, k, site, out);
        break;
    case TV_TEXT_RUNTIME_CONST: memcpy(out, &s->constants[site->argument], site->size); break;
    case TV_TEXT_FTRACE_UPDATE: tv_text_expect_ftrace_update(s, site, out); break;
    }
}
