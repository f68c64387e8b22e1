/* SPDX-License-Identifier: MIT */
#include <mini-os/mm.h>
#include <mini-os/sched.h>
#include <mini-os/semaphore.h>
#include <mini-os/wait.h>
#include <xen/vcpu.h>

#include "smoke.h"

#define MANY 40

static char trace[64];
static volatile int done;

static void writer(void *letter)
{
    for (int i = 0; i < 3; i++) {
        strcat(trace, letter);
        schedule();
    }
    done++;
}

static void wait_until(volatile int *what, int value)
{
    for (int i = 0; *what != value && i < 2000; i++)
        msleep(1);
}

static void round_robin(void)
{
    trace[0] = 0;
    done = 0;
    CHECK(create_thread("a", writer, "a") && create_thread("b", writer, "b"));
    wait_until(&done, 2);
    CHECK(!strcmp(trace, "ababab"));
}

static void quick(void *unused)
{
    (void)unused;
    done++;
}

static void many_threads(void)
{
    unsigned long before;

    for (int round = 0; round < 3; round++) {
        done = 0;
        for (int i = 0; i < MANY; i++)
            CHECK(create_thread("quick", quick, NULL));
        wait_until(&done, MANY);
        CHECK(done == MANY);
        schedule(); /* the last one is buried by the next to run */
        if (round == 0)
            before = nr_free_pages; /* page tables of the stacks stay */
    }
    CHECK(nr_free_pages == before);
}

static s_time_t base;

static void sleeper(void *ms)
{
    DECLARE_WAIT_QUEUE_HEAD(nobody);

    wait_event_deadline(nobody, false, base + MILLISECS((unsigned long)ms));
    trace[strlen(trace)] = (char)('0' + (unsigned long)ms / 10);
    done++;
}

static void wake_order(void)
{
    memset(trace, 0, sizeof(trace));
    done = 0;
    base = NOW();
    CHECK(create_thread("s", sleeper, (void *)30) && create_thread("s", sleeper, (void *)10) &&
          create_thread("s", sleeper, (void *)20));
    msleep(1);
    while (NOW() < base + MILLISECS(40)) /* until the time of all has come */
        ;
    wait_until(&done, 3);
    CHECK(!strcmp(trace, "123"));
}

static DECLARE_WAIT_QUEUE_HEAD(queue);
static volatile int flag;

static void from_handler(evtchn_port_t port, struct pt_regs *regs, void *data)
{
    (void)port, (void)regs, (void)data;
    flag = 1;
    wake_up(&queue);
}

static void notifier(void *port)
{
    msleep(5);
    notify_remote_via_evtchn(*(evtchn_port_t *)port);
}

static void wait_queues(void)
{
    evtchn_port_t near, far;
    s_time_t start = NOW();

    flag = 0;
    wait_event_deadline(queue, flag, start + MILLISECS(20));
    CHECK(!flag && NOW() - start >= MILLISECS(20));
    CHECK(loopback(&near, &far, from_handler, NULL));
    CHECK(create_thread("notifier", notifier, &near));
    wait_event_deadline(queue, flag, NOW() + SECONDS(2));
    CHECK(flag);
    CHECK(list_empty(&queue.waiters));
    unbind_evtchn(far);
    unbind_evtchn(near);
}

static struct semaphore sem;
static volatile int inside, most;

static void enter(void *unused)
{
    (void)unused;
    down(&sem);
    inside++;
    if (inside > most)
        most = inside;
    msleep(2);
    inside--;
    up(&sem);
    done++;
}

static void semaphores(void)
{
    init_SEMAPHORE(&sem, 2);
    done = inside = most = 0;
    for (int i = 0; i < 6; i++)
        CHECK(create_thread("enter", enter, NULL));
    wait_until(&done, 6);
    CHECK(done == 6 && most == 2 && sem.count == 2);
    CHECK(trydown(&sem) && trydown(&sem) && !trydown(&sem));
}

/* Xen's own account of how long this vcpu ran (VCPUOP_get_runstate_info). */
static uint64_t running_ns(void)
{
    vcpu_runstate_info_t info = { 0 };

    if (HYPERVISOR_vcpu_op(VCPUOP_get_runstate_info, 0, &info))
        return 0;
    return info.time[RUNSTATE_running];
}

static void idle_uses_no_cpu(void)
{
    uint64_t before = running_ns(), used;

    CHECK(before);
    msleep(300);
    used = running_ns() - before;
    printk("# running for %lu us of 300,000 us asleep\n", used / 1000);
    CHECK(used < (uint64_t)MILLISECS(100)); /* Xen's clock also runs while a busy host gives us no time */
}

bool preserved_over_call(void (*fn)(void), unsigned long pattern); /* registers.S */

static void keeper(void *pattern)
{
    bool preserved = true;

    for (int i = 0; i < 5; i++)
        preserved = preserved && preserved_over_call(schedule, (unsigned long)pattern + (unsigned long)i);
    done += preserved;
}

static void registers_survive(void)
{
    done = 0;
    for (unsigned long i = 1; i < 4; i++)
        CHECK(create_thread("keeper", keeper, (void *)(i << 40)));
    wait_until(&done, 3);
    CHECK(done == 3);
}

static void __attribute__((noinline)) big_frames(void *depth)
{
    volatile char frame[2048];

    frame[0] = frame[2047] = (char)(unsigned long)depth;
    if ((unsigned long)depth < 10)
        big_frames((void *)((unsigned long)depth + 1));
    if (frame[0] == 1)
        done++;
}

static void deep_stack(void)
{
    done = 0;
    CHECK(create_thread("deep", big_frames, (void *)1));
    wait_until(&done, 1);
    CHECK(done == 1);
}

SMOKE_TESTS(sched) = {
    { "sched: round robin", round_robin },
    { "sched: registers survive a switch", registers_survive },
    { "sched: many threads, whose memory comes back", many_threads },
    { "sched: sleepers wake in the order of their time", wake_order },
    { "sched: wait queues, woken by time and by an event", wait_queues },
    { "sched: semaphores", semaphores },
    { "sched: an idle domain uses no processor", idle_uses_no_cpu },
    { "sched: 20 KiB of stack can be used", deep_stack },
    SMOKE_END,
};
