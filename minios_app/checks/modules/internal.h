/* SPDX-License-Identifier: MIT */
/* What the parts of the modules check share. */
#ifndef CHECKS_MODULES_INTERNAL_H
#define CHECKS_MODULES_INTERNAL_H

#include "../text/internal.h"
#include "golden.h"

#define TV_MODULES_LISTED  1024 /* modules followed on the guest's list */
#define TV_MODULES_NAME    56   /* MODULE_NAME_LEN, linux/moduleparam.h */
#define TV_MODULES_REGIONS 256
#define TV_MODULES_CLASSES 128
#define TV_MODULES_WINDOW  512 /* pages shown at a time */
#define TV_MODULES_NAMES   240 /* bytes of names in a reason */

_Static_assert(TV_MODULES_CLASSES <= TV_MODULE_ROW, "the number of a class has bits 6..0");

struct tv_module_seen { /* one of the package's modules, as the guest has it */
    uint64_t base[TV_MODULE_AREAS]; /* running addresses; those of freed memory are 0 */
    bool loaded;                    /* it is live, and has the package's layout */
};

/* list.c: the guest's list of modules, as it was read once. */
struct tv_module_list {
    struct tv_module_seen *seen; /* [count] */
    uint64_t read_ns;            /* when; 0: never */
    uint32_t listed;             /* modules on it */
    uint32_t strange;            /* of them, without tables or with others */
    uint32_t busy;               /* of them, being loaded or unloaded */
    uint32_t length;
    char names[TV_MODULES_NAMES + 96]; /* the reason, with names of those */
};

struct tv_module_cache {
    struct tv_page_cache pages[2]; /* of its text and its read-only data */
    uint64_t *where; /* [areas, then regions] running addresses that its pages were valid with */
};

struct tv_modules_check {
    const struct tv_modules *m; /* NULL: nothing can be checked */
    struct tv_module_list list;   /* of the scan under way */
    struct tv_module_list lookup; /* for other checks, which ask whose code is at an address */
    struct tv_module_cache *caches; /* [count] */
    struct tv_text_state text;
    struct tv_text_area area;
    struct tv_text_region regions[TV_MODULES_REGIONS];
    uint64_t delta[TV_MODULES_CLASSES]; /* what is taken from a value of each class */
    struct tv_text_pass pass;
    struct tv_range range;
    uint32_t next;   /* module of the scan under way */
    bool unreadable; /* the state could not be read, so the modules are not checked */
};

/* Read the guest's list of modules into `list`; with `res`, report what is wrong with it. */
void tv_module_list_read(struct tv_module_list *list, const struct tv_modules *m, struct tv_kernel *k,
                         struct tv_result *res);

/* Note in the reason that `name` cannot be verified, because of `why`. */
void tv_module_list_note(struct tv_module_list *list, const char *why, const char *name);

/* pages.c: check module number `i`, which is loaded. */
void tv_module_check(struct tv_modules_check *c, struct tv_kernel *k, uint32_t i, struct tv_result *res);

/* cache.c: what is cached of an area of module `i`, or NULL. */
struct tv_page_cache *tv_module_cache_of(struct tv_modules_check *c, struct tv_kernel *k, uint32_t i,
                                         uint32_t area);
/* Module `i` and its regions were located: what was cached with other addresses is valid no more. */
void tv_module_cache_locate(struct tv_modules_check *c, struct tv_kernel *k, uint32_t i);
void tv_module_cache_deinit(struct tv_module_cache *cache, struct tv_kernel *k);

#endif
