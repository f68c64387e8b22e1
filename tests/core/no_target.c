/* SPDX-License-Identifier: MIT */
/* What check_run.c asks of a kernel, for tests that have none: it is there, and all of its memory. */
#include <tinyvmi/config.h>
#include <tinyvmi/kernel.h>

bool tv_kernel_arriving(struct tv_kernel *k)
{
    (void)k;
    return false;
}

void tv_presence_begin(struct tv_kernel *k, struct tv_presence_query *q)
{
    (void)k;
    (void)q;
}

enum tv_presence tv_presence_poll(struct tv_kernel *k, struct tv_presence_query *q)
{
    (void)k;
    (void)q;
    return TV_PRESENT;
}

void tv_pt_cache_flush(struct tv_kernel *k)
{
    (void)k;
}

const char *tv_digest_name(const struct tv_digest *d)
{
    (void)d;
    return "";
}

const struct tv_config tv_config __attribute__((weak)); /* a test may have one of its own */
const struct tv_kernel_profile *const tv_profiles[] = { NULL };
const uint32_t tv_profile_count = 0;
