/* SPDX-License-Identifier: MIT */
/* The built-in base, which was written for what a monitor needs. */
#include <mini-os/os.h>
#include <mini-os/kernel.h>
#include <mini-os/mm.h>
#include <mini-os/sched.h>
#include <mini-os/vector.h>

#include <tinyvmi/platform.h>

#include "base.h"

unsigned long base_reserve(uint32_t npages)
{
    return allocate_ondemand(npages, 1);
}

void base_release(unsigned long va, uint32_t npages)
{
    unmap_frames(va, npages);
}

/* No other thread writes to this console. */
void base_console_wait(void)
{
    msleep(1);
}

uint32_t base_vector_units(void)
{
    unsigned int units = vector_enable();

    return (units & VECTOR_SSE41 ? TV_UNIT_SSE41 : 0) | (units & VECTOR_AVX2 ? TV_UNIT_AVX2 : 0) |
           (units & VECTOR_SHA ? TV_UNIT_SHA : 0);
}

void base_start(void)
{
}

void base_stop(void)
{
    stop_kernel();
}

int app_main(start_info_t *si);
int app_main(start_info_t *si)
{
    (void)si;
    monitor_start();
    return 0;
}
