/* SPDX-License-Identifier: MIT */
#include "monitor.h"

void tv_heartbeat(struct monitor *m)
{
    m->progress.last_beat_ns = tv_now_ns();
    tv_report_heartbeat(m);
}

void tv_heartbeat_if_due(struct monitor *m)
{
    if (tv_now_ns() - m->progress.last_beat_ns >= m->run->heartbeat_ms * TV_MS)
        tv_heartbeat(m);
}

enum tv_verdict tv_current_verdict(const struct monitor *m)
{
    enum tv_verdict verdict = TV_INTACT;

    for (uint32_t i = 0; i < tv_check_count; i++)
        if (m->status[i].verdict > verdict)
            verdict = m->status[i].verdict;
    return verdict;
}

void tv_verdict_changed(struct monitor *m)
{
    struct tv_progress *p = &m->progress;

    p->verdict = tv_current_verdict(m);
    if (p->verdict > p->worst)
        p->worst = p->verdict;
    if (!p->scanning)
        p->scans++;
    tv_heartbeat(m);
}
