/* SPDX-License-Identifier: MIT */
/*
 * Golden values of one kernel, generated from its package.  Addresses named
 * `*_va` are link addresses (as in System.map); the running kernel's differ by
 * the KASLR delta.  A table that the generator could not make for a kernel is
 * absent (NULL) and its reason says why; the check is then unverifiable.
 */
#ifndef TINYVMI_PROFILE_H
#define TINYVMI_PROFILE_H

#include <tinyvmi/types.h>

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
    uint64_t la57_va;  /* __pgtable_l5_enabled (u32), or 0: always 4 levels */
    const struct tv_digest_range *rodata;
    const char *rodata_reason;
    const struct tv_pointer_table *pointer_tables;
    uint32_t pointer_table_count;
    const char *syscall_table_reason;
    const struct tv_idt *idt;
    const char *idt_reason;
    const struct tv_policy_string *policy;
    uint32_t policy_count;
    const char *policy_reason;
};

extern const struct tv_kernel_profile *const tv_profiles[];
extern const uint32_t tv_profile_count;

#endif
