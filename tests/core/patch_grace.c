/* SPDX-License-Identifier: MIT */
/* check_run.c over a clock that the test moves, one check whose findings the test gives, and a target that writes or not. */
#include <stdlib.h>

#include "monitor/monitor.h"

void advance(uint64_t ns);
void find(const char *kind, uint32_t count);
void writes(bool yes);
bool reports(void);

static uint64_t now = 1000000000000;
static struct {
    enum tv_finding_kind kind;
    uint32_t count;
} given[2];
static uint32_t kinds;
static bool writing;
static struct monitor monitor;
static const struct tv_run run = { .heartbeat_ms = 1000000 };

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    (void)context;
    (void)k;
    (void)budget;
    res->items = 1;
    for (uint32_t i = 0; i < kinds; i++)
        for (uint32_t n = 0; n < given[i].count; n++)
            tv_report_finding(res, &(struct tv_finding_args){
                                       .kind = given[i].kind, .symbol = "_text", .offset = n, .address = n });
    tv_result_finalize(res, NULL);
    return TV_STEP_DONE;
}

const struct tv_check tv_check_text = { .name = "text", .id = TV_CHECK_TEXT, .step = step };

void advance(uint64_t ns)
{
    now += ns;
}

static enum tv_finding_kind kind_of(const char *name)
{
    for (uint32_t i = 0; i < TV_KIND_COUNT; i++)
        if (strlen(name) == strlen(tv_finding_kinds[i].name) &&
            !memcmp(name, tv_finding_kinds[i].name, strlen(name)))
            return i;
    abort();
}

/* Found from now on, with what was given of a kind before; no kind: nothing. */
void find(const char *kind, uint32_t count)
{
    kinds = kind ? kinds : 0;
    if (!kind)
        return;
    given[kinds].kind = kind_of(kind);
    given[kinds++].count = count;
}

void writes(bool yes)
{
    writing = yes;
}

static void discard(void *context, const char *s, size_t n)
{
    (void)context;
    (void)s;
    (void)n;
}

bool reports(void)
{
    monitor.run = &run;
    monitor.kernel.costs = &monitor.costs;
    if (!monitor.records.sink.write)
        tv_record_writer_init(&monitor.records, &(const struct tv_sink){ .write = discard }, &monitor.costs);
    tv_check_run_whole(&monitor, 0, 0, &monitor.scan_result, NULL);
    return tv_current_verdict(&monitor) == TV_TAMPERED;
}

uint64_t tv_tracking_wrote_ns(struct tv_tracking *t, struct tv_kernel *k)
{
    (void)t;
    (void)k;
    return writing ? tv_now_ns() : 0;
}

/* It never stands still: what is asked first was earlier. */
uint64_t tv_now_ns(void)
{
    return ++now;
}

void tv_sleep_ns(uint64_t ns)
{
    now += ns;
}

void *tv_alloc(size_t n)
{
    return calloc(1, n);
}

void tv_free(void *p)
{
    free(p);
}
