/* SPDX-License-Identifier: MIT */
/* scan.c over a clock that the test moves, one check whose findings the test gives, and a target that writes or not. */
#include <tinyvmi/check.h>
#include <tinyvmi/config.h>
#include <tinyvmi/schedule.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

#include "scan.h"

void advance(uint64_t ns);
void find(const char *kind, uint32_t count);
void writes(bool yes);
bool tells(void);

static uint64_t now = 1000000000000;
static struct {
    const char *kind;
    uint32_t count;
} given[2];
static uint32_t kinds;
static bool writing;
static struct tv_kernel kernel;

static int attach(struct tv_kernel *k)
{
    (void)k;
    return 0;
}

static void detach(struct tv_kernel *k)
{
    (void)k;
}

static void run(struct tv_kernel *k, struct tv_result *res)
{
    (void)k;
    res->units = 1;
    for (uint32_t i = 0; i < kinds; i++)
        for (uint32_t n = 0; n < given[i].count; n++)
            tv_find(res, given[i].kind, "_text", n, n, NULL, 0, NULL, 0, NULL);
    tv_settle(res, NULL);
}

static const struct tv_check check = { .name = "text", .attach = attach, .run = run, .detach = detach };
const struct tv_check *const tv_checks[] = { &check };
const uint32_t tv_check_count = 1;

void advance(uint64_t ns)
{
    now += ns;
}

/* Found from now on, with what was said of a kind before; no kind: nothing. */
void find(const char *kind, uint32_t count)
{
    kinds = kind ? kinds : 0;
    if (!kind)
        return;
    given[kinds].kind = kind;
    given[kinds++].count = count;
}

void writes(bool yes)
{
    writing = yes;
}

bool tells(void)
{
    tv_scan_check(&kernel, 0, 0, NULL);
    return tv_scan_verdict() == TV_TAMPERED;
}

uint64_t tv_look_wrote_ns(struct tv_kernel *k)
{
    (void)k;
    return writing ? tv_now_ns() : 0;
}

/* It never stands still: what is asked first was earlier. */
uint64_t tv_now_ns(void)
{
    return ++now;
}

void tv_sleep_ns(uint64_t ns)
{
    now += ns;
}

void tv_console_write(const char *s, size_t n)
{
    (void)s;
    (void)n;
}

bool tv_kernel_arriving(struct tv_kernel *k)
{
    (void)k;
    return false;
}

bool tv_kernel_still_there(struct tv_kernel *k)
{
    (void)k;
    return true;
}

void tv_pt_cache_flush(struct tv_kernel *k)
{
    (void)k;
}

void tv_sleep_looking(struct tv_kernel *k, uint64_t until)
{
    (void)k;
    now = until;
}

void tv_beat_if_due(void)
{
}

void tv_kept_tell(void)
{
}

const struct tv_config tv_config;
