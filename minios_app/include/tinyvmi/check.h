/* SPDX-License-Identifier: MIT */
/*
 * A check compares one part of the running kernel with its golden values.
 * It is found by its name: checks/NAME.c, templates/checks/NAME.c.j2.
 */
#ifndef TINYVMI_CHECK_H
#define TINYVMI_CHECK_H

#include <tinyvmi/golden.h>

enum tv_verdict { /* in order of precedence: a scan's verdict is its highest */
    TV_INTACT = 0,
    TV_UNVERIFIABLE = 1,
    TV_ERROR = 2,
    TV_TAMPERED = 3,
};

const char *tv_verdict_name(enum tv_verdict v);

/* What a kind of findings is called in records, and whether such findings come and go while the kernel patches itself. */
struct tv_finding_kind_info {
    const char *name;
    bool transient;
};
extern const struct tv_finding_kind_info tv_finding_kinds[TV_KIND_COUNT]; /* generated checks.c */

#define TV_FINDINGS_MAX 16  /* reported of one check in one scan; all are counted */
#define TV_FINDING_BYTES 128 /* of expected and of actual bytes */
#define TV_OWNER_MAX 64     /* of a name from the guest, its NUL included */

struct tv_finding {
    const char *kind;    /* what differs: page-digest, pointer, gate, string, … */
    const char *symbol;  /* at or below the address */
    uint64_t offset;     /* from the symbol */
    uint64_t address;    /* running virtual address */
    const char *note;    /* or NULL */
    uint8_t expected[TV_FINDING_BYTES], actual[TV_FINDING_BYTES];
    uint32_t expected_size, actual_size;
    uint64_t target;           /* running address that it leads to, 0: none */
    char owner[TV_OWNER_MAX];  /* the guest's own name of who made it (hostile text), "" if there is none */
};

struct tv_result {
    enum tv_verdict verdict;
    uint32_t units;    /* pages, pointers, gates, strings … really compared */
    uint32_t findings; /* all of them, reported or not */
    uint32_t lasting;  /* of them, those at places that no kernel patches while it runs */
    uint32_t missing;  /* units that could not be read */
    const char *reason; /* for unverifiable and error */
    struct tv_finding finding[TV_FINDINGS_MAX];
    uint32_t notices; /* what the configuration allows; it is told and does not change the verdict */
    struct tv_finding notice[TV_FINDINGS_MAX];
};

/* Frames whose writes are tracked, and which of them were written since the last look. */
struct tv_dirty {
    uint64_t first; /* gfn */
    uint32_t count;
    const uint8_t *bits; /* bit I: frame first + I was written */
    bool any;            /* some was */
};

struct tv_check {
    const char *name;
    /* Reserve views for the kernel that was found.  0 or -TV_ENOMEM. */
    int (*attach)(struct tv_kernel *k);
    /* Map or revalidate, read, compare.  `res` is zeroed by the caller. */
    void (*run)(struct tv_kernel *k, struct tv_result *res);
    void (*detach)(struct tv_kernel *k);
    /*
     * Between two scans, or NULL: judge only what may have changed since this was
     * intact.  Findings go into `res`; no finding says nothing about the rest.
     */
    void (*look)(struct tv_kernel *k, const struct tv_dirty *dirty, struct tv_result *res);
};

/* The checks that this image was configured to make (generated checks.c). */
extern const struct tv_check *const tv_checks[];
extern const uint32_t tv_check_count;

/*
 * Count a finding and keep its details while there is room.  Byte strings are
 * cut at TV_FINDING_BYTES.  Returns what was kept, or NULL.
 */
struct tv_finding *tv_find(struct tv_result *res, const char *kind, const char *symbol, uint64_t offset,
                           uint64_t address, const void *expected, size_t expected_size, const void *actual,
                           size_t actual_size, const char *note);

/* The same for what the configuration allows: if `allowed` a notice, else a finding. */
struct tv_finding *tv_tell(struct tv_result *res, bool allowed, const char *kind, const char *symbol,
                           uint64_t offset, uint64_t address, const void *expected, size_t expected_size,
                           const void *actual, size_t actual_size, const char *note);

/* Say where a finding leads and who made it; `f` may be NULL, `owner` too. */
void tv_attribute(struct tv_finding *f, uint64_t target, const char *owner);

/* Say once for each kernel, at the end of a scan, that pages are digested for want of memory for copies (kept.c). */
void tv_kept_tell(void);

/* Settle the verdict from units, findings and missing; `none` is the reason if nothing was compared. */
void tv_settle(struct tv_result *res, const char *none);

#endif
