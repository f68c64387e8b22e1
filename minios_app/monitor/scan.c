/* SPDX-License-Identifier: MIT */
#include <tinyvmi/cost.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

#include "scan.h"

/*
 * A change is read again before it is believed: long enough for a text poke or
 * an update in flight to end, short against any period.
 */
#define REREAD_NS UINT64_C(20000000)

#define ARRIVED_NS UINT64_C(10000000000)

#define CHECKS_MAX 32

static struct tv_result result;
static uint32_t reported[CHECKS_MAX]; /* fingerprint of what was last said of each check */

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
    return 0;
}

void tv_scan_detach(struct tv_kernel *k)
{
    for (uint32_t i = 0; i < tv_check_count; i++)
        tv_checks[i]->detach(k);
}

static void run(struct tv_kernel *k, const struct tv_check *check)
{
    memset(&result, 0, sizeof(result));
    check->run(k, &result);
    if (!result.findings && !result.missing)
        return;
    tv_sleep_ns(REREAD_NS);
    tv_pt_cache_flush(k);
    memset(&result, 0, sizeof(result));
    check->run(k, &result);
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
static uint32_t fingerprint(void)
{
    uint32_t head[4] = { (uint32_t)result.verdict, result.findings, result.missing, result.notices };
    uint32_t crc = tv_crc32(0, head, sizeof(head));

    crc = print_of(crc, result.finding, result.findings);
    crc = print_of(crc, result.notice, result.notices);
    if (result.reason)
        crc = tv_crc32(crc, result.reason, strlen(result.reason));
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

static void report(const char *name, uint32_t number, uint64_t us)
{
    report_each("finding", name, number, result.finding, result.findings);
    report_each("notice", name, number, result.notice, result.notices);
    tv_rec_begin("check");
    tv_rec_uint("scan", number);
    tv_rec_str("check", name);
    tv_rec_str("verdict", tv_verdict_name(result.verdict));
    tv_rec_uint("units", result.units);
    tv_rec_uint("findings", result.findings);
    if (result.notices)
        tv_rec_uint("notices", result.notices);
    tv_rec_uint("us", us);
    if (result.reason)
        tv_rec_str("reason", result.reason);
    tv_rec_end();
}

/*
 * Memory that is being filled: what is missing may come; what is wrong may be
 * a frame whose content has not come, which after ARRIVED_NS without a change
 * is believed no more.
 */
static bool arriving(struct tv_kernel *k, uint32_t print)
{
    static uint32_t last;
    static uint64_t since_ns;

    if (!tv_kernel_arriving(k))
        return false;
    if (!result.findings)
        return true;
    if (print != last)
        since_ns = tv_now_ns();
    last = print;
    return tv_now_ns() - since_ns < ARRIVED_NS;
}

/* Bad news from memory that a dying kernel left, or another took over, is none. */
static enum tv_scan_end worth_telling(struct tv_kernel *k, uint32_t print)
{
    if (k->stopped || !(result.findings || result.missing))
        return TV_SCAN_DONE;
    if (arriving(k, print))
        return TV_SCAN_ARRIVING;
    return tv_kernel_still_there(k) ? TV_SCAN_DONE : TV_SCAN_GONE;
}

enum tv_scan_end tv_scan(struct tv_kernel *k, uint32_t number, enum tv_verdict *verdict)
{
    *verdict = TV_INTACT;
    tv_pt_cache_flush(k);
    for (uint32_t i = 0; i < tv_check_count; i++) {
        uint64_t start = tv_now_ns(), ns, us;
        enum tv_scan_end end;
        uint32_t print;

        run(k, tv_checks[i]);
        ns = tv_now_ns() - start;
        us = ns / 1000;
        tv_cost_tell(number, tv_checks[i]->name, ns);
        print = fingerprint();
        tv_beat_if_due();
        if (k->stopped && !result.findings)
            continue; /* no praise for a kernel that does not run */
        if (print != reported[i]) {
            end = worth_telling(k, print);
            if (end != TV_SCAN_DONE)
                return end;
            report(tv_checks[i]->name, number, us);
            reported[i] = print;
        }
        if (result.verdict > *verdict)
            *verdict = result.verdict;
    }
    return TV_SCAN_DONE;
}
