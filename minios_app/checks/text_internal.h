/* SPDX-License-Identifier: MIT */
/* What the parts of the text check share: the running kernel's state, and places. */
#ifndef CHECKS_TEXT_INTERNAL_H
#define CHECKS_TEXT_INTERNAL_H

#include <tinyvmi/check.h>

#define TV_TEXT_BEFORE 16 /* bytes of the page before that a page is copied with */
#define TV_TEXT_AFTER  64 /* of the page behind: no place is larger */

#define TV_TEXT_CAPABILITY_WORDS 32
#define TV_TEXT_OPS    32  /* ftrace_ops followed */
#define TV_TEXT_PROBES 256 /* kprobes kept */

/* An offset of a function, or why there is none. */
#define TV_TEXT_NULL    UINT32_MAX       /* the pointer is empty */
#define TV_TEXT_FOREIGN (UINT32_MAX - 1) /* it does not lead to a function of .text */

struct tv_text_probe {
    uint64_t va;
    uint8_t size;        /* of what was replaced: 1, or 5 for an optimised one */
    uint8_t original[5]; /* as the kernel keeps it: to be believed only if the page then agrees */
};

struct tv_text_state {
    const struct tv_text *t;
    uint64_t text; /* running address of _text */
    uint64_t delta;
    uint32_t capabilities[TV_TEXT_CAPABILITY_WORDS];
    uint32_t return_thunk;
    bool its_return, k8, uniprocessor, call_depth, default_paravirt;
    uint32_t *pv;        /* [pointers] */
    uint32_t *functions; /* [call keys] */
    uint64_t *foreign;   /* [call keys] running address, if TV_TEXT_FOREIGN */
    uint8_t *enabled;    /* [jump keys] */
    uint64_t *constants; /* [constants] */
    uint32_t ops;        /* registered with ftrace */
    uint64_t ops_func[TV_TEXT_OPS], ops_trampoline[TV_TEXT_OPS];
    uint32_t probe_count;
    struct tv_text_probe probes[TV_TEXT_PROBES];
};

/* A place and what stands there. */
struct tv_text_site {
    enum tv_text_kind kind;
    uint32_t offset; /* from _text */
    uint32_t size;
    uint32_t argument;
    const struct tv_text_jump *jump;
    const uint8_t *actual;
};

/* Memory of the state's tables.  0 or -TV_ENOMEM. */
int tv_text_state_open(struct tv_text_state *s, struct tv_kernel *k);
void tv_text_state_close(struct tv_text_state *s);

/*
 * Read what the running kernel's patches depend on.  What the package does not
 * allow is reported; false if something could not be read (counted as missing).
 */
bool tv_text_state_read(struct tv_text_state *s, struct tv_kernel *k, struct tv_result *res);
void tv_text_trace_read(struct tv_text_state *s, struct tv_kernel *k, struct tv_result *res);

bool tv_text_capable(const struct tv_text_state *s, uint32_t feature);
bool tv_text_is_function(const struct tv_text *t, uint32_t offset);

/* The offset of running address `va` as a function's entry, TV_TEXT_NULL or TV_TEXT_FOREIGN. */
uint32_t tv_text_entry(const struct tv_text_state *s, uint64_t va);

/* A template's bytes at `offset`. */
void tv_text_fill(const struct tv_text_state *s, const struct tv_text_template *p, uint32_t offset, uint8_t *out);

/* Whether the call-depth accounting may stand in front of the function at `offset`. */
bool tv_text_counted(const struct tv_text *t, uint32_t offset);

/* The size of a place; its argument and jump are filled in, in the order of the tables. */
uint32_t tv_text_size(const struct tv_text *t, const struct tv_text_site *site);

/*
 * The encoding that the state asks for, into out[site->size].  Where several
 * are legitimate it is the one that is there, if one of them is.
 */
void tv_text_expect(const struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_site *site,
                    uint8_t *out);

const char *tv_text_kind_name(enum tv_text_kind kind);

/* Who changes such a place legitimately. */
const char *tv_text_kind_note(enum tv_text_kind kind);

#endif
