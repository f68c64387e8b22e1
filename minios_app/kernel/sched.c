/* SPDX-License-Identifier: MIT */
#include <mini-os/lib.h>
#include <mini-os/sched.h>
#include <mini-os/semaphore.h>
#include <mini-os/wait.h>
#include <mini-os/xmalloc.h>

#include "internal.h"
#include "stack_layout.h"

/* Round robin: who gives up the processor goes to the end, the first runnable one is next. */
static struct list_head threads = LIST_HEAD_INIT(threads);
static struct thread *current_thread, *exited;
static struct thread boot_thread; /* where the boot stack's state goes; never run again */

struct thread *get_current(void)
{
    return current_thread;
}

void init_sched(void)
{
    BUILD_BUG_ON(offsetof(struct thread, sp) != 0 || offsetof(struct thread, stack_limit) != 8);
    BUILD_BUG_ON(STACK_SIZE != STACK_BYTES);
}

/* A thread cannot give up the stack that it stands on: the next one does. */
static void reap(void)
{
    struct thread *t = exited;

    if (!t)
        return;
    exited = NULL;
    stack_free(t->stack);
    xfree(t);
}

void thread_main(void) __attribute__((noreturn));
void thread_main(void)
{
    reap();
    local_irq_enable();
    current_thread->function(current_thread->data);
    exit_thread();
}

struct thread *create_thread(char *name, void (*function)(void *), void *data)
{
    struct thread *t = xmalloc(struct thread);
    unsigned long flags, *top;

    if (!t)
        return NULL;
    memset(t, 0, sizeof(*t));
    t->stack = stack_alloc();
    if (!t->stack) {
        xfree(t);
        return NULL;
    }
    t->name = name;
    t->function = function;
    t->data = data;
    t->stack_limit = t->stack + STACK_RESERVE;
    /* What arch_switch_threads() takes off: six registers, then where to go. */
    top = (unsigned long *)(t->stack + STACK_SIZE) - 2;
    *--top = (unsigned long)thread_starter;
    t->sp = (unsigned long)(top - 6);
    t->flags = RUNNABLE_FLAG;

    local_irq_save(flags);
    list_add_before(&t->thread_list, &threads);
    local_irq_restore(flags);
    return t;
}

static struct thread *earliest_sleeper(void)
{
    struct thread *earliest = NULL;
    struct list_head *pos;

    list_for_each(pos, &threads)
    {
        struct thread *t = list_entry(pos, struct thread, thread_list);

        if (!is_runnable(t) && t->wakeup_time && (!earliest || t->wakeup_time < earliest->wakeup_time))
            earliest = t;
    }
    return earliest;
}

static void move_to_end(struct thread *t)
{
    list_del(&t->thread_list);
    list_add_before(&t->thread_list, &threads);
}

/* Wake those whose time has come, in the order of their time.  When the next one's comes. */
static s_time_t wake_expired(void)
{
    s_time_t now = NOW();
    struct thread *t;

    for (t = earliest_sleeper(); t && t->wakeup_time <= now; t = earliest_sleeper()) {
        wake(t);
        move_to_end(t);
    }
    return t ? t->wakeup_time : FOREVER;
}

static struct thread *first_runnable(void)
{
    struct list_head *pos;

    list_for_each(pos, &threads)
    {
        struct thread *t = list_entry(pos, struct thread, thread_list);

        if (is_runnable(t))
            return t;
    }
    return NULL;
}

static void switch_to_next(void)
{
    struct thread *prev = current_thread ? current_thread : &boot_thread, *next;
    s_time_t next_wakeup;

    for (;;) {
        next_wakeup = wake_expired();
        next = first_runnable();
        if (next)
            break;
        block_domain(next_wakeup);
    }
    if (next == prev)
        return;
    current_thread = next;
    arch_switch_threads(prev, next);
    reap();
}

void schedule(void)
{
    unsigned long flags;

    BUG_ON(in_callback || !current_thread);
    if (irqs_disabled()) {
        printk("schedule() with events held back\n");
        BUG();
    }
    local_irq_save(flags);
    move_to_end(current_thread);
    switch_to_next();
    local_irq_restore(flags);
}

void run_idle_thread(void)
{
    local_irq_disable();
    switch_to_next();
    BUG();
}

void exit_thread(void)
{
    local_irq_disable();
    list_del(&current_thread->thread_list);
    current_thread->flags &= ~RUNNABLE_FLAG;
    exited = current_thread;
    switch_to_next();
    BUG();
}

void wake(struct thread *thread)
{
    thread->wakeup_time = 0;
    thread->flags |= RUNNABLE_FLAG;
}

void block(struct thread *thread)
{
    thread->wakeup_time = 0;
    thread->flags &= ~RUNNABLE_FLAG;
}

void nsleep(s_time_t nanosecs)
{
    s_time_t deadline = NOW() + nanosecs;
    DECLARE_WAIT_QUEUE_HEAD(nobody);

    wait_event_deadline(nobody, false, deadline);
}

void msleep(uint32_t millisecs)
{
    nsleep(MILLISECS(millisecs));
}

void wake_up(struct wait_queue_head *head)
{
    struct list_head *pos;
    unsigned long flags;

    local_irq_save(flags);
    list_for_each(pos, &head->waiters) wake(list_entry(pos, struct wait_queue, thread_list)->thread);
    local_irq_restore(flags);
}

void prepare_to_wait(struct wait_queue_head *head, struct wait_queue *entry, s_time_t deadline)
{
    unsigned long flags;

    BUG_ON(!current_thread); /* the boot stack must not wait: start a thread */
    local_irq_save(flags);
    entry->thread = current_thread;
    list_del(&entry->thread_list);
    list_add_before(&entry->thread_list, &head->waiters);
    block(current_thread);
    current_thread->wakeup_time = deadline;
    local_irq_restore(flags);
}

void finish_wait(struct wait_queue *entry)
{
    unsigned long flags;

    local_irq_save(flags);
    wake(current_thread);
    list_del(&entry->thread_list);
    local_irq_restore(flags);
}

int trydown(struct semaphore *sem)
{
    unsigned long flags;
    int got;

    local_irq_save(flags);
    got = sem->count > 0;
    sem->count -= got;
    local_irq_restore(flags);
    return got;
}

void down(struct semaphore *sem)
{
    while (!trydown(sem))
        wait_event(sem->wait, sem->count > 0);
}

void up(struct semaphore *sem)
{
    unsigned long flags;

    local_irq_save(flags);
    sem->count++;
    wake_up(&sem->wait);
    local_irq_restore(flags);
}
