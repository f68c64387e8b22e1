/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_WAIT_H
#define MINIOS_WAIT_H

#include <mini-os/os.h>
#include <mini-os/sched.h>
#include <mini-os/waittypes.h>

static inline void init_waitqueue_head(struct wait_queue_head *head)
{
    list_init(&head->waiters);
}

/* Also from event handlers. */
void wake_up(struct wait_queue_head *head);

/* Put the current thread on the queue, not runnable from the next schedule() on; and take it off again. */
void prepare_to_wait(struct wait_queue_head *head, struct wait_queue *entry, s_time_t deadline);
void finish_wait(struct wait_queue *entry);

/* Sleep until `condition` holds or NOW() reaches `deadline` (0: no deadline). */
#define wait_event_deadline(wq, condition, deadline)              \
    do {                                                          \
        struct wait_queue wait_entry_;                            \
        s_time_t deadline_ = (deadline);                          \
        if (condition)                                            \
            break;                                                \
        list_init(&wait_entry_.thread_list);                      \
        for (;;) {                                                \
            prepare_to_wait(&(wq), &wait_entry_, deadline_);      \
            if ((condition) || (deadline_ && NOW() >= deadline_)) \
                break;                                            \
            schedule();                                           \
        }                                                         \
        finish_wait(&wait_entry_);                                \
    } while (0)

#define wait_event(wq, condition) wait_event_deadline(wq, condition, 0)

#endif
