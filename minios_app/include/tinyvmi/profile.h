/* SPDX-License-Identifier: MIT */
/*
 * Golden values of one kernel, generated from its package.  Addresses named
 * `*_va` are link addresses (as in System.map); the running kernel's differ by
 * the KASLR delta.  A table that the generator could not make for a kernel is
 * absent (NULL) and its reason says why; the check is then unverifiable.
 */
#ifndef TINYVMI_PROFILE_H
#define TINYVMI_PROFILE_H

#include <tinyvmi/registers.h>
#include <tinyvmi/tracing.h>

#define TV_BUILD_ID_SIZE 20

/* Pages compared by digest, after the KASLR relocation is taken back. */
#define TV_LINE_SIZE      64 /* bytes of a locator line */
#define TV_LINES_PER_PAGE (TV_PAGE_SIZE / TV_LINE_SIZE)

enum tv_reloc_kind { /* arch/x86/tools/relocs.c: how the delta was applied */
    TV_RELOC_64 = 0,
    TV_RELOC_32 = 1,
    TV_RELOC_INV32 = 2, /* subtracted: per-CPU references */
};
/* A relocation: kind in bits 15..14; in the others its offset from 8 bytes
 * before the page, so that one which began in the page before can be named. */
#define TV_RELOC_BIAS      8
#define TV_RELOC_KIND(r)   ((enum tv_reloc_kind)((r) >> 14))
#define TV_RELOC_OFFSET(r) ((uint32_t)((r) & 0x3fffu))

/*
 * A constant that the kernel itself cuts up at boot: strsep() over it turns
 * every comma into a NUL (set_rdt_options, on Skylake-X).  Whole or wholly cut
 * is as the package allows; anything between is not.
 */
struct tv_cut_string {
    uint32_t offset; /* from the range's va */
    const char *text; /* as in the file */
};

struct tv_digest_range {
    const char *symbol; /* the symbol at `va` */
    uint64_t va;        /* page aligned */
    uint32_t npages;
    uint32_t last_size;              /* bytes of the last page that are compared */
    const uint8_t (*digests)[32];    /* [npages] SHA-256 of each page's bytes in the file */
    const uint32_t *reloc_index;     /* [npages + 1] into relocs */
    const uint16_t *relocs;
    /* [npages][64]: low 16 bits of the CRC-32 of each line.  They only say where
     * in a page that the digest has condemned the change is; they judge nothing. */
    const uint16_t (*lines)[TV_LINES_PER_PAGE];
    const struct tv_cut_string *cuts; /* [cut_count] */
    uint32_t cut_count;
};

struct tv_pointer_table { /* consecutive 64-bit pointers to code */
    const char *symbol;
    uint64_t va;
    uint32_t count;
    const uint64_t *expected; /* [count] link addresses */
};

/* One vector of the IDT (struct gate_struct, arch/x86/include/asm/desc_defs.h). */
#define TV_GATE_HANDLERS 4
#define TV_IDT_VECTORS   256
struct tv_gate {
    uint32_t handler[TV_GATE_HANDLERS]; /* offsets from text_va that the kernel may install, the first always there; 0: no more */
    uint16_t bits;                      /* struct idt_bits: ist, type, dpl, p */
};
struct tv_idt {
    uint64_t table_va; /* idt_table */
    uint64_t alias_va; /* where the CPUs see it read-only (CPU_ENTRY_AREA_RO_IDT) */
    uint16_t segment;  /* __KERNEL_CS */
    struct tv_gate gates[TV_IDT_VECTORS];
};

struct tv_policy_string { /* a string in the kernel's data that an attacker would like to choose */
    const char *symbol;
    uint64_t va;
    uint32_t size;                /* bytes of the array, the NUL included */
    const char *const *allowed;   /* NULL-terminated */
};

/*
 * .text: its pages' digests are of the file with zeros at every place that the
 * kernel patches, and each such place is compared with the encoding that the
 * running kernel's state asks for among those that the package allows.
 * Offsets are from _text, modulo 2^32.  docs/design/checks/text.md tells the whole.
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
    TV_TEXT_PV_NOP = 0x8000,    /* | pointer: it leads to the function that does nothing */
};

enum tv_text_fix_kind { /* what is put into a template, 4 bytes but for ADD64 and ADDR64 */
    TV_TEXT_REL = 0,            /* argument - own offset */
    TV_TEXT_REL_RETURN = 1,     /* displacement to x86_return_thunk */
    TV_TEXT_REL_PV = 2,         /* displacement to what the pointer leads to */
    TV_TEXT_REL_PV_COUNTED = 3, /* the same, through the call-depth accounting */
    TV_TEXT_ADD32 = 4,          /* the KASLR delta */
    TV_TEXT_SUB32 = 5,
    TV_TEXT_ADD64 = 6,
    TV_TEXT_ADDR32 = 7,         /* where argument runs (a module's; 4 bytes) */
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
    uint32_t ident;    /* 0: not patched in */
    uint32_t iret;     /* the pointer that is jumped through, or 0xffff */
    uint32_t patch, patch_default; /* pv_ops.init.patch, or 0 */
};

/* What call-depth accounting makes of the padding in front of a function. */
enum tv_text_pad { TV_TEXT_NO_PAD = 0, TV_TEXT_PAD_MAYBE = 1, TV_TEXT_PAD_COUNTED = 2 };

/* The places of a stretch of code, the kernel's .text or a module's. */
struct tv_text_code {
    uint32_t npages;
    const uint32_t *site_index; /* [npages + 1] into sites */
    const uint16_t *sites;      /* kind << 12 | offset in the page, in address order */
    const uint16_t *args;       /* of the sites that have one, in their order */
    const struct tv_text_jump *jumps;
    const uint32_t *jump_keys, *call_keys; /* struct static_key, struct static_call_key */
    const uint32_t *call_index; /* [npages + 1] into call_gaps */
    const uint8_t *call_gaps;   /* from a call that the accounting leads elsewhere to the next (checks/text/calls.py) */
    const uint32_t *function_index;        /* [npages + 1] into functions */
    const uint16_t *functions; /* entries of functions: enum tv_text_pad << 12 | offset in the page */
    const struct tv_text_shape *shapes;
    const struct tv_text_template *templates;
    uint32_t jump_key_count, call_key_count;
};

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

/* Static pointers to functions and to constant tables of functions.  Offsets are from `va`, modulo 2^32. */
enum tv_pointer_flag { /* of a rule */
    TV_POINTER_NULL = 1,    /* nothing may stand there */
    TV_POINTER_ANY = 2,     /* any function of the kernel */
    TV_POINTER_FOREIGN = 4, /* code outside of the kernel's own */
};
#define TV_POINTER_NO_SET 0xffff
struct tv_pointer_rule { /* of a slot that may change */
    uint32_t slot;
    uint16_t set; /* of `set_index`, or TV_POINTER_NO_SET */
    uint16_t flags;
};
struct tv_function_pointers {
    uint64_t va;            /* _text */
    const uint32_t *pages;  /* [page_count] ascending, those of 4 KiB from `va` that hold slots */
    const uint32_t *index;  /* [page_count + 1] into slots and targets */
    const uint16_t *slots;  /* offset in the page; a slot never crosses its end */
    const uint32_t *targets; /* what was compiled in */
    const struct tv_pointer_rule *rules; /* [rule_count] by slot */
    const uint32_t *set_index;  /* into set_values, one more than there are sets */
    const uint32_t *set_values; /* each set ascending */
    uint32_t page_count, rule_count;
};

/* Where roots of page tables are found.  Link addresses, then offsets of members. */
struct tv_page_tables {
    uint64_t init_task, init_mm;
    uint64_t efi; /* efi_mm, or 0 */
    const uint64_t *pointers; /* [pointer_count] to struct mm_struct or NULL */
    uint32_t pointer_count;
    uint64_t capabilities; /* boot_cpu_data.x86_capability */
    uint64_t per_cpu_offset, nr_cpu_ids, cpu_tlbstate;
    bool per_cpu_moves; /* KASLR moves cpu_tlbstate's address (since 6.15) */
    uint32_t tasks, pid, comm, comm_size, mm, active_mm, signal, thread_node; /* struct task_struct */
    uint32_t thread_head; /* struct signal_struct */
    uint32_t pgd, ldt;    /* struct mm_struct; ldt UINT32_MAX: none */
    uint32_t loaded_mm;   /* struct tlb_state */
    uint32_t pti;         /* number of the capability */
};

/*
 * ro_after_init: its pages' digests are of the expected bytes with zeros in
 * the runs.  Offsets are from the first page.
 */
enum tv_boot_kind { TV_BOOT_VALUE = 0, TV_BOOT_CONSTANT = 1, TV_BOOT_ENCODING = 2 }; /* others are judged elsewhere */
struct tv_boot_run { /* never over a page's end */
    uint16_t at;        /* in the page */
    uint16_t kind_size; /* kind << 13 | bytes */
};
struct tv_boot_number {
    uint64_t number;
    bool moves; /* a link address */
};
struct tv_boot_constant { /* values[first .. end) */
    uint32_t offset, size, first, end;
};
#define TV_BOOT_CODE_MAX 16
struct tv_boot_encoding { /* codes[first .. end) */
    uint32_t offset, size, first, end;
};
struct tv_call_site { /* struct static_call_site, from _text, modulo 2^32 */
    uint32_t site, key; /* with the key's bits: 1 a tail call, 2 in code that is given back */
};
struct tv_ro_after_init {
    struct tv_digest_range range;
    uint32_t first; /* offset of __start_ro_after_init */
    const uint32_t *run_index; /* [npages + 1] into runs */
    const struct tv_boot_run *runs;
    const struct tv_boot_number *values;
    const struct tv_boot_constant *constants; /* [constant_count] */
    const uint8_t (*codes)[TV_BOOT_CODE_MAX];
    const struct tv_boot_encoding *encodings; /* [encoding_count] */
    const struct tv_call_site *sites; /* [site_count] by key without its bits, site, key */
    uint32_t sites_at; /* offset of the table */
    uint32_t constant_count, encoding_count, site_count;
    uint32_t array_at, array_size; /* __per_cpu_offset, in bytes; 0: it is not here */
    struct tv_boot_number array_value; /* of those that belong to no processor */
    uint64_t nr_cpu_ids;           /* link address */
};

/*
 * Kernel modules.  Link addresses of a module's memory are from a space of its
 * own; everything is an offset from _text, modulo 2^32, as in struct tv_text.
 * docs/design/checks/modules.md tells the whole.
 */
enum tv_module_area { /* a kind of a module's memory */
    TV_MODULE_TEXT = 0,
    TV_MODULE_RODATA = 1,
    TV_MODULE_RO_AFTER_INIT = 2,
    TV_MODULE_DATA = 3,
    TV_MODULE_INIT_TEXT = 4, /* the three are freed once the module is initialised */
    TV_MODULE_INIT_RODATA = 5,
    TV_MODULE_INIT_DATA = 6,
    TV_MODULE_PERCPU = 7,
    TV_MODULE_AREAS = 8,
};

enum tv_module_field { /* how a value counts from a region */
    TV_MODULE_ABS64 = 0,
    TV_MODULE_ABS32 = 1,
    TV_MODULE_PC32 = 2, /* from its own address */
    TV_MODULE_PC64 = 3,
};

#define TV_MODULE_KERNEL   0 /* regions that are no module's; others count from TV_MODULE_REGION on */
#define TV_MODULE_ABSOLUTE 1
#define TV_MODULE_REGION   2

struct tv_module_region { /* memory that moves as one */
    uint32_t start, size;
    uint8_t area;   /* at its begin */
    uint8_t module; /* 0: this one; n: needs[n - 1] */
};

struct tv_module_class {
    uint8_t field, region;
};

struct tv_module_witness { /* a value from which the address of a region that was freed follows */
    uint8_t region, area, field;
    uint32_t offset; /* in the area */
    uint32_t target; /* where it leads at link addresses */
};

#define TV_MODULE_LINE 128 /* bytes of a line that has a sum of its own */
#define TV_MODULE_ROW  0x80 /* in a class: values at equal distances */

struct tv_module_pages { /* of one area, at link addresses, with zeros at patched places */
    uint32_t npages;
    const uint16_t *order; /* [2][npages] entries, for each order of the tables that the loader sorts; NULL: as they are */
    const uint8_t (*digests)[32];
    const uint8_t (*sums)[TV_PAGE_SIZE / TV_MODULE_LINE]; /* low byte of the CRC-32 of each line: where, not whether */
    const uint32_t *reloc_index; /* into relocs, which checks/modules/pages.py describes */
    const uint8_t *relocs;
};

struct tv_module {
    const char *name;
    uint8_t build_id[TV_BUILD_ID_SIZE];
    uint32_t build_id_at; /* in its rodata */
    uint32_t sizes[TV_MODULE_AREAS]; /* whole pages */
    uint32_t starts[TV_MODULE_AREAS];
    struct tv_module_pages text, rodata;
    struct tv_text_code code;
    const uint16_t *needs; /* numbers of modules */
    const struct tv_module_region *regions;
    const struct tv_module_class *classes;
    const struct tv_module_witness *witnesses; /* two a region: for each order of the sorted tables */
    uint8_t need_count, region_count, class_count, witness_count;
};

struct tv_modules {
    const struct tv_module *list; /* [count] sorted by name */
    uint32_t count;
    uint32_t jump_keys, call_keys; /* the most that one has */
    uint32_t head;                 /* the list of modules */
    /* struct module, linux/module.h: offsets of members */
    uint32_t next, name, state, percpu;
    bool split;                        /* mem[] (since 6.4), else core_layout */
    uint32_t layout;                   /* mem or core_layout */
    uint32_t base, size;               /* of struct module_memory or module_layout */
    uint32_t text_size, ro_size, ro_after_init_size;
    uint32_t memory_size;              /* of struct module_memory */
    uint8_t memory[TV_MODULE_AREAS];   /* index in mem[] of each area but the last */
};

struct tv_kernel_profile {
    uint8_t build_id[TV_BUILD_ID_SIZE];
    const char *release;
    const char *banner; /* linux_banner */
    uint64_t text_va;   /* _text */
    uint64_t image_size; /* bytes from _text to _end, contiguous in physical memory */
    uint64_t physical_start; /* where the file asks to be loaded (0x1000000) */
    uint64_t build_id_va;    /* the descriptor of the GNU note */
    uint64_t banner_va;
    uint64_t phys_base_va;
    uint64_t root_va;  /* init_top_pgt */
    uint64_t system_state_va;
    uint32_t system_running; /* SYSTEM_RUNNING of enum system_states */
    uint32_t system_suspend; /* SYSTEM_SUSPEND: what lies between has halted or restarts */
    /*
     * A struct tk_read_base that every tick rewrites (tk_fast_mono.base[0],
     * kernel/time/timekeeping.c), and the offsets of its members; 0: not known.
     */
    uint64_t clock_va;
    uint32_t clock_source; /* clock: the clocksource, a pointer that hardly ever changes */
    uint32_t clock_cycle;  /* cycle_last: the counter at the last tick */
    uint32_t clock_real;   /* base_real: wall clock in ns, renewed once a second */
    uint64_t la57_va;  /* __pgtable_l5_enabled (u32), or 0: always 4 levels */
    const struct tv_digest_range *rodata;
    const char *rodata_reason;
    const struct tv_text *text;
    const char *text_reason;
    const struct tv_modules *modules;
    const char *modules_reason;
    const struct tv_pointer_table *pointer_tables;
    uint32_t pointer_table_count;
    const char *syscall_table_reason;
    const struct tv_idt *idt;
    const char *idt_reason;
    const struct tv_policy_string *policy;
    uint32_t policy_count;
    const char *policy_reason;
    const struct tv_function_pointers *function_pointers;
    const char *function_pointers_reason;
    const struct tv_page_tables *page_tables;
    const char *page_tables_reason;
    const struct tv_ro_after_init *ro_after_init;
    const char *ro_after_init_reason;
    const struct tv_registers *registers;
    const char *registers_reason;
};

extern const struct tv_kernel_profile *const tv_profiles[];
extern const uint32_t tv_profile_count;

#endif
