/* SPDX-License-Identifier: MIT */
/* What a check reports: its verdict, and each place where the running kernel differs from its golden values. */
#ifndef TINYVMI_FINDING_H
#define TINYVMI_FINDING_H

#include <tinyvmi/types.h>
#include <tinyvmi_checks.h>

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

#define TV_FINDINGS_MAX  16 /* reported of one check in one scan; all are counted */
#define TV_FINDING_BYTES 128 /* of expected and of actual bytes */
#define TV_OWNER_MAX     64 /* of a name from the guest, its NUL included */
#define TV_SYMBOL_MAX    64
#define TV_NOTE_MAX      144

struct tv_finding {
    enum tv_finding_kind kind;
    uint32_t expected_size, actual_size;
    uint64_t offset; /* from the symbol */
    uint64_t address; /* running virtual address */
    uint64_t target; /* running address that it leads to, 0: none */
    uint8_t expected[TV_FINDING_BYTES], actual[TV_FINDING_BYTES];
    char symbol[TV_SYMBOL_MAX]; /* at or below the address */
    char note[TV_NOTE_MAX]; /* "" if there is none */
    char owner[TV_OWNER_MAX]; /* the guest's own name of who made it (hostile text), "" if there is none */
};

struct tv_result {
    enum tv_verdict verdict;
    uint32_t items; /* pages, pointers, gates, strings … really compared */
    uint32_t findings; /* all of them, reported or not */
    uint32_t lasting; /* of them, those at places that no kernel patches while it runs */
    uint32_t missing; /* items that could not be read */
    uint32_t notices; /* what the configuration allows; it is reported and does not change the verdict */
    const char *reason; /* for unverifiable and error; it lasts as long as the check's context */
    struct tv_finding finding[TV_FINDINGS_MAX];
    struct tv_finding notice[TV_FINDINGS_MAX];
};

/* Nothing has been compared yet.  Findings are whole once they are counted, so that what is behind them need not be zero. */
static inline void tv_result_reset(struct tv_result *res)
{
    res->verdict = TV_INTACT;
    res->items = res->findings = res->lasting = res->missing = res->notices = 0;
    res->reason = NULL;
}

/* A finding as a check describes it; what is not named is absent.  All is copied, texts and bytes cut to their bounds. */
struct tv_finding_args {
    enum tv_finding_kind kind;
    const char *symbol;
    uint64_t offset, address;
    const void *expected, *actual;
    size_t expected_size, actual_size;
    const char *note;
    uint64_t target; /* where it leads */
    const char *owner; /* who made it */
};

/* Count a finding, and keep its details while there is room.  `res` NULL: it is not reported. */
void tv_report_finding(struct tv_result *res, const struct tv_finding_args *args);

/* The same for what the configuration allows. */
void tv_report_notice(struct tv_result *res, const struct tv_finding_args *args);

static inline void tv_report(struct tv_result *res, bool allowed, const struct tv_finding_args *args)
{
    if (allowed)
        tv_report_notice(res, args);
    else
        tv_report_finding(res, args);
}

/* Give the verdict that follows from items, findings and missing; `none` is the reason if nothing was compared. */
void tv_result_finalize(struct tv_result *res, const char *none);

/* A short text that is put together: of a symbol or a note. */
struct tv_label {
    uint32_t length;
    char text[TV_NOTE_MAX];
};

void tv_label_add(struct tv_label *l, const char *text);
void tv_label_add_number(struct tv_label *l, uint32_t v);

#endif
