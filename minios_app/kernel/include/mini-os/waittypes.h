/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_WAITTYPES_H
#define MINIOS_WAITTYPES_H

#include <mini-os/list.h>

struct thread;

struct wait_queue {
    struct thread *thread;
    struct list_head thread_list;
};

struct wait_queue_head {
    struct list_head waiters;
};

#define __WAIT_QUEUE_HEAD_INITIALIZER(name) { LIST_HEAD_INIT((name).waiters) }
#define DECLARE_WAIT_QUEUE_HEAD(name)       struct wait_queue_head name = __WAIT_QUEUE_HEAD_INITIALIZER(name)

#endif
