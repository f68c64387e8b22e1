/* SPDX-License-Identifier: MIT */
#include "schedule.h"

#include <tinyvmi/config.h>
#include <tinyvmi/platform.h>

void tv_schedule_reset(struct tv_schedule *s)
{
    s->last_work_ns = 0;
    s->yields = false;
}

void tv_schedule_begin(struct tv_schedule *s, uint64_t period_ns)
{
    uint64_t parts;

    s->budget_ns = (uint64_t)tv_config.time_budget_us * 1000;
    parts = s->budget_ns ? s->last_work_ns / s->budget_ns : 0;
    s->yields = parts > 0 && s->last_work_ns < period_ns / 2;
    s->pause_ns = s->yields ? (period_ns / 2 - s->last_work_ns) / parts : 0;
    s->began_ns = tv_now_ns();
    s->worked_ns = 0;
}

void tv_schedule_end(struct tv_schedule *s)
{
    s->last_work_ns = s->worked_ns + (tv_now_ns() - s->began_ns);
    s->yields = false;
}

uint64_t tv_schedule_until(const struct tv_schedule *s)
{
    return s->yields ? s->began_ns + s->budget_ns : UINT64_MAX;
}

bool tv_schedule_is_due(const struct tv_schedule *s)
{
    return s->yields && tv_now_ns() - s->began_ns >= s->budget_ns;
}

uint64_t tv_schedule_yield(struct tv_schedule *s)
{
    s->worked_ns += tv_now_ns() - s->began_ns;
    return s->pause_ns;
}

void tv_schedule_resume(struct tv_schedule *s)
{
    s->began_ns = tv_now_ns();
}
