/* SPDX-License-Identifier: MIT */
/*
 * modules: golden values.
 */
#ifndef CHECKS_MODULES_GOLDEN_H
#define CHECKS_MODULES_GOLDEN_H

#include "../text/golden.h"

/*
 * Kernel modules.  Link addresses of a module's memory are from a space of its
 * own; everything is an offset from _text, modulo 2^32, as in struct tv_text.
 * docs/design/checks/modules.md explains the whole.
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

_Static_assert(TV_PAGE_SIZE % TV_MODULE_LINE == 0, "lines fill a page");

struct tv_module_pages { /* of one area, at link addresses, with zeros at patched places */
    uint32_t npages;
    const uint16_t *
        order; /* [2][npages] entries, for each order of the tables that the loader sorts; NULL: as they are */
    const uint8_t (*digests)[32];
    const uint8_t (
        *sums)[TV_PAGE_SIZE / TV_MODULE_LINE]; /* low byte of the CRC-32 of each line: where, not whether */
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
    uint32_t head; /* the list of modules */
    /* struct module, linux/module.h: offsets of members */
    uint32_t next, name, state, percpu;
    bool split; /* mem[] (since 6.4), else core_layout */
    uint32_t layout; /* mem or core_layout */
    uint32_t base, size; /* of struct module_memory or module_layout */
    uint32_t text_size, ro_size, ro_after_init_size;
    uint32_t memory_size; /* of struct module_memory */
    uint8_t memory[TV_MODULE_AREAS]; /* index in mem[] of each area but the last */
};

TV_GOLDEN(tv_modules_golden, struct tv_modules, TV_CHECK_MODULES)

/* What `[checks.modules]` sets (generated modules_config.c). */
struct tv_modules_config {
    bool report_unknown; /* a module without a known .ko is a finding, not unverifiable */
};
extern const struct tv_modules_config tv_modules_config;

#endif
