/* SPDX-License-Identifier: MIT */
/* Cooperative threads on one vcpu: a thread runs until it waits, sleeps, yields or ends. */
#ifndef MINIOS_SCHED_H
#define MINIOS_SCHED_H

#include <mini-os/list.h>
#include <mini-os/time.h>

struct thread {
    unsigned long sp;          /* switch.S: saved stack pointer */
    unsigned long stack_limit; /* switch.S: lowest value of rsp at a function's entry */
    char *name;
    unsigned long stack; /* lowest mapped address */
    struct list_head thread_list;
    void (*function)(void *);
    void *data;
    uint32_t flags;
    s_time_t wakeup_time; /* 0: none */
};

#define RUNNABLE_FLAG 0x00000001u

#define is_runnable(thread) ((thread)->flags & RUNNABLE_FLAG)

void init_sched(void);

/* NULL without memory.  `name` must outlive the thread. */
struct thread *create_thread(char *name, void (*function)(void *), void *data);
void exit_thread(void) __attribute__((noreturn));

/* Let other threads run; comes back when this one is runnable and it is its turn. */
void schedule(void);

/* NULL before the first thread runs (that is: in app_main). */
struct thread *get_current(void);

void wake(struct thread *thread);
void block(struct thread *thread); /* takes effect at the next schedule() */
void msleep(uint32_t millisecs);
void nsleep(s_time_t nanosecs);

/* Leave the boot stack for the threads, for ever. */
void run_idle_thread(void) __attribute__((noreturn));

#endif
