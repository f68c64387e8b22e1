/* SPDX-License-Identifier: MIT */
/*
 * How long a scan works in one go, and how long it yields then.
 *
 * A scan that may not keep the processor for long works for a time budget, then yields, so that all of it takes
 * about half a period.  How long it will work is taken from the scan before.  The first scan does not yield, nor
 * does a check that is run again because of a mismatch.
 */
#ifndef TINYVMI_SCHEDULE_H
#define TINYVMI_SCHEDULE_H

#include <tinyvmi/types.h>

struct tv_schedule {
    uint64_t budget_ns, pause_ns;
    uint64_t worked_ns, began_ns; /* in the scan under way; when it went on last */
    uint64_t last_work_ns;        /* of the last whole scan, 0: there was none */
    bool yields;
};

/* Another kernel: nothing is known of how long its scans take. */
void tv_schedule_reset(struct tv_schedule *s);

/* Around a scan. */
void tv_schedule_begin(struct tv_schedule *s, uint64_t period_ns);
void tv_schedule_end(struct tv_schedule *s);

/* Until when the scan may work now; UINT64_MAX: it does not yield. */
uint64_t tv_schedule_until(const struct tv_schedule *s);

/* Is the budget spent? */
bool tv_schedule_is_due(const struct tv_schedule *s);

/* The scan yields: for how long, ns.  Then it goes on. */
uint64_t tv_schedule_yield(struct tv_schedule *s);
void tv_schedule_resume(struct tv_schedule *s);

#endif
