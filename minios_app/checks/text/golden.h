/* SPDX-License-Identifier: MIT */
/*
 * text: golden values.
 */
#ifndef CHECKS_TEXT_GOLDEN_H
#define CHECKS_TEXT_GOLDEN_H

#include "../lib/digest_range.h"
#include "bookkeeping.h"

/*
 * .text: its pages' digests are of the file with zeros at every patch site,
 * and each site is compared with the encoding that the
 * running kernel's state asks for among those that the package allows.
 * Offsets are from _text, modulo 2^32.  docs/design/checks/text.md explains the whole.
 */
enum tv_text_kind { /* of a place; in bits 15..12 of `sites` */
                    TV_TEXT_ALTERNATIVE = 0,   /* argument: shape */
                    TV_TEXT_RETURN = 1,
                    TV_TEXT_RETPOLINE = 2,     /* argument: register, bit 4 jmp, bit 5 CS prefix */
                    TV_TEXT_PARAVIRT = 3,      /* argument: pointer of pv_ops, size in bits 15..8 */
                    TV_TEXT_LOCK = 4,
                    TV_TEXT_ENDBR = 5,
                    TV_TEXT_FTRACE = 6,
                    TV_TEXT_JUMP_LABEL = 7,    /* in turn the entries of `jumps` */
                    TV_TEXT_STATIC_CALL = 8,   /* argument: key, bit 15 a tail call */
                    TV_TEXT_TRAMPOLINE = 9,    /* argument: key */
                    TV_TEXT_RUNTIME_CONST = 10, /* argument: constant */
                    TV_TEXT_FTRACE_UPDATE = 11, /* argument: 0 a call, 1 ftrace_graph_call */
};

enum tv_text_condition { /* below: a capability of boot_cpu_data */
                         TV_TEXT_ITS_RETURN = 0x400, /* x86_return_thunk is its_return_thunk */
                         TV_TEXT_K8 = 0x401,         /* ideal_nops is k8_nops */
                         TV_TEXT_PV_NOP = 0x8000, /* | pointer: it leads to the function that does nothing */
};

enum tv_text_fix_kind { /* what is put into a template, 4 bytes but for ADD64 and ADDR64 */
                        TV_TEXT_REL = 0, /* argument - own offset */
                        TV_TEXT_REL_RETURN = 1, /* displacement to x86_return_thunk */
                        TV_TEXT_REL_PV = 2, /* displacement to what the pointer leads to */
                        TV_TEXT_REL_PV_COUNTED = 3, /* the same, through the call-depth accounting */
                        TV_TEXT_ADD32 = 4, /* the KASLR delta */
                        TV_TEXT_SUB32 = 5,
                        TV_TEXT_ADD64 = 6,
                        TV_TEXT_ADDR32 = 7, /* where argument runs (a module's; 4 bytes) */
                        TV_TEXT_ADDR64 = 8,
};

struct tv_text_fix {
    uint8_t offset, kind;
    uint32_t argument;
};

struct tv_text_template { /* one encoding */
    uint8_t size, fix_count;
    const uint8_t *code;
    const struct tv_text_fix *fixes;
};

struct tv_text_shape { /* conditions' values, the first in bit 0, number the template */
    uint8_t size, condition_count;
    const uint16_t *conditions;
    const uint16_t *templates;
};

struct tv_text_jump {
    uint32_t target;
    uint16_t key; /* of jump_keys */
    uint8_t size; /* 2 or 5 */
    uint8_t branch;
};

struct tv_text_native { /* a paravirt call that becomes instructions (5.10, paravirt_patch.c) */
    uint16_t pointer;
    uint8_t size;
    uint8_t code[3];
    uint32_t function; /* only if this is in the pointer; 0: always */
};

enum tv_text_constant_kind { TV_TEXT_POINTER, TV_TEXT_SHIFT, TV_TEXT_USER_LIMIT, TV_TEXT_SLAB };
struct tv_text_constant {
    const char *symbol;
    uint32_t variable; /* 0: none, the value stands in the instructions alone */
    uint32_t kind;
};

struct tv_text_features { /* numbers of capabilities; call_depth 0: this kernel has none */
    uint16_t retpoline, lfence, rethunk, its, call_depth;
};

struct tv_text_paravirt {
    const uint32_t *pointers; /* [pointer_count] where they are */
    const uint32_t *functions; /* [function_count] sorted: what they may lead to */
    const struct tv_text_native *native;
    uint32_t pointer_count, function_count, native_count;
    uint32_t nop, bug; /* bug 0: an empty pointer gives ud2 */
    uint32_t ident; /* 0: not patched in */
    uint32_t iret; /* the pointer that is jumped through, or 0xffff */
    uint32_t patch, patch_default; /* pv_ops.init.patch, or 0 */
};

/* What call-depth accounting makes of the padding in front of a function. */
enum tv_text_pad { TV_TEXT_NO_PAD = 0, TV_TEXT_PAD_MAYBE = 1, TV_TEXT_PAD_COUNTED = 2 };

/* The places of a stretch of code, the kernel's .text or a module's. */
struct tv_text_code {
    uint32_t npages;
    const uint32_t *site_index; /* [npages + 1] into sites */
    const uint16_t *sites; /* kind << 12 | offset in the page, in address order */
    const uint16_t *args; /* of the sites that have one, in their order */
    const struct tv_text_jump *jumps;
    const uint32_t *jump_keys, *call_keys; /* struct static_key, struct static_call_key */
    const uint32_t *call_index; /* [npages + 1] into call_gaps */
    const uint8_t
        *call_gaps; /* from a call that the accounting leads elsewhere to the next (checks/text/calls.py) */
    const uint32_t *function_index; /* [npages + 1] into functions */
    const uint16_t *functions; /* entries of functions: enum tv_text_pad << 12 | offset in the page */
    const struct tv_text_shape *shapes;
    const struct tv_text_template *templates;
    uint32_t jump_key_count, call_key_count;
};

/* How checks/text packs `sites` and `functions`. */
_Static_assert(TV_TEXT_FTRACE_UPDATE < 16 && TV_TEXT_PAD_COUNTED < 16, "a kind has bits 15..12");
_Static_assert(TV_PAGE_SHIFT == 12, "an offset in the page has bits 11..0");

struct tv_text {
    struct tv_digest_range range;
    struct tv_text_code code;
    const struct tv_text_constant *constants;
    const uint32_t *return_thunks;
    struct tv_text_template call_pad; /* the accounting in front of a function; size 0: none */
    struct tv_text_paravirt paravirt;
    struct tv_text_ftrace ftrace;
    struct tv_text_kprobes kprobes;
    struct tv_text_registries registries;
    struct tv_text_poke poke;
    struct tv_text_features features;
    uint32_t constant_count, return_thunk_count;
    uint32_t capabilities, capability_words; /* boot_cpu_data.x86_capability */
    uint32_t x86_return_thunk, its_return_thunk;
    uint32_t indirect_thunks, call_thunks, jump_thunks; /* 32 bytes a register */
    uint32_t uniproc_patched;
    uint32_t ideal_nops, k8_nops, p6_nops; /* 0: there is only one table of NOPs */
    uint32_t ret0, warn; /* static calls of these become instructions; 0: they do not */
    uint32_t slab_caches, slab_list;
    uint32_t rodata, rodata_end; /* the section's pages, for the mapping's rights */
    uint8_t endbr_poison[4];
    bool pads_jumps, int3_after_jump;
};

TV_GOLDEN(tv_text_golden, struct tv_text, TV_CHECK_TEXT)

/* What `[checks.text]` allows: reported as notices, not as findings (generated text_config.c). */
struct tv_text_config {
    bool allow_kprobes, allow_bpf, allow_livepatch;
};
extern const struct tv_text_config tv_text_config;

#endif
