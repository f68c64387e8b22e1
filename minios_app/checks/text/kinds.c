/* SPDX-License-Identifier: MIT */
/* text: the kinds of patch sites: their sizes, what findings at them are called, who changes them. */
#include "internal.h"

uint32_t tv_text_size(const struct tv_text *t, const struct tv_text_site *site)
{
    switch (site->kind) {
    case TV_TEXT_ALTERNATIVE: return site->area->c->shapes[site->argument].size;
    case TV_TEXT_RETPOLINE: return 5 + (site->argument >> 5 & 1);
    case TV_TEXT_PARAVIRT: return site->argument >> 8;
    case TV_TEXT_LOCK: return 1;
    case TV_TEXT_ENDBR: return 4;
    case TV_TEXT_JUMP_LABEL: return site->jump->size;
    case TV_TEXT_RUNTIME_CONST: return t->constants[site->argument].kind == TV_TEXT_SHIFT ? 1 : 8;
    default: return 5;
    }
}

static const struct {
    enum tv_finding_kind finding;
    const char *note;
} kinds[] = {
    [TV_TEXT_ALTERNATIVE] = { TV_KIND_ALTERNATIVE,
                              "set at boot by the processor's capabilities (apply_alternatives)" },
    [TV_TEXT_RETURN] = { TV_KIND_RETURN, "set at boot by the choice of return thunk (apply_returns)" },
    [TV_TEXT_RETPOLINE] = { TV_KIND_RETPOLINE, "set at boot by the choice of retpolines (apply_retpolines)" },
    [TV_TEXT_PARAVIRT] = { TV_KIND_PARAVIRT, "set at boot from pv_ops (apply_paravirt)" },
    [TV_TEXT_LOCK] = { TV_KIND_LOCK,
                       "set for one or several processors, all sites at once (alternatives_smp_lock)" },
    [TV_TEXT_ENDBR] = { TV_KIND_ENDBR, "sealed at boot (apply_ibt_endbr), never changed again" },
    [TV_TEXT_FTRACE] = { TV_KIND_FTRACE,
                         "a call here belongs to a registered ftrace_ops (ftrace, kprobes, livepatch, BPF)" },
    [TV_TEXT_JUMP_LABEL] = { TV_KIND_JUMP_LABEL, "follows its static key (jump_label_update)" },
    [TV_TEXT_STATIC_CALL] = { TV_KIND_STATIC_CALL, "follows its key (static_call_update)" },
    [TV_TEXT_TRAMPOLINE] = { TV_KIND_STATIC_CALL_TRAMPOLINE, "follows its key (static_call_update)" },
    [TV_TEXT_RUNTIME_CONST] = { TV_KIND_RUNTIME_CONST, "set at boot to its variable (runtime_const_init)" },
    [TV_TEXT_FTRACE_UPDATE] = { TV_KIND_FTRACE, "leads to the function of a registered ftrace_ops "
                                                "(ftrace_update_ftrace_func)" },
};

enum tv_finding_kind tv_text_finding_kind(enum tv_text_kind kind)
{
    return kinds[kind].finding;
}

const char *tv_text_kind_note(enum tv_text_kind kind)
{
    return kinds[kind].note;
}
