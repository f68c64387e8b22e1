/* SPDX-License-Identifier: MIT */
/* page_cache.c over a heap that holds as much as the test gives, and a sink that the test reads. */
#include <stdlib.h>

#include <tinyvmi/config.h>

#include "monitor/monitor.h"

#define RANGES 4

bool open_range(uint32_t i, uint32_t npages);
bool ready(uint32_t i);
void close_range(uint32_t i);
void give(uint64_t bytes);
const char *reported(void);
void another_kernel(void);

static struct tv_page_cache ranges[RANGES];
static struct monitor monitor;
static uint64_t left;
static char console[4096];
static size_t used;

void give(uint64_t bytes)
{
    left = bytes;
}

bool open_range(uint32_t i, uint32_t npages)
{
    return tv_page_cache_init(&ranges[i], npages) == 0;
}

bool ready(uint32_t i)
{
    return tv_page_cache_has_copies(&ranges[i], &monitor.page_cache);
}

void close_range(uint32_t i)
{
    tv_page_cache_deinit(&ranges[i], &monitor.page_cache);
}

/* As tv_checks_init() does. */
void another_kernel(void)
{
    monitor.page_cache = (struct tv_page_cache_tally){ 0 };
}

static void keep(void *context, const char *s, size_t n)
{
    (void)context;
    memcpy(console + used, s, n);
    used += n;
}

/* What tv_report_memory() writes now. */
const char *reported(void)
{
    used = 0;
    tv_record_writer_init(&monitor.records, &(const struct tv_sink){ .write = keep }, &monitor.costs);
    tv_report_memory(&monitor);
    console[used] = 0;
    return console;
}

void *tv_alloc(size_t n)
{
    uint64_t *p;

    if (n > left)
        return NULL;
    p = calloc(1, n + 16);
    if (p) {
        *p = n;
        left -= n;
    }
    return p ? p + 2 : NULL;
}

void tv_free(void *at)
{
    uint64_t *p = (uint64_t *)at - 2;

    left += *p;
    free(p);
}

uint64_t tv_now_ns(void)
{
    return 0; /* costs are not measured */
}

void tv_range_walk(struct tv_kernel *k, struct tv_range *r, uint32_t first, uint32_t n)
{
    (void)k;
    (void)r;
    (void)first;
    (void)n;
}

void tv_view_map(struct tv_kernel *k, struct guest_view *v, uint32_t first, uint32_t n)
{
    (void)k;
    (void)v;
    (void)first;
    (void)n;
}

const struct tv_kernel_profile *const tv_profiles[] = { NULL };
const uint32_t tv_profile_count = 0;

const char *tv_digest_name(const struct tv_digest *d)
{
    (void)d;
    return "";
}

const struct tv_config tv_config = { .keep_bytes = KEEP_BYTES };
