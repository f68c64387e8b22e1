/* SPDX-License-Identifier: MIT */
/* check_run.c over three checks, one of which cannot begin: what is left of their memory. */
#include <stdlib.h>

#include "monitor/monitor.h"

void refuse(uint32_t check);
int32_t init_all(void);
void deinit_all(void);
uint32_t allocated(void);
uint32_t open_checks(void);

static struct monitor monitor;
static uint32_t refused;
static uint32_t blocks, opened;

/* Number `check` cannot begin. */
void refuse(uint32_t check)
{
    refused = check;
}

int32_t init_all(void)
{
    return tv_checks_init(&monitor);
}

void deinit_all(void)
{
    tv_checks_deinit(&monitor);
}

/* Blocks of memory that are not freed. */
uint32_t allocated(void)
{
    return blocks;
}

/* Checks that have begun, and have not ended. */
uint32_t open_checks(void)
{
    return opened;
}

static int init(void *context, struct tv_kernel *k)
{
    uint32_t *begun = context;

    (void)k;
    if (opened == refused)
        return -TV_ENOMEM;
    opened++;
    *begun = 1;
    return 0;
}

static void deinit(void *context, struct tv_kernel *k)
{
    uint32_t *begun = context;

    (void)k;
    if (*begun != 1)
        abort(); /* one that has not begun, or has ended */
    *begun = 2;
    opened--;
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    (void)context;
    (void)k;
    (void)budget;
    (void)res;
    return TV_STEP_DONE;
}

const struct tv_check tv_check_text = {
    .name = "text", .context_size = sizeof(uint32_t), .init = init, .deinit = deinit, .step = step
};
const struct tv_check tv_check_rodata = {
    .name = "rodata", .context_size = sizeof(uint32_t), .init = init, .deinit = deinit, .step = step
};
const struct tv_check tv_check_idt = {
    .name = "idt", .context_size = sizeof(uint32_t), .init = init, .deinit = deinit, .step = step
};

void *tv_alloc(size_t n)
{
    blocks++;
    return calloc(1, n);
}

void tv_free(void *p)
{
    blocks--;
    free(p);
}

uint64_t tv_now_ns(void)
{
    return 0;
}

void tv_sleep_ns(uint64_t ns)
{
    (void)ns;
}

uint64_t tv_tracking_wrote_ns(struct tv_tracking *t, struct tv_kernel *k)
{
    (void)t;
    (void)k;
    return 0;
}
