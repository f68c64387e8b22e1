/* SPDX-License-Identifier: MIT */
/* The scheduler of checks over a clock that only work and sleep move, and one check that logs what it is asked. */
#include <stdlib.h>

#include <tinyvmi/config.h>

#include "monitor/monitor.h"

#define MS UINT64_C(1000000)

void start(uint32_t work_ms, bool tracked);
void answer(bool finds, bool retries);
const char *scan(void);

const struct tv_config tv_config = { .poll_ms = 10, .time_budget_us = 5000 };

static const struct tv_kernel_profile profile = { .tracked_size = 64 * TV_PAGE_SIZE };
static const struct tv_run run = { .heartbeat_ms = 1000000, .period_ms = 1000 };
static struct monitor monitor;
static uint64_t now, work_ns;
static bool finding, retrying, tracking;
static char log_of[4096];
static uint32_t logged;

/* What the check was asked: b begin, s step, r step that is resumed, i incremental, z sleep outside of yields. */
static void note(char what)
{
    if (logged < sizeof(log_of) - 1)
        log_of[logged++] = what;
    log_of[logged] = 0;
}

struct fake {
    uint64_t left_ns;
    bool inside; /* a function of the check is running */
};

static void enter(struct fake *f)
{
    TV_ASSERT(!f->inside);
    f->inside = true;
}

static void begin(void *context, struct tv_kernel *k, struct tv_result *res)
{
    struct fake *f = context;

    (void)k;
    (void)res;
    note('b');
    f->left_ns = work_ns;
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    struct fake *f = context;

    (void)k;
    enter(f);
    note(budget->resumed ? 'r' : 's');
    for (; f->left_ns; f->left_ns -= MS) {
        if (tv_budget_is_spent(budget))
            break;
        now += MS;
        res->items++;
    }
    f->inside = false;
    if (f->left_ns)
        return TV_STEP_MORE;
    if (finding)
        tv_report_finding(res, &(struct tv_finding_args){ .kind = TV_KIND_TEXT_BYTES, .symbol = "_text" });
    tv_result_finalize(res, "nothing");
    return retrying ? TV_STEP_RETRY : TV_STEP_DONE;
}

static void check_dirty(void *context, struct tv_kernel *k, const struct tv_dirty *dirty,
                        struct tv_result *res)
{
    struct fake *f = context;

    (void)k;
    (void)dirty;
    (void)res;
    enter(f);
    note('i');
    f->inside = false;
}

const struct tv_check tv_check_text = {
    .name = "text",
    .id = TV_CHECK_TEXT,
    .context_size = sizeof(struct fake),
    .begin = begin,
    .step = step,
    .check_dirty = check_dirty,
};

static void discard(void *context, const char *s, size_t n)
{
    (void)context;
    (void)s;
    (void)n;
}

void start(uint32_t work_ms, bool tracked)
{
    memset(&monitor, 0, sizeof(monitor));
    now = 1000000 * MS;
    work_ns = work_ms * MS;
    tracking = tracked;
    finding = retrying = false;
    monitor.run = &run;
    monitor.kernel.costs = &monitor.costs;
    monitor.kernel.profile = &profile;
    monitor.progress.last_beat_ns = now;
    tv_record_writer_init(&monitor.records, &(const struct tv_sink){ .write = discard }, &monitor.costs);
    TV_ASSERT(tv_checks_init(&monitor) == 0);
    tv_incremental_begin(&monitor);
}

void answer(bool finds, bool retries)
{
    finding = finds;
    retrying = retries;
}

/* A scan, as the monitor makes it; what the check was asked. */
const char *scan(void)
{
    enum tv_verdict verdict;

    logged = 0;
    log_of[0] = 0;
    tv_schedule_begin(&monitor.schedule, run.period_ms * MS);
    monitor.progress.scanning = true;
    tv_scan(&monitor, monitor.progress.scans, &verdict);
    monitor.progress.scanning = false;
    tv_schedule_end(&monitor.schedule);
    monitor.progress.verdict = verdict;
    monitor.progress.scans++;
    return log_of;
}

uint64_t tv_now_ns(void)
{
    return now;
}

void tv_sleep_ns(uint64_t ns)
{
    now += ns;
    if (ns == 20 * MS || ns == 5 * MS) /* before a mismatch is read again, and before a retry */
        note('z');
}

void *tv_alloc(size_t n)
{
    return calloc(1, n);
}

void tv_free(void *p)
{
    free(p);
}

bool guest_mem_alive(struct guest_mem *gm)
{
    (void)gm;
    return true;
}

int guest_mem_dirty(struct guest_mem *gm, uint64_t first, uint32_t count, uint8_t *bits)
{
    (void)gm;
    (void)first;
    memset(bits, 0, (count + 7) / 8);
    return tracking ? 0 : -TV_ENOENT;
}

enum tv_liveness tv_kernel_liveness(struct tv_kernel *k)
{
    (void)k;
    return TV_LIVE_TICKING;
}
