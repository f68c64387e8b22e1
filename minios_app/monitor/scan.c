/* SPDX-License-Identifier: MIT */
#include <tinyvmi/cost.h>
#include <tinyvmi/schedule.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

#include "scan.h"

/*
 * A change is read again before it is believed: long enough for a text poke or
 * an update in flight to end, short against any period.
 */
#define REREAD_NS UINT64_C(20000000)

/*
 * How long a target that is seen to write its code, last a moment ago, may
 * leave places unfinished; and how much slower it earns that time anew, so that
 * nobody lives on it by putting all in order for a moment.
 */
#define PATCHES_NS UINT64_C(30000000000)
#define MOMENT_NS  UINT64_C(1000000000)
#define EARNED     100

#define ARRIVED_NS UINT64_C(10000000000)

#define CHECKS_MAX 32

static struct tv_result results[2]; /* of a scan, and of a look while that rests */
static uint32_t reported[CHECKS_MAX]; /* fingerprint of what was last said of each check */
static struct tv_standing standing[CHECKS_MAX];

int tv_scan_attach(struct tv_kernel *k)
{
    if (tv_check_count > CHECKS_MAX)
        return -TV_EINVAL;
    for (uint32_t i = 0; i < tv_check_count; i++) {
        int err = tv_checks[i]->attach(k);

        if (err) {
            while (i--)
                tv_checks[i]->detach(k);
            return err;
        }
    }
    memset(reported, 0, sizeof(reported));
    memset(standing, 0, sizeof(standing));
    tv_pace_reset();
    return 0;
}

void tv_scan_detach(struct tv_kernel *k)
{
    for (uint32_t i = 0; i < tv_check_count; i++)
        tv_checks[i]->detach(k);
}

/* Bad news is read again, at once and in one go, before it is believed. */
static void run(struct tv_kernel *k, const struct tv_check *check, const struct tv_dirty *dirty, struct tv_result *res)
{
    for (int again = 0; again < 2; again++) {
        bool rests = again ? tv_pace_hurry() : false;

        memset(res, 0, sizeof(*res));
        if (dirty) {
            check->look(k, dirty, res);
            tv_settle(res, NULL);
        } else {
            check->run(k, res);
        }
        if (again)
            tv_pace_resume(rests);
        if (again || (!res->findings && !res->missing))
            return;
        tv_sleep_ns(REREAD_NS);
        tv_pt_cache_flush(k);
    }
}

/*
 * Is check `i` in the midst of what it judges?  A tracer that is switched on
 * patches for a while, and until it is done code and books need not agree: as
 * long as the hypervisor says that the target goes on writing its code, and
 * within reason, what is found at such places, in modules too, is left to the
 * next look.
 */
static bool unfinished(struct tv_kernel *k, uint32_t i, const struct tv_result *res)
{
    struct tv_standing *s = &standing[i];
    bool may_be = res->findings && !res->lasting;
    uint64_t wrote = may_be ? tv_look_wrote_ns(k) : 0; /* perhaps just now: before the clock is read */
    uint64_t now = tv_now_ns(), since = now - s->judged_ns;

    s->judged_ns = now;
    if (!may_be || now - wrote >= MOMENT_NS) {
        s->patience_ns -= since / EARNED < s->patience_ns ? since / EARNED : s->patience_ns;
        return false;
    }
    s->patience_ns += since < MOMENT_NS ? since : MOMENT_NS;
    return s->patience_ns < PATCHES_NS;
}

static uint32_t kept(uint32_t count)
{
    return count < TV_FINDINGS_MAX ? count : TV_FINDINGS_MAX;
}

static uint32_t print_of(uint32_t crc, const struct tv_finding *f, uint32_t count)
{
    for (uint32_t i = 0; i < kept(count); i++) {
        crc = tv_crc32(crc, &f[i].address, sizeof(f[i].address));
        crc = tv_crc32(crc, &f[i].target, sizeof(f[i].target));
        crc = tv_crc32(crc, f[i].actual, f[i].actual_size);
    }
    return crc;
}

/* Never 0, which stands for "nothing said yet". */
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

static void report_each(const char *type, const char *name, uint32_t number, const struct tv_finding *f,
                        uint32_t count)
{
    for (const struct tv_finding *end = f + kept(count); f < end; f++) {
        tv_rec_begin(type);
        tv_rec_uint("scan", number);
        tv_rec_str("check", name);
        tv_rec_str("kind", f->kind);
        tv_rec_str("symbol", f->symbol);
        tv_rec_uint("offset", f->offset);
        tv_rec_addr("address", f->address);
        tv_rec_hex("expected", f->expected, f->expected_size);
        tv_rec_hex("actual", f->actual, f->actual_size);
        if (f->target)
            tv_rec_addr("target", f->target);
        if (f->owner[0])
            tv_rec_str("owner", f->owner);
        if (f->note)
            tv_rec_str("note", f->note);
        tv_rec_end();
    }
}

static void report(const char *name, uint32_t number, const struct tv_result *res, uint64_t us)
{
    report_each("finding", name, number, res->finding, res->findings);
    report_each("notice", name, number, res->notice, res->notices);
    tv_rec_begin("check");
    tv_rec_uint("scan", number);
    tv_rec_str("check", name);
    tv_rec_str("verdict", tv_verdict_name(res->verdict));
    tv_rec_uint("items", res->units);
    tv_rec_uint("findings", res->findings);
    if (res->notices)
        tv_rec_uint("notices", res->notices);
    tv_rec_uint("duration_us", us);
    if (res->reason)
        tv_rec_str("reason", res->reason);
    tv_rec_end();
}

/*
 * Memory that is being filled: what is missing may come; what is wrong may be
 * a frame whose content has not come, which after ARRIVED_NS without a change
 * is believed no more.
 */
static bool arriving(struct tv_kernel *k, const struct tv_result *res, uint32_t print)
{
    static uint32_t last;
    static uint64_t since_ns;

    if (!tv_kernel_arriving(k))
        return false;
    if (!res->findings)
        return true;
    if (print != last)
        since_ns = tv_now_ns();
    last = print;
    return tv_now_ns() - since_ns < ARRIVED_NS;
}

/* Bad news from memory that a dying kernel left, or another took over, is none. */
static enum tv_scan_end worth_telling(struct tv_kernel *k, const struct tv_result *res, uint32_t print)
{
    if (k->stopped || !(res->findings || res->missing))
        return TV_SCAN_DONE;
    if (arriving(k, res, print))
        return TV_SCAN_ARRIVING;
    return tv_kernel_still_there(k) ? TV_SCAN_DONE : TV_SCAN_GONE;
}

enum tv_scan_end tv_scan_check(struct tv_kernel *k, uint32_t i, uint32_t number, const struct tv_dirty *dirty)
{
    struct tv_result *res = &results[dirty ? 1 : 0];
    uint64_t start = tv_now_ns(), cost;
    enum tv_scan_end end;
    uint32_t print;

    run(k, tv_checks[i], dirty, res);
    cost = tv_now_ns() - start;
    tv_cost_note(number, tv_checks[i]->name, cost, dirty != NULL);
    if (unfinished(k, i, res) || (dirty && !res->findings && !res->missing))
        return TV_SCAN_DONE; /* which says nothing of the rest */
    print = fingerprint(res);
    tv_beat_if_due();
    if (k->stopped && !res->findings)
        return TV_SCAN_DONE; /* no praise for a kernel that does not run */
    if (print != reported[i]) {
        end = worth_telling(k, res, print);
        if (end != TV_SCAN_DONE)
            return end;
        report(tv_checks[i]->name, number, res, cost / 1000);
        reported[i] = print;
    }
    standing[i].verdict = res->verdict;
    standing[i].ended_ns = tv_now_ns();
    if (!dirty)
        standing[i].cost_ns = cost;
    return TV_SCAN_DONE;
}

const struct tv_standing *tv_scan_standing(uint32_t check)
{
    return &standing[check];
}

enum tv_verdict tv_scan_verdict(void)
{
    enum tv_verdict verdict = TV_INTACT;

    for (uint32_t i = 0; i < tv_check_count; i++)
        if (standing[i].verdict > verdict)
            verdict = standing[i].verdict;
    return verdict;
}

enum tv_scan_end tv_scan(struct tv_kernel *k, uint32_t number, enum tv_verdict *verdict)
{
    *verdict = TV_INTACT;
    tv_pt_cache_flush(k);
    for (uint32_t i = 0; i < tv_check_count; i++) {
        enum tv_scan_end end;

        if (tv_slice_over())
            tv_rest(k);
        end = tv_scan_check(k, i, number, NULL);
        if (end != TV_SCAN_DONE)
            return end;
    }
    tv_cost_tell();
    tv_kept_tell();
    *verdict = tv_scan_verdict();
    return TV_SCAN_DONE;
}
