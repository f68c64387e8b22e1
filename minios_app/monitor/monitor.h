/* SPDX-License-Identifier: MIT */
/*
 * All that a run of the monitor knows.  Its units, each of which uses only those above it:
 *
 *   record, schedule, tracking   the writer of records; time budgets; what the target has written
 *   records                      what each type of record holds
 *   progress                     how the run stands: verdicts, heartbeats
 *   check_run                    one check: its steps, the second reading of a mismatch, its report
 *   incremental                  between scans and between steps: what the target has written, what is due again
 *   scan                         all checks in turn, yielding in between
 *   monitor                      the run: privilege, kernel, scans, end
 */
#ifndef TINYVMI_MONITOR_MONITOR_H
#define TINYVMI_MONITOR_MONITOR_H

#include <tinyvmi/monitor.h>

#include "checks/lib/page_cache.h"
#include "schedule.h"
#include "tracking.h"

#define TV_MS         UINT64_C(1000000) /* ns */
#define TV_CHECKS_MAX 32

/* What became of a check when it was run last. */
struct tv_check_status {
    enum tv_verdict verdict;
    bool in_step;              /* it is running just now */
    uint32_t reported;         /* fingerprint of the last report; 0: there was none */
    uint64_t ended_ns, cost_ns;
    uint64_t checked_ns;       /* when it was run last, in whole or incrementally */
    uint64_t patch_grace_ns;   /* spent on sites that the target is just patching; it comes back slowly */
};

/* How the run stands. */
struct tv_progress {
    uint64_t started_ns, last_beat_ns;
    uint32_t scans;            /* completed */
    enum tv_verdict verdict;   /* of the last one, or unverifiable while there is nothing to scan */
    enum tv_verdict worst;
    enum tv_verdict unwatched; /* what heartbeats carry while no kernel is watched */
    bool scanning;             /* a scan is under way */
    bool gone;                 /* an incremental check found no kernel */
};

/* Memory that is still being filled: the mismatch that was seen last, and since when. */
struct tv_arrival {
    uint32_t print;
    uint64_t since_ns;
};

struct monitor {
    const struct tv_run *run;
    struct tv_record_writer records;
    struct tv_costs costs;
    struct tv_digest digest;
    struct tv_random random;
    struct tv_page_cache_tally page_cache;
    struct tv_kernel kernel;
    struct tv_schedule schedule;
    struct tv_tracking tracking;
    struct tv_progress progress;
    struct tv_arrival arrival;
    uint64_t polled_ns; /* when the incremental checks were made last */
    void *context[TV_CHECKS_MAX];
    struct tv_check_status status[TV_CHECKS_MAX];
    struct tv_result scan_result, incremental_result; /* the second while a scan yields */
    uint8_t digest_scratch[TV_DIGEST_SCRATCH];
};

enum tv_scan_end {
    TV_SCAN_DONE,
    TV_SCAN_GONE,     /* what was found is void: the kernel or the target is no longer there */
    TV_SCAN_ARRIVING, /* void: the target's memory is still being filled */
};

/* records.c: what each type of record holds. */
void tv_report_hello(struct monitor *m);
void tv_report_kernel(struct monitor *m, uint64_t duration_us);
void tv_report_waiting(struct monitor *m, const char *reason, const char *banner);
void tv_report_heartbeat(struct monitor *m);
void tv_report_error(struct monitor *m, const char *where, const char *what);
void tv_report_bye(struct monitor *m, enum tv_verdict verdict, const char *reason);
void tv_report_tracking(struct monitor *m, int err);
void tv_report_check(struct monitor *m, const char *name, uint32_t scan, const struct tv_result *res,
                     uint64_t duration_us);
/* Once for each kernel, if pages are digested for want of memory for copies. */
void tv_report_memory(struct monitor *m);
void tv_report_costs(struct monitor *m);

/* progress.c */
void tv_heartbeat(struct monitor *m);
/* A sign of life, if the last is a heartbeat's time ago. */
void tv_heartbeat_if_due(struct monitor *m);
/* The worst of all checks as they stand. */
enum tv_verdict tv_current_verdict(const struct monitor *m);
/* A check has changed what is known between scans: count it as a scan, unless one is under way. */
void tv_verdict_changed(struct monitor *m);

/* check_run.c: contexts for the kernel that was found.  0 or -TV_E…. */
int tv_checks_init(struct monitor *m);
void tv_checks_deinit(struct monitor *m);

/* A check that is under way. */
struct tv_check_run {
    uint32_t check;
    uint32_t retries;
    bool begun, resumed;
    uint64_t started_ns;
    struct tv_result *res;
};
struct tv_check_run tv_check_run_begin(uint32_t check, struct tv_result *res);
/* Work until then.  True: the check is done. */
bool tv_check_run_step(struct monitor *m, struct tv_check_run *r, uint64_t until_ns);
/* A first run is done, `dirty` for an incremental one: read a mismatch again, then report what is new. */
enum tv_scan_end tv_check_run_conclude(struct monitor *m, struct tv_check_run *r, uint32_t scan,
                                       const struct tv_dirty *dirty);
/* Check number `i` in one go, from its begin to its report; with `dirty` only what may have changed. */
enum tv_scan_end tv_check_run_whole(struct monitor *m, uint32_t i, uint32_t scan, struct tv_result *res,
                                    const struct tv_dirty *dirty);
/* A check has cost so much. */
void tv_add_cost(struct monitor *m, uint32_t scan, const char *name, uint64_t ns, bool incremental);

/* incremental.c: begin, for the kernel that was found. */
void tv_incremental_begin(struct monitor *m);
/* Sleep until `until_ns`, with signs of life and incremental checks in between. */
void tv_wait(struct monitor *m, uint64_t until_ns);

/* scan.c: run every check; report what is new.  *verdict becomes the worst. */
enum tv_scan_end tv_scan(struct monitor *m, uint32_t number, enum tv_verdict *verdict);

#endif
