/* SPDX-License-Identifier: MIT */
/* text: the kinds of places by name and size. */
#include "internal.h"

uint32_t tv_text_size(const struct tv_text *t, const struct tv_text_site *site)
{
    switch (site->kind) {
    case TV_TEXT_ALTERNATIVE:
        return site->area->c->shapes[site->argument].size;
    case TV_TEXT_RETPOLINE:
        return 5 + (site->argument >> 5 & 1);
    case TV_TEXT_PARAVIRT:
        return site->argument >> 8;
    case TV_TEXT_LOCK:
        return 1;
    case TV_TEXT_ENDBR:
        return 4;
    case TV_TEXT_JUMP_LABEL:
        return site->jump->size;
    case TV_TEXT_RUNTIME_CONST:
        return t->constants[site->argument].kind == TV_TEXT_SHIFT ? 1 : 8;
    default:
        return 5;
    }
}

static const struct {
    const char *name, *note;
} kinds[] = {
    [TV_TEXT_ALTERNATIVE] = { "alternative", "set at boot by the processor's capabilities (apply_alternatives)" },
    [TV_TEXT_RETURN] = { "return", "set at boot by the choice of return thunk (apply_returns)" },
    [TV_TEXT_RETPOLINE] = { "retpoline", "set at boot by the choice of retpolines (apply_retpolines)" },
    [TV_TEXT_PARAVIRT] = { "paravirt", "set at boot from pv_ops (apply_paravirt)" },
    [TV_TEXT_LOCK] = { "lock", "set for one or several processors, all places at once (alternatives_smp_lock)" },
    [TV_TEXT_ENDBR] = { "endbr", "sealed at boot (apply_ibt_endbr), never changed again" },
    [TV_TEXT_FTRACE] = { "ftrace", "a call here belongs to a registered ftrace_ops (ftrace, kprobes, livepatch, BPF)" },
    [TV_TEXT_JUMP_LABEL] = { "jump-label", "follows its static key (jump_label_update)" },
    [TV_TEXT_STATIC_CALL] = { "static-call", "follows its key (static_call_update)" },
    [TV_TEXT_TRAMPOLINE] = { "static-call-trampoline", "follows its key (static_call_update)" },
    [TV_TEXT_RUNTIME_CONST] = { "runtime-const", "set at boot to its variable (runtime_const_init)" },
    [TV_TEXT_FTRACE_UPDATE] = { "ftrace", "leads to the function of a registered ftrace_ops (ftrace_update_ftrace_func)" },
};

const char *tv_text_kind_name(enum tv_text_kind kind)
{
    return kinds[kind].name;
}

const char *tv_text_kind_note(enum tv_text_kind kind)
{
    return kinds[kind].note;
}
