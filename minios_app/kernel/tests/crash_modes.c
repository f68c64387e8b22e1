/* SPDX-License-Identifier: MIT */
/* Ways to crash, to test the report. */
#include <mini-os/events.h>
#include <mini-os/mm.h>
#include <mini-os/sched.h>
#include <mini-os/xmalloc.h>
#include <xen/vcpu.h>

#include "smoke.h"

static void __attribute__((noinline)) crash_page_fault(void *unused)
{
    volatile int *volatile field = (volatile int *)0x18; /* of a structure at NULL */

    (void)unused;
    *field = 1;
}

static void __attribute__((noinline)) crash_bug(void *unused)
{
    (void)unused;
    BUG_ON(strlen("x") == 1);
}

static volatile int bottom = -1;

static int __attribute__((noinline)) crash_recursion(volatile int depth)
{
    volatile char frame[512];

    frame[depth % 512] = (char)depth;
    if (depth == bottom)
        return 0;
    return crash_recursion(depth + 1) + frame[(depth + 7) % 512];
}

static void crash_stack_overflow(void *unused)
{
    (void)unused;
    printk("depth %d\n", crash_recursion(0));
}

static void __attribute__((noinline)) crash_canary(void *unused)
{
    volatile char small[16];
    volatile char *p = small;

    (void)unused;
    for (int i = 0; i < 40; i++)
        p[i] = 'A';
}

static void crash_data_call(void *unused)
{
    static unsigned char code[] = { 0xc3 }; /* ret */

    (void)unused;
    ((void (*)(void))(unsigned long)code)();
}

static void crash_double_free(void *unused)
{
    char *a = malloc(40), *b = malloc(40);

    (void)unused;
    free(a);
    free(a);
    free(b);
}

static void crash_bad_frame(void *unused)
{
    unsigned long mfn = 1UL << 38;

    (void)unused;
    map_frames(&mfn, 1);
}

static void crash_handler(evtchn_port_t port, struct pt_regs *regs, void *data)
{
    (void)port, (void)regs, (void)data;
    crash_page_fault(NULL);
}

static void crash_event(void *unused)
{
    evtchn_port_t near, far;

    (void)unused;
    if (loopback(&near, &far, crash_handler, NULL))
        notify_remote_via_evtchn(near);
}

static const struct {
    const char *mode;
    void (*crash)(void *);
} modes[] = {
    { "page-fault", crash_page_fault },
    { "bug", crash_bug },
    { "stack-overflow", crash_stack_overflow },
    { "canary", crash_canary },
    { "data", crash_data_call },
    { "double-free", crash_double_free },
    { "bad-frame", crash_bad_frame },
    { "event", crash_event },
};

void crash_on_purpose(const char *mode)
{
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
        if (!strcmp(mode, modes[i].mode))
            create_thread("crasher", modes[i].crash, NULL);
}
