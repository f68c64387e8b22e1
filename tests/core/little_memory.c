/* SPDX-License-Identifier: MIT */
/* page_cache.c over a heap that holds as much as the test says, and a console that the test reads. */
#include <stdlib.h>

#include <tinyvmi/config.h>
#include <tinyvmi/platform.h>

#include "page_cache.h"

#define RANGES 4

bool open_range(uint32_t i, uint32_t npages);
bool ready(uint32_t i);
void close_range(uint32_t i);
void give(uint64_t bytes);
const char *said(void);

static struct tv_kept ranges[RANGES];
static uint64_t left;
static char console[4096];
static size_t used;

void give(uint64_t bytes)
{
    left = bytes;
}

bool open_range(uint32_t i, uint32_t npages)
{
    return tv_kept_open(&ranges[i], npages) == 0;
}

bool ready(uint32_t i)
{
    return tv_kept_ready(&ranges[i]);
}

void close_range(uint32_t i)
{
    tv_kept_close(&ranges[i]);
}

/* What tv_kept_tell() writes now. */
const char *said(void)
{
    used = 0;
    tv_kept_tell();
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

void tv_console_write(const char *s, size_t n)
{
    memcpy(console + used, s, n);
    used += n;
}

uint64_t tv_now_ns(void)
{
    return 0; /* nobody asks what anything costs */
}

void tv_range_walk(struct tv_kernel *k, struct tv_range *r, uint32_t first, uint32_t n)
{
    (void)k;
    (void)r;
    (void)first;
    (void)n;
}

void guest_view_map(struct guest_mem *gm, struct guest_view *v, uint32_t first, uint32_t n)
{
    (void)gm;
    (void)v;
    (void)first;
    (void)n;
}

const struct tv_config tv_config = { .keep_bytes = KEEP_BYTES };
