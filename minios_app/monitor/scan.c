/* SPDX-License-Identifier: MIT */
#include "monitor.h"

/*
 * Yield until the next part of the scan.  Meanwhile the target goes on, and what it writes is checked: a check must
 * read anew what it has read of the target.
 */
static void yield(struct monitor *m)
{
    tv_wait(m, tv_now_ns() + tv_schedule_yield(&m->schedule));
    tv_pt_cache_flush(&m->kernel);
    tv_schedule_resume(&m->schedule);
}

enum tv_scan_end tv_scan(struct monitor *m, uint32_t number, enum tv_verdict *verdict)
{
    *verdict = TV_INTACT;
    tv_pt_cache_flush(&m->kernel);
    for (uint32_t i = 0; i < tv_check_count; i++) {
        struct tv_check_run r;
        enum tv_scan_end end;

        if (tv_schedule_is_due(&m->schedule))
            yield(m);
        r = tv_check_run_begin(i, &m->scan_result);
        while (!tv_check_run_step(m, &r, tv_schedule_until(&m->schedule)))
            if (r.resumed)
                yield(m);
        end = tv_check_run_conclude(m, &r, number, NULL);
        if (end != TV_SCAN_DONE)
            return end;
    }
    tv_report_costs(m);
    tv_report_memory(m);
    *verdict = tv_current_verdict(m);
    return TV_SCAN_DONE;
}
