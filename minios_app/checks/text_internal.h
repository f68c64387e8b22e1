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

/* Code at a link address that is not the kernel's, and where it runs. */
struct tv_text_region {
    uint32_t start, size;
    uint64_t va;
};

/* A stretch of code and the keys that its places follow: the kernel's, or a module's. */
struct tv_text_area {
    const struct tv_text_code *c;
    const struct tv_text_region *regions;
    uint32_t region_count;
    const char *symbol; /* at its begin */
    uint64_t va;        /* running address of its begin */
    uint32_t *functions; /* [call keys] */
    uint64_t *foreign;   /* [call keys] running address, if TV_TEXT_FOREIGN */
    uint8_t *enabled;    /* [jump keys] */
};

struct tv_text_state {
    const struct tv_text *t;
    uint64_t text; /* running address of _text */
    uint64_t delta;
    uint32_t capabilities[TV_TEXT_CAPABILITY_WORDS];
    uint32_t return_thunk;
    bool its_return, k8, uniprocessor, call_depth, default_paravirt;
    uint32_t *pv;        /* [pointers] */
    uint64_t *constants; /* [constants] */
    uint32_t ops;        /* registered with ftrace */
    uint64_t ops_func[TV_TEXT_OPS], ops_trampoline[TV_TEXT_OPS];
    uint32_t probe_count;
    struct tv_text_probe probes[TV_TEXT_PROBES];
};

/* A place and what stands there. */
struct tv_text_site {
    const struct tv_text_area *area;
    enum tv_text_kind kind;
    uint32_t offset; /* from _text, as it runs, modulo 2^32 */
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

/* The run-time constants of the kernel's own code, likewise. */
bool tv_text_constants_read(struct tv_text_state *s, struct tv_kernel *k, struct tv_result *res);

/* Memory for the keys of an area that has at most so many.  0 or -TV_ENOMEM. */
int tv_text_area_open(struct tv_text_area *a, uint32_t jump_keys, uint32_t call_keys);
void tv_text_area_close(struct tv_text_area *a);

/* Read the keys that the area's places follow, likewise. */
bool tv_text_keys_read(struct tv_text_state *s, struct tv_text_area *a, struct tv_kernel *k, struct tv_result *res);

/* Where what has a link offset runs, as an offset from the running _text; and its whole address. */
uint32_t tv_text_running(const struct tv_text_state *s, const struct tv_text_area *a, uint32_t offset);
uint64_t tv_text_address(const struct tv_text_state *s, const struct tv_text_area *a, uint32_t offset);

/* One pass through an area's pages and places. */
struct tv_text_pass {
    struct tv_text_state *s;
    const struct tv_text_area *a;
    const struct tv_range *range; /* shows the page and, where there are any, its neighbours */
    uint32_t arg, jump; /* consumed in order */
    uint32_t carried;   /* bytes at the page's begin that belong to a place of the page before */
    uint8_t window[TV_TEXT_BEFORE + TV_PAGE_SIZE + TV_TEXT_AFTER]; /* the page, with its neighbours' bytes */
};

/*
 * Copy page `i` into the pass's window, judge its places and put zeros there.
 * False (and counted as missing) if it cannot be read.  The pages come in order.
 */
bool tv_text_page(struct tv_text_pass *p, struct tv_kernel *k, uint32_t i, struct tv_result *res);

/* Copy page `i` of a range of `npages` at running address `va`, with its neighbours' bytes; absent ones are zeros. */
bool tv_text_copy(uint8_t *window, const struct tv_range *range, uint64_t va, uint32_t i, uint32_t npages);

/* The rights of `size` bytes from `va` on: code is never writable, data never executable.  One finding a leaf. */
void tv_text_rights(struct tv_kernel *k, const char *symbol, uint64_t base, uint64_t va, uint64_t size,
                    bool executable, struct tv_result *res);
void tv_text_trace_read(struct tv_text_state *s, struct tv_kernel *k, struct tv_result *res);

bool tv_text_capable(const struct tv_text_state *s, uint32_t feature);
bool tv_text_is_function(const struct tv_text *t, uint32_t offset);

/* Whether there is a function's entry `offset` bytes into the code. */
bool tv_text_has_entry(const struct tv_text_code *c, uint32_t offset);

/* The offset of running address `va` as a function's entry, TV_TEXT_NULL or TV_TEXT_FOREIGN. */
uint32_t tv_text_entry(const struct tv_text_state *s, uint64_t va);

/* A template's bytes at `offset`. */
void tv_text_fill(const struct tv_text_state *s, const struct tv_text_area *a, const struct tv_text_template *p,
                  uint32_t offset, uint8_t *out);

/* Whether the call-depth accounting may stand in front of the function at `offset`. */
bool tv_text_counted(const struct tv_text *t, uint32_t offset);

/* The size of a place; its argument and jump are filled in, in the order of the tables. */
uint32_t tv_text_size(const struct tv_text *t, const struct tv_text_site *site); /* its area is set */

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
