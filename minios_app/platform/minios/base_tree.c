/* SPDX-License-Identifier: MIT */
/* A tree of the Xen Project's Mini-OS, as it has been since 2016 at least. */
#include <mini-os/os.h>
#include <mini-os/console.h>
#include <mini-os/hypervisor.h>
#include <mini-os/kernel.h>
#include <mini-os/mm.h>
#include <mini-os/sched.h>
#include <mini-os/time.h>

#include <xen/io/console.h>
#include <xen/sched.h>

#include <tinyvmi/platform.h>

#include "base.h"

/*
 * allocate_ondemand() records nothing: it searches for pages that are not present,
 * and a view has such pages.  So views lie where that tree puts nothing, in the
 * upper part of what a PV guest may use (public/arch-x86/xen-x86_64.h), and are
 * held in a list.  need_pgt() makes page tables for any address.
 */
#define AREA_START 0x0000700000000000ul
#define AREA_END   0x00007f0000000000ul

#define MS          1000000
#define FLUSH_MS    2000
#define GUARD_PAGES 1 /* between two views */

struct area {
    struct area *next; /* in order of addresses */
    unsigned long va, end;
};

static struct area *areas;

static bool is_free(unsigned long va, uint32_t npages)
{
    for (uint32_t i = 0; i < npages; i++) {
        pgentry_t *pte = need_pgt(va + (unsigned long)i * PAGE_SIZE);

        if (!pte || (*pte & _PAGE_PRESENT))
            return false;
    }
    return true;
}

unsigned long base_reserve(uint32_t npages)
{
    unsigned long size = (npages + GUARD_PAGES) * (unsigned long)PAGE_SIZE, va = AREA_START;
    struct area **at = &areas, *found;

    for (; *at && (*at)->va - va < size; at = &(*at)->next)
        va = (*at)->end;
    found = AREA_END - va >= size && is_free(va, npages) ? tv_alloc(sizeof(*found)) : NULL;
    if (!found)
        return 0;
    *found = (struct area){ .next = *at, .va = va, .end = va + size };
    *at = found;
    return va;
}

/* The entries are clear: guest_view_release() has seen to that. */
void base_release(unsigned long va, uint32_t npages)
{
    (void)npages;
    for (struct area **at = &areas; *at; at = &(*at)->next) {
        struct area *gone = *at;

        if (gone->va == va) {
            *at = gone->next;
            tv_free(gone);
            return;
        }
    }
}

/*
 * msleep() would let another thread run, and those of this tree print: into the
 * middle of a record.  The whole domain sleeps instead; events are handled.
 */
void base_console_wait(void)
{
    struct sched_poll poll;

    memset(&poll, 0, sizeof(poll)); /* no port: only the timeout ends it */
    poll.timeout = tv_now_ns() + MS;
    HYPERVISOR_sched_op(SCHEDOP_poll, &poll);
}

/* Nothing shows that its event handlers leave vector registers alone; they save none. */
uint32_t base_vector_units(void)
{
    return 0;
}

/* This tree drops text that finds the console full, perhaps the end of a line: start on one of our own. */
void base_start(void)
{
    base_console_write(NULL, "\n", 1);
}

void base_stop(void)
{
    volatile struct xencons_interface *ring = mfn_to_virt(start_info.console.domU.mfn);

    for (int i = 0; i < FLUSH_MS && ring->out_cons != ring->out_prod; i++)
        base_console_wait();
    stop_kernel();
}

/* What is typed at the console would be echoed from the event handler, into a record: swallow it. */
void console_input(char *buf, unsigned int len);
void console_input(char *buf, unsigned int len)
{
    (void)buf;
    (void)len;
}

int app_main(void *start);
int app_main(void *start)
{
    (void)start;
    monitor_start();
    return 0;
}
