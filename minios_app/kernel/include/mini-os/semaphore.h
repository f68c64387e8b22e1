/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_SEMAPHORE_H
#define MINIOS_SEMAPHORE_H

#include <mini-os/wait.h>

struct semaphore {
    int count;
    struct wait_queue_head wait;
};

#define __SEMAPHORE_INITIALIZER(name, n) { .count = (n), .wait = __WAIT_QUEUE_HEAD_INITIALIZER((name).wait) }
#define DECLARE_MUTEX(name)              struct semaphore name = __SEMAPHORE_INITIALIZER(name, 1)

static inline void init_SEMAPHORE(struct semaphore *sem, int count)
{
    sem->count = count;
    init_waitqueue_head(&sem->wait);
}

#define init_MUTEX(sem) init_SEMAPHORE(sem, 1)

int trydown(struct semaphore *sem); /* 1: got it */
void down(struct semaphore *sem);   /* threads only */
void up(struct semaphore *sem);     /* also from event handlers */

#endif
