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
#define TV_MODULES_NAMES   240 /* bytes of names told in a reason */

struct tv_module_seen { /* one of the package's modules, as the guest has it */
    uint64_t base[TV_MODULE_AREAS]; /* running addresses; those of freed memory are 0 */
    bool loaded;                    /* it is live, and has the package's layout */
};

struct tv_module_kept {
    struct tv_kept pages[2]; /* of its text and its read-only data */
    uint64_t *where; /* [areas, then regions] running addresses that its pages were right with */
};

struct tv_modules_state {
    const struct tv_modules *m;
    struct tv_module_seen *seen; /* [count] */
    struct tv_module_kept *copies; /* [count] */
    uint64_t walked;             /* when the list was read last, 0: never */
    bool judging;                /* what was read holds until all modules are judged */
    uint32_t listed;             /* modules on it */
    uint32_t strange;            /* of them, without tables or with others */
    uint32_t busy;               /* of them, being loaded or unloaded */
    char names[TV_MODULES_NAMES + 96]; /* the reason, with names of those */
    uint32_t length;
    char kept[TV_FINDINGS_MAX][TV_MODULES_NAME]; /* names that findings point to */
    uint32_t kept_count;
    struct tv_text_state text;
    struct tv_text_area area;
    struct tv_text_region regions[TV_MODULES_REGIONS];
    uint64_t delta[TV_MODULES_CLASSES]; /* what is taken from a value of each class */
    struct tv_text_pass pass;
    struct tv_range range;
};

/* Read the guest's list of modules into `seen`; with `res`, tell what is wrong with it. */
void tv_modules_walk(struct tv_modules_state *s, struct tv_kernel *k, struct tv_result *res);

/* Judge module number `i`, which is loaded. */
void tv_module_judge(struct tv_modules_state *s, struct tv_kernel *k, uint32_t i, struct tv_result *res);

/* modules_kept.c: what is kept of an area of module `i`, or NULL. */
struct tv_kept *tv_module_kept(struct tv_modules_state *s, uint32_t i, uint32_t area);
/* Module `i` and its regions were located: what was kept with other places is right no more. */
void tv_module_remember(struct tv_modules_state *s, uint32_t i);
void tv_module_forget(struct tv_module_kept *kept);

/* Note that `name` cannot be verified, because of `why`. */
void tv_modules_name(struct tv_modules_state *s, const char *why, const char *name);

#endif
