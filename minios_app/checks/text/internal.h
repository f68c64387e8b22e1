/* SPDX-License-Identifier: MIT */
/* What the parts of the text check, and the modules check, share: the running kernel's state, and patch sites. */
#ifndef CHECKS_TEXT_INTERNAL_H
#define CHECKS_TEXT_INTERNAL_H

#include "../lib/page_cache.h"
#include "golden.h"

#define TV_TEXT_BEFORE 16 /* bytes of the page before that a page is copied with */
#define TV_TEXT_AFTER  64 /* of the page behind: no patch site is larger */

#define TV_TEXT_CAPABILITY_WORDS 32
#define TV_TEXT_OPS_MAX          64 /* ftrace_ops followed */
#define TV_TEXT_PROBES_MAX       256 /* kprobes followed */
#define TV_TEXT_DIRECT_MAX       256 /* direct calls of ftrace followed */
#define TV_TEXT_DYNAMIC_MAX      288 /* addresses of dynamic code that are looked up */
#define TV_TEXT_WALK_MAX         (UINT32_C(1) << 20) /* links of the guest's lists and chains in one scan */

/* An offset of a function, or why there is none. */
#define TV_TEXT_NULL    UINT32_MAX /* the pointer is empty */
#define TV_TEXT_FOREIGN (UINT32_MAX - 1) /* it does not lead to a function of .text */

struct tv_text_probe { /* a kprobe that is armed */
    uint64_t at; /* of its struct kprobe */
    uint64_t va;
    uint64_t handler; /* that runs first */
    bool optimized, on_ftrace;
    bool valid; /* its handlers are functions of verified code */
    bool removed; /* the relocated original stands in the page's copy again */
    uint8_t original[5]; /* as the kernel keeps it: it counts only if the page then verifies */
};

struct tv_text_hash { /* struct ftrace_hash */
    uint64_t heads;
    uint32_t bits;
    bool empty;
};

struct tv_text_op { /* a registered ftrace_ops */
    uint64_t at;
    uint64_t func, trampoline;
    uint64_t called; /* what its trampoline must call: ftrace_ops_get_func() */
    uint64_t flags;
    struct tv_text_hash filter, notrace;
};

struct tv_text_direct { /* an entry of direct_functions */
    uint64_t ip, target;
};

struct tv_text_dynamic { /* code that is none of the kernel's own, and what its registry has of it */
    uint64_t va;
    bool known;
    char name[TV_OWNER_MAX];
};

struct tv_text_records { /* the pass through ftrace's records, which are in address order */
    uint64_t page, records;
    uint32_t left; /* of the page */
    uint32_t limit; /* of all pages: more are not read */
    uint32_t have, next; /* in `chunk` */
    struct {
        uint64_t ip, flags;
    } chunk[64];
};

/* Code at a link address that is not the kernel's, and where it runs. */
struct tv_text_region {
    uint32_t start, size;
    uint64_t va;
};

/* A stretch of code and the keys that its patch sites follow: the kernel's, or a module's. */
struct tv_text_area {
    const struct tv_text_code *c;
    const struct tv_text_region *regions;
    uint32_t region_count;
    const char *symbol; /* at its begin */
    uint64_t va; /* running address of its begin */
    uint32_t *functions; /* [call keys] */
    uint64_t *foreign; /* [call keys] running address, if TV_TEXT_FOREIGN */
    uint8_t *enabled; /* [jump keys] */
    bool changed; /* a key is not what it was when they were read last */
    struct guest_view
        pages; /* those that hold keys, in the order of jump keys, then call keys; none: they are read one by one */
};

/* The patching state: how the kernel has chosen among its alternatives, the same for all patch sites. */
struct tv_text_patching {
    uint32_t capabilities[TV_TEXT_CAPABILITY_WORDS];
    uint32_t return_thunk;
    bool its_return, k8, uniprocessor, call_depth, default_paravirt;
};

struct tv_text_state {
    const struct tv_text *t;
    struct tv_result *res; /* of the scan under way; NULL: nothing is reported */
    uint64_t text; /* running address of _text */
    uint64_t delta;
    struct tv_text_patching patching;
    bool changed; /* patching, pv or constants are not what they were when they were read last */
    bool depends; /* a patch site was checked by more of the target than what is read beforehand */
    bool removed; /* a probe was taken out of the page that is checked */
    bool in_modules; /* the code that is checked is modules', not the kernel's own */
    bool poking; /* a patch site was found that the kernel is patching */
    uint32_t *pv; /* [pointers] */
    uint64_t *constants; /* [constants] */
    uint32_t walk_left; /* of TV_TEXT_WALK_MAX */
    uint32_t op_count, direct_count, dynamic_count, probe_count;
    uint64_t trace_function; /* ftrace_trace_function */
    bool ftrace_enabled;
    struct tv_text_op ops[TV_TEXT_OPS_MAX];
    struct tv_text_direct direct[TV_TEXT_DIRECT_MAX];
    struct tv_text_dynamic dynamic[TV_TEXT_DYNAMIC_MAX];
    struct tv_text_probe probes[TV_TEXT_PROBES_MAX];
    struct tv_text_records records;
    uint8_t callers[2][TV_FTRACE_CALLER_MAX]; /* the bytes of ftrace's callers in this scan */
    uint8_t early[2][TV_FTRACE_CALLER_MAX]; /* as they were before the kernel chose among its alternatives */
    uint8_t caller_pages[2]; /* which of the pages that each lies in were copied: bit 0 the first */
};

/* A patch site and what stands there. */
struct tv_text_site {
    const struct tv_text_area *area;
    enum tv_text_kind kind;
    uint32_t offset; /* from _text, as it runs, modulo 2^32 */
    uint32_t size;
    uint32_t argument;
    const struct tv_text_jump *jump;
    const uint8_t *actual;
};

/* state.c: memory of the state's tables.  0 or -TV_ENOMEM. */
int tv_text_state_init(struct tv_text_state *s, struct tv_kernel *k);
void tv_text_state_deinit(struct tv_text_state *s);

/*
 * Read the patching state.  What the package does not allow is reported into s->res; false if something could not
 * be read, which the caller counts as missing.
 */
bool tv_text_state_read(struct tv_text_state *s, struct tv_kernel *k);

/* constants.c: the run-time constants of the kernel's own code, likewise. */
bool tv_text_constants_read(struct tv_text_state *s, struct tv_kernel *k);

/* One link along a list of the guest; false once there were too many in this scan. */
bool tv_text_walk_on(struct tv_text_state *s);

bool tv_text_capable(const struct tv_text_state *s, uint32_t feature);
bool tv_text_is_function(const struct tv_text *t, uint32_t offset);

/* The offset of running address `va` as a function's entry, TV_TEXT_NULL or TV_TEXT_FOREIGN. */
uint32_t tv_text_entry(const struct tv_text_state *s, uint64_t va);

/* Whether the call-depth accounting may stand in front of the function at `offset`. */
bool tv_text_counted(const struct tv_text *t, uint32_t offset);

/* keys.c: memory for the keys of an area that has at most so many.  0 or -TV_ENOMEM. */
int tv_text_area_init(struct tv_text_area *a, struct tv_kernel *k, uint32_t jump_keys, uint32_t call_keys);
void tv_text_area_deinit(struct tv_text_area *a, struct tv_kernel *k);

/* Map the pages of its keys in one go from now on; for an area whose keys lie where they were linked.  0 or -TV_ENOMEM. */
int tv_text_area_map_keys(struct tv_text_area *a, struct tv_kernel *k);

/* Read the keys that the area's sites follow; false if one cannot be read. */
bool tv_text_keys_read(struct tv_text_state *s, struct tv_text_area *a, struct tv_kernel *k);

/* Where what has a link offset runs, as an offset from the running _text; and its whole address. */
uint32_t tv_text_running(const struct tv_text_state *s, const struct tv_text_area *a, uint32_t offset);
uint64_t tv_text_address(const struct tv_text_state *s, const struct tv_text_area *a, uint32_t offset);

/* ftrace.c: ftrace's bookkeeping, read once a scan before the pass. */
void tv_text_ftrace_read(struct tv_text_state *s, struct tv_kernel *k);
void tv_text_expect_ftrace(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_site *site,
                           uint8_t *out);
void tv_text_expect_ftrace_update(const struct tv_text_state *s, const struct tv_text_site *site,
                                  uint8_t *out);

/* ftrace_records.c: the flags of the record at running address `ip`; asked for in address order.  False: none. */
void tv_text_records_begin(struct tv_text_state *s, struct tv_kernel *k);
/* Begin with those of the module whose code is at `low` <= address < `high`: modules lie in the order of their loading. */
void tv_text_records_seek(struct tv_text_state *s, struct tv_kernel *k, uint64_t low, uint64_t high);
bool tv_text_record(struct tv_text_state *s, struct tv_kernel *k, uint64_t ip, uint64_t *flags);

/* ftrace_hash.c: struct ftrace_hash at `va` (0: empty); false if it cannot be read. */
bool tv_text_hash_read(struct tv_text_state *s, struct tv_kernel *k, uint64_t va, struct tv_text_hash *h);
bool tv_text_hash_has(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_hash *h,
                      uint64_t ip);
/* Fill s->direct from direct_functions. */
void tv_text_direct_read(struct tv_text_state *s, struct tv_kernel *k);
/* Where the direct call at `ip` leads; 0: there is none. */
uint64_t tv_text_direct_at(const struct tv_text_state *s, uint64_t ip);

/* trampoline.c: save what ftrace's callers consist of; after the pass over all pages, check the copies. */
void tv_text_save_callers(struct tv_text_state *s, uint32_t page_offset, const uint8_t *page);
void tv_text_save_early(struct tv_text_state *s, const struct tv_text_site *site);
void tv_text_check_trampolines(struct tv_text_state *s, struct tv_kernel *k);

/*
 * dynamic.c: whose code lies at `va`.  tv_text_dynamic_add() notes an address that is none of the kernel's own
 * functions, tv_text_dynamic_resolve() looks all of them up in the registry of BPF's code, tv_text_dynamic_at()
 * returns what was found.
 */
void tv_text_dynamic_add(struct tv_text_state *s, uint64_t va);
void tv_text_dynamic_resolve(struct tv_text_state *s, struct tv_kernel *k);
const struct tv_text_dynamic *tv_text_dynamic_at(const struct tv_text_state *s, uint64_t va);
/* Whether `va` is the entry of a function that is verified, the kernel's or a module's. */
bool tv_text_is_verified(const struct tv_text_state *s, struct tv_kernel *k, uint64_t va);

/* owner.c: report who has led the kernel's code elsewhere: direct calls, ftrace_ops, livepatch. */
void tv_text_report_owners(struct tv_text_state *s, struct tv_kernel *k);
/* Report the area's static calls that lead to no function of verified code; those of its own keys. */
void tv_text_report_calls(struct tv_text_state *s, const struct tv_text_area *a, struct tv_kernel *k);

/* kprobe.c: the probes in the kernel's own code or, with s->in_modules, those in modules. */
void tv_text_probes_read(struct tv_text_state *s, struct tv_kernel *k);
/* Take the probes of the area's page at `va` out of its copy in `window`, then report them and check their slots. */
void tv_text_remove_probes(struct tv_text_state *s, const struct tv_text_area *a, struct tv_kernel *k,
                           uint64_t va, uint8_t *window, uint32_t size);

/* slot.c: the code that runs in place of the instruction `code` under a probe, in slots outside of .text. */
void tv_text_check_slots(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_probe *probe,
                         const uint8_t *code);

/* poke.c: is the kernel patching the site at running address `va` now, by its own account? */
bool tv_text_poked(struct tv_text_state *s, struct tv_kernel *k, uint64_t va);

/* page.c: one pass through an area's pages and sites. */
struct tv_text_pass {
    struct tv_text_state *s;
    const struct tv_text_area *a;
    const struct tv_range *range; /* shows the page and, where there are any, its neighbours */
    uint32_t arg, jump; /* consumed in order */
    uint32_t carried; /* bytes at the page's begin that belong to a site of the page before */
    const struct tv_page_cache *cache; /* or NULL: copies that are checked instead of what `range` shows */
    uint8_t window[TV_TEXT_BEFORE + TV_PAGE_SIZE + TV_TEXT_AFTER]; /* the page, with its neighbours' bytes */
};

/* Where the pass stands when a page begins. */
struct tv_text_start {
    uint32_t arg, jump;
    uint32_t carried;
};

/* The starts of all pages of the pass's area. */
void tv_text_find_starts(struct tv_text_pass *p, struct tv_text_start *starts);

/*
 * Copy page `i` into the pass's window, check its sites and put zeros there.
 * False (and counted as missing) if it cannot be read.  The pages come in order,
 * or the pass was set to the page's start.
 */
bool tv_text_check_page(struct tv_text_pass *p, struct tv_kernel *k, uint32_t i, struct tv_result *res);

/* Copy page `i` of a range of `npages` at running address `va`, with its neighbours' bytes; absent ones are zeros. */
bool tv_text_copy(uint8_t *window, const struct tv_range *range, uint64_t va, uint32_t i, uint32_t npages);

/* The same from the cache: every byte of it then belongs to what is cached once it is valid. */
bool tv_text_copy_cached(uint8_t *window, const struct tv_page_cache *cache, uint32_t i);

/* rights.c: `size` bytes from `va` on: code is never writable, data never executable.  One finding a leaf. */
struct tv_text_mapped {
    const char *symbol;
    uint64_t base; /* the symbol's address */
    uint64_t va, size;
    bool executable;
};
void tv_text_check_rights(struct tv_kernel *k, const struct tv_text_mapped *m, struct tv_result *res);

/* kinds.c: the size of a site, whose area, argument and jump are set. */
uint32_t tv_text_size(const struct tv_text *t, const struct tv_text_site *site);
enum tv_finding_kind tv_text_finding_kind(enum tv_text_kind kind);
/* Who changes such a site legitimately. */
const char *tv_text_kind_note(enum tv_text_kind kind);

/* Does such a site have an entry in the table of arguments? */
static inline bool tv_text_has_argument(enum tv_text_kind kind)
{
    return !((1u << TV_TEXT_RETURN | 1u << TV_TEXT_LOCK | 1u << TV_TEXT_ENDBR | 1u << TV_TEXT_FTRACE |
              1u << TV_TEXT_JUMP_LABEL) >>
                 kind &
             1);
}

/*
 * expect.c: the encoding that the state asks for, into out[site->size].  Where several
 * are legitimate it is the one that is there, if one of them is.
 */
void tv_text_expect(struct tv_text_state *s, struct tv_kernel *k, const struct tv_text_site *site,
                    uint8_t *out);

#endif
