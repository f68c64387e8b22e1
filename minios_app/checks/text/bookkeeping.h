/* SPDX-License-Identifier: MIT */
/*
 * The kernel's bookkeeping: where it records what it changes in its own code while it
 * runs.  Addresses are offsets from _text; offsets of members are from the
 * structure that is named beside them.
 */
#ifndef CHECKS_TEXT_BOOKKEEPING_H
#define CHECKS_TEXT_BOOKKEEPING_H

#include <tinyvmi/types.h>

#define TV_FTRACE_CALLER_MAX 512 /* bytes of ftrace_caller; the generator refuses more */

struct tv_text_caller { /* what create_trampoline() copies (arch/x86/kernel/ftrace.c) */
    uint32_t start;
    uint16_t size, op, call, jmp; /* from `start`: the load of the ops, the call, jnz (0: none) */
};

struct tv_text_ftrace { /* linux/ftrace.h, kernel/trace/ftrace.c */
    const uint32_t *callers;                  /* ftrace_caller, ftrace_regs_caller */
    const uint32_t *functions, *graph;        /* what ftrace_call and ftrace_graph_call may lead to */
    uint32_t function_count, graph_count;
    struct tv_text_caller templates[2];       /* of `callers` */
    uint32_t ops_list, list_end;
    uint32_t func, next, trampoline, flags, hashes; /* struct ftrace_ops */
    uint32_t filter, notrace;                 /* struct ftrace_ops_hash */
    uint32_t bits, heads, count;              /* struct ftrace_hash */
    uint32_t entry_ip, entry_direct;          /* struct ftrace_func_entry */
    uint32_t direct;                          /* direct_functions */
    uint32_t pages;                           /* ftrace_pages_start */
    uint32_t page_next, page_records, page_index; /* struct ftrace_page */
    uint32_t trace_function, enabled,
        assist; /* ftrace_trace_function, ftrace_enabled, ftrace_ops_assist_func */
    uint32_t save_regs, adding, modifying, alloc_tramp; /* FTRACE_OPS_FL_* */
    uint32_t assist_set, assist_clear;        /* flags that, set or clear, ask for the assist function */
    uint32_t site_count;                      /* records that there are at most */
    uint32_t moves; /* what is relative is moved when a caller is copied (6.7 on) */
};

struct tv_text_kprobes { /* linux/kprobes.h, arch/x86/kernel/kprobes/opt.c */
    const uint8_t *template; /* optprobe_template_entry */
    uint32_t template_size, template_clac, template_val, template_call;
    uint32_t table, buckets;
    uint32_t hlist, list, addr, opcode, flags, pre_handler, post_handler, slot; /* struct kprobe */
    uint32_t copied, optimized, optimized_size, opt_list; /* struct optimized_kprobe */
    uint32_t handler, entry_handler; /* struct kretprobe */
    uint32_t aggr_pre_handler, pre_handler_kretprobe, callback;
    uint32_t all_disarmed;
    uint32_t int3_in_slot;
};

struct tv_text_registries { /* an absent one is 0 */
    uint32_t bpf_list, bpf_start, bpf_end, bpf_name, bpf_node; /* bpf_kallsyms, struct bpf_ksym */
    uint32_t klp_list, klp_node, klp_stack, klp_ops; /* klp_ops, struct klp_ops */
    uint32_t klp_func, klp_old, klp_new, klp_name; /* struct klp_func */
    uint32_t klp_handler;
};

struct tv_text_poke { /* the text poke in flight (arch/x86/kernel/alternative.c) */
    uint32_t vector, indirect; /* places, or a pointer to them */
    uint32_t count, refs; /* refs 0: there is no such counter */
    uint32_t size, address; /* of a place; where its address is, counted from `base` */
    uint32_t base;
};

#endif
