/* SPDX-License-Identifier: MIT */
#include <tinyvmi/config.h>

#include "monitor.h"

void tv_report_hello(struct monitor *m)
{
    struct tv_record_writer *w = &m->records;

    tv_record_begin(w, "hello");
    tv_record_uint(w, "abi", 2);
    tv_record_string(w, "image", tv_config.image_id);
    tv_record_string(w, "nonce", m->run->nonce);
    tv_record_uint(w, "target", m->run->target);
    tv_record_string(w, "base", tv_config.base);
    tv_record_string(w, "base_rev", tv_config.base_rev);
    tv_record_string(w, "digest", tv_digest_name(&m->digest));
    tv_record_open_array(w, "profiles");
    for (uint32_t i = 0; i < tv_profile_count; i++) {
        tv_record_open_object(w);
        tv_record_hex(w, "build_id", tv_profiles[i]->build_id, TV_BUILD_ID_SIZE);
        tv_record_string(w, "release", tv_profiles[i]->release);
        tv_record_close_object(w);
    }
    tv_record_close_array(w);
    tv_record_uint(w, "period_ms", m->run->period_ms);
    tv_record_end(w);
}

void tv_report_kernel(struct monitor *m, uint64_t duration_us)
{
    struct tv_record_writer *w = &m->records;
    const struct tv_kernel *k = &m->kernel;

    tv_record_begin(w, "kernel");
    tv_record_uint(w, "profile", k->profile_index);
    tv_record_hex(w, "build_id", k->profile->build_id, TV_BUILD_ID_SIZE);
    tv_record_string(w, "release", k->profile->release);
    tv_record_address(w, "text_pa", k->text_pa);
    tv_record_address(w, "text_va", k->profile->text_va + k->delta);
    tv_record_address(w, "delta", k->delta);
    tv_record_address(w, "root_pa", k->root_pa);
    tv_record_uint(w, "levels", k->levels);
    if (k->pv)
        tv_record_uint(w, "pv", 1);
    tv_record_uint(w, "duration_us", duration_us);
    tv_record_end(w);
}

void tv_report_waiting(struct monitor *m, const char *reason, const char *banner)
{
    struct tv_record_writer *w = &m->records;

    tv_record_begin(w, "waiting");
    tv_record_string(w, "reason", reason);
    if (banner)
        tv_record_string(w, "banner", banner);
    tv_record_end(w);
}

void tv_report_heartbeat(struct monitor *m)
{
    struct tv_record_writer *w = &m->records;
    const struct tv_progress *p = &m->progress;

    tv_record_begin(w, "heartbeat");
    tv_record_uint(w, "scan", p->scans);
    tv_record_string(w, "verdict", tv_verdict_name(p->verdict));
    tv_record_uint(w, "uptime_ms", (p->last_beat_ns - p->started_ns) / TV_MS);
    tv_record_end(w);
}

void tv_report_error(struct monitor *m, const char *where, const char *what)
{
    struct tv_record_writer *w = &m->records;

    tv_record_begin(w, "error");
    tv_record_string(w, "where", where);
    tv_record_string(w, "what", what);
    tv_record_end(w);
}

void tv_report_bye(struct monitor *m, enum tv_verdict verdict, const char *reason)
{
    struct tv_record_writer *w = &m->records;

    tv_record_begin(w, "bye");
    tv_record_uint(w, "scan", m->progress.scans);
    tv_record_string(w, "verdict", tv_verdict_name(verdict));
    tv_record_string(w, "reason", reason);
    tv_record_end(w);
}

static const char *untracked_reason(const struct monitor *m, int err)
{
    if (m->kernel.pv)
        return "Xen tracks no PV guest";
    if (err == -TV_EACCES || err == -TV_EPERM)
        return "the hypervisor does not allow it";
    if (!m->tracking.dirty.count)
        return "the kernel has no profile of its code";
    return "the hypervisor cannot do it for this target";
}

void tv_report_tracking(struct monitor *m, int err)
{
    struct tv_record_writer *w = &m->records;

    tv_record_begin(w, "tracking");
    tv_record_uint(w, "frames", m->tracking.active ? m->tracking.dirty.count : 0);
    if (!m->tracking.active)
        tv_record_string(w, "reason", untracked_reason(m, err));
    tv_record_end(w);
}

static void report_each(struct monitor *m, const char *type, const char *name, uint32_t scan,
                        const struct tv_finding *f, uint32_t count)
{
    struct tv_record_writer *w = &m->records;

    for (const struct tv_finding *end = f + (count < TV_FINDINGS_MAX ? count : TV_FINDINGS_MAX); f < end;
         f++) {
        tv_record_begin(w, type);
        tv_record_uint(w, "scan", scan);
        tv_record_string(w, "check", name);
        tv_record_string(w, "kind", tv_finding_kinds[f->kind].name);
        tv_record_string(w, "symbol", f->symbol);
        tv_record_uint(w, "offset", f->offset);
        tv_record_address(w, "address", f->address);
        tv_record_hex(w, "expected", f->expected, f->expected_size);
        tv_record_hex(w, "actual", f->actual, f->actual_size);
        if (f->target)
            tv_record_address(w, "target", f->target);
        if (f->owner[0])
            tv_record_string(w, "owner", f->owner);
        if (f->note[0])
            tv_record_string(w, "note", f->note);
        tv_record_end(w);
    }
}

void tv_report_check(struct monitor *m, const char *name, uint32_t scan, const struct tv_result *res,
                     uint64_t duration_us)
{
    struct tv_record_writer *w = &m->records;

    report_each(m, "finding", name, scan, res->finding, res->findings);
    report_each(m, "notice", name, scan, res->notice, res->notices);
    tv_record_begin(w, "check");
    tv_record_uint(w, "scan", scan);
    tv_record_string(w, "check", name);
    tv_record_string(w, "verdict", tv_verdict_name(res->verdict));
    tv_record_uint(w, "items", res->items);
    tv_record_uint(w, "findings", res->findings);
    if (res->notices)
        tv_record_uint(w, "notices", res->notices);
    tv_record_uint(w, "duration_us", duration_us);
    if (res->reason)
        tv_record_string(w, "reason", res->reason);
    tv_record_end(w);
}

void tv_report_memory(struct monitor *m)
{
    struct tv_record_writer *w = &m->records;

    if (m->page_cache.reported || !m->page_cache.digested)
        return;
    m->page_cache.reported = true;
    tv_record_begin(w, "memory");
    tv_record_uint(w, "cached", m->page_cache.cached);
    tv_record_uint(w, "digested", m->page_cache.digested);
    tv_record_end(w);
}

void tv_report_costs(struct monitor *m)
{
    static const char *const names[TV_PHASE_COUNT] = { "map_ns", "read_ns", "sites_ns", "hash_ns",
                                                       "report_ns" };
    struct tv_record_writer *w = &m->records;

    m->costs.reporting = true;
    for (uint32_t i = 0; i < m->costs.count; i++) {
        const struct tv_cost *c = &m->costs.list[i];

        tv_record_begin(w, "cost");
        tv_record_uint(w, "scan", c->scan);
        tv_record_string(w, "check", c->name);
        tv_record_uint(w, "took_ns", c->duration_ns);
        for (uint32_t p = 0; p < TV_PHASE_COUNT; p++)
            tv_record_uint(w, names[p], c->phase_ns[p]);
        tv_record_uint(w, "map_pages", c->map_pages);
        tv_record_uint(w, "map_calls", c->map_calls);
        if (c->incremental)
            tv_record_uint(w, "incremental", 1);
        tv_record_end(w);
    }
    m->costs.reporting = false;
    m->costs.count = 0;
}
