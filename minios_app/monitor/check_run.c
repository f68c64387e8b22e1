/* SPDX-License-Identifier: MIT */
#include <tinyvmi/crc32.h>

#include "monitor.h"

/*
 * A mismatch is read once more before it is reported, to rule out a concurrent write: long enough for a text poke
 * or an update in flight to end, short against any period.
 */
#define REREAD_NS UINT64_C(20000000)

/* A text poke ends within microseconds; a row of them, as of a tracer that is switched on, may take longer. */
#define RETRY_NS    UINT64_C(5000000)
#define RETRIES_MAX 3

/*
 * The patch grace period: how long a target that is seen to write its code, last a moment ago, may leave patch
 * sites unfinished; and how much slower it earns that time anew, so that an attacker cannot renew it by
 * putting all in order for a moment.
 */
#define PATCH_GRACE_NS UINT64_C(30000000000)
#define MOMENT_NS      UINT64_C(1000000000)
#define EARNED         100

#define ARRIVED_NS UINT64_C(10000000000)

/* The contexts of the first `count` checks, the last first. */
static void drop_contexts(struct monitor *m, uint32_t count)
{
    while (count--) {
        if (tv_checks[count]->deinit)
            tv_checks[count]->deinit(m->context[count], &m->kernel);
        if (m->context[count])
            tv_free(m->context[count]);
        m->context[count] = NULL;
    }
}

static int init_context(struct monitor *m, uint32_t i)
{
    const struct tv_check *check = tv_checks[i];
    int err;

    m->context[i] = check->context_size ? tv_alloc(check->context_size) : NULL;
    if (check->context_size && !m->context[i])
        return -TV_ENOMEM;
    err = check->init ? check->init(m->context[i], &m->kernel) : 0;
    if (err && m->context[i]) {
        tv_free(m->context[i]);
        m->context[i] = NULL;
    }
    return err;
}

int tv_checks_init(struct monitor *m)
{
    if (tv_check_count > TV_CHECKS_MAX)
        return -TV_EINVAL;
    memset(m->status, 0, sizeof(m->status));
    m->page_cache = (struct tv_page_cache_tally){ 0 };
    for (uint32_t i = 0; i < tv_check_count; i++) {
        int err = init_context(m, i);

        if (err) {
            drop_contexts(m, i);
            return err;
        }
    }
    tv_schedule_reset(&m->schedule);
    return 0;
}

void tv_checks_deinit(struct monitor *m)
{
    drop_contexts(m, tv_check_count);
}

void tv_add_cost(struct monitor *m, uint32_t scan, const char *name, uint64_t ns, bool incremental)
{
    if (m->costs.count == TV_COSTS_MAX)
        tv_report_costs(m);
    tv_cost_add(&m->costs, scan, name, ns, incremental);
}

struct tv_check_run tv_check_run_begin(uint32_t check, struct tv_result *res)
{
    return (struct tv_check_run){ .check = check, .res = res, .started_ns = tv_now_ns() };
}

bool tv_check_run_step(struct monitor *m, struct tv_check_run *r, uint64_t until_ns)
{
    const struct tv_check *check = tv_checks[r->check];
    struct tv_budget budget = { .until_ns = until_ns, .resumed = r->resumed };
    enum tv_step state;

    /* What runs between two steps may be an incremental check, never the same check from its begin. */
    TV_ASSERT(!m->status[r->check].in_step);
    m->status[r->check].in_step = true;
    if (!r->begun) {
        tv_result_reset(r->res);
        if (check->begin)
            check->begin(m->context[r->check], &m->kernel, r->res);
        r->begun = true;
    }
    state = check->step(m->context[r->check], &m->kernel, &budget, r->res);
    m->status[r->check].in_step = false;
    r->resumed = state == TV_STEP_MORE;
    if (state != TV_STEP_RETRY || r->retries == RETRIES_MAX)
        return state != TV_STEP_MORE;
    r->retries++;
    r->begun = false;
    tv_sleep_ns(RETRY_NS);
    tv_pt_cache_flush(&m->kernel);
    return false;
}

static void check_dirty(struct monitor *m, const struct tv_check_run *r, const struct tv_dirty *dirty)
{
    TV_ASSERT(!m->status[r->check].in_step);
    m->status[r->check].in_step = true;
    tv_result_reset(r->res);
    tv_checks[r->check]->check_dirty(m->context[r->check], &m->kernel, dirty, r->res);
    tv_result_finalize(r->res, NULL);
    m->status[r->check].in_step = false;
}

/* In one go, without yielding. */
static void run_at_once(struct monitor *m, struct tv_check_run *r, const struct tv_dirty *dirty)
{
    if (dirty) {
        check_dirty(m, r, dirty);
        return;
    }
    r->begun = r->resumed = false;
    r->retries = 0;
    while (!tv_check_run_step(m, r, UINT64_MAX))
        ;
}

static bool is_mismatch(const struct tv_result *res)
{
    return res->findings || res->missing;
}

/*
 * Is the check in the midst of what it checks?  A tracer that is switched on patches for a while, and until it is
 * done code and bookkeeping need not agree: as long as the hypervisor reports that the target goes on writing its
 * code, and within reason, what is found at such sites, in modules too, is left to the next check.
 */
static bool is_unfinished(struct monitor *m, struct tv_check_status *s, const struct tv_result *res)
{
    bool may_be = res->findings && !res->lasting;
    uint64_t wrote =
        may_be ? tv_tracking_wrote_ns(&m->tracking, &m->kernel) : 0; /* before the clock is read */
    uint64_t now = tv_now_ns(), since = now - s->checked_ns;

    s->checked_ns = now;
    if (!may_be || now - wrote >= MOMENT_NS) {
        s->patch_grace_ns -= since / EARNED < s->patch_grace_ns ? since / EARNED : s->patch_grace_ns;
        return false;
    }
    s->patch_grace_ns += since < MOMENT_NS ? since : MOMENT_NS;
    return s->patch_grace_ns < PATCH_GRACE_NS;
}

static uint32_t print_of(uint32_t crc, const struct tv_finding *f, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < TV_FINDINGS_MAX; i++) {
        crc = tv_crc32(crc, &f[i].address, sizeof(f[i].address));
        crc = tv_crc32(crc, &f[i].target, sizeof(f[i].target));
        crc = tv_crc32(crc, f[i].actual, f[i].actual_size);
    }
    return crc;
}

/* Never 0, which stands for "nothing reported yet". */
static uint32_t fingerprint(const struct tv_result *res)
{
    uint32_t head[4] = { (uint32_t)res->verdict, res->findings, res->missing, res->notices };
    uint32_t crc = tv_crc32(0, head, sizeof(head));

    crc = print_of(crc, res->finding, res->findings);
    crc = print_of(crc, res->notice, res->notices);
    if (res->reason)
        crc = tv_crc32(crc, res->reason, strlen(res->reason));
    return crc ? crc : 1;
}

/*
 * Memory that is being filled: what is missing may come; what differs may be a frame whose content has not come,
 * but no longer once it has stayed the same for ARRIVED_NS.
 */
static bool is_arriving(struct monitor *m, const struct tv_result *res, uint32_t print)
{
    if (!tv_kernel_arriving(&m->kernel))
        return false;
    if (!res->findings)
        return true;
    if (print != m->arrival.print)
        m->arrival.since_ns = tv_now_ns();
    m->arrival.print = print;
    return tv_now_ns() - m->arrival.since_ns < ARRIVED_NS;
}

static bool is_still_there(struct monitor *m)
{
    struct tv_presence_query query;
    enum tv_presence presence;

    tv_presence_begin(&m->kernel, &query);
    while ((presence = tv_presence_poll(&m->kernel, &query)) == TV_PRESENCE_OPEN)
        tv_sleep_ns(TV_PRESENCE_POLL_NS);
    return presence == TV_PRESENT;
}

/* Do not report a mismatch in memory that a dying kernel left, or another took over. */
static enum tv_scan_end is_worth_reporting(struct monitor *m, const struct tv_result *res, uint32_t print)
{
    if (m->kernel.stopped || !is_mismatch(res))
        return TV_SCAN_DONE;
    if (is_arriving(m, res, print))
        return TV_SCAN_ARRIVING;
    return is_still_there(m) ? TV_SCAN_DONE : TV_SCAN_GONE;
}

enum tv_scan_end tv_check_run_conclude(struct monitor *m, struct tv_check_run *r, uint32_t scan,
                                       const struct tv_dirty *dirty)
{
    const char *name = tv_checks[r->check]->name;
    struct tv_check_status *s = &m->status[r->check];
    enum tv_scan_end end;
    uint64_t cost;
    uint32_t print;

    if (is_mismatch(r->res)) {
        tv_sleep_ns(REREAD_NS);
        tv_pt_cache_flush(&m->kernel);
        run_at_once(m, r, dirty);
    }
    cost = tv_now_ns() - r->started_ns;
    tv_add_cost(m, scan, name, cost, dirty != NULL);
    if (is_unfinished(m, s, r->res) || (dirty && !is_mismatch(r->res)))
        return TV_SCAN_DONE; /* which means nothing for the rest */
    print = fingerprint(r->res);
    tv_heartbeat_if_due(m);
    if (m->kernel.stopped && !r->res->findings)
        return TV_SCAN_DONE; /* do not report "intact" for a kernel that is not running */
    if (print != s->reported) {
        end = is_worth_reporting(m, r->res, print);
        if (end != TV_SCAN_DONE)
            return end;
        tv_report_check(m, name, scan, r->res, cost / 1000);
        s->reported = print;
    }
    s->verdict = r->res->verdict;
    s->ended_ns = tv_now_ns();
    if (!dirty)
        s->cost_ns = cost;
    return TV_SCAN_DONE;
}

enum tv_scan_end tv_check_run_whole(struct monitor *m, uint32_t i, uint32_t scan, struct tv_result *res,
                                    const struct tv_dirty *dirty)
{
    struct tv_check_run r = tv_check_run_begin(i, res);

    run_at_once(m, &r, dirty);
    return tv_check_run_conclude(m, &r, scan, dirty);
}
