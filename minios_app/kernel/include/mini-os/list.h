/* SPDX-License-Identifier: MIT */
/* A doubly linked ring: the head is an entry that belongs to no element. */
#ifndef MINIOS_LIST_H
#define MINIOS_LIST_H

#include <mini-os/types.h>

struct list_head {
    struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name) { &(name), &(name) }

#define list_entry(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

#define list_for_each(pos, head) for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)

#define list_for_each_safe(pos, tmp, head) \
    for ((pos) = (head)->next, (tmp) = (pos)->next; (pos) != (head); (pos) = (tmp), (tmp) = (pos)->next)

static inline void list_init(struct list_head *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list_head *head)
{
    return head->next == head;
}

/* Insert before `pos`; before the head means at the end. */
static inline void list_add_before(struct list_head *entry, struct list_head *pos)
{
    entry->next = pos;
    entry->prev = pos->prev;
    pos->prev->next = entry;
    pos->prev = entry;
}

/* The entry stays a ring of its own, so that a second removal does no harm. */
static inline void list_del(struct list_head *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
    list_init(entry);
}

#endif
