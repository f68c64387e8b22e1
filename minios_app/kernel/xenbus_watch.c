/* SPDX-License-Identifier: MIT */
/* Watches: who waits for which token, and what has come. */
#include <mini-os/lib.h>
#include <mini-os/list.h>
#include <mini-os/wait.h>
#include <mini-os/xmalloc.h>

#include "xenbus_ring.h"

struct watch {
    struct list_head list;
    xenbus_event_queue *events;
    char token[]; /* NUL-terminated */
};

static struct list_head watches = LIST_HEAD_INIT(watches);
static xenbus_event_queue common_events;

DECLARE_WAIT_QUEUE_HEAD(xenbus_watch_queue);

static struct watch *find(const char *token)
{
    struct list_head *pos;

    list_for_each(pos, &watches)
    {
        struct watch *w = list_entry(pos, struct watch, list);

        if (!strcmp(w->token, token))
            return w;
    }
    return NULL;
}

static void drop(struct watch *w)
{
    list_del(&w->list);
    free(w);
}

/* Path and token behind the event itself, so that one free() is enough. */
static struct xenbus_event *event_new(const char *path, const char *token)
{
    size_t path_size = strlen(path) + 1, token_size = strlen(token) + 1;
    struct xenbus_event *e = malloc(sizeof(*e) + path_size + token_size);

    if (!e)
        return NULL;
    e->path = memcpy(e + 1, path, path_size);
    e->token = memcpy(e->path + path_size, token, token_size);
    e->next = NULL;
    return e;
}

void xenbus_watch_event(const char *body, size_t len)
{
    size_t path_len = strlen(body);
    const char *token = body + path_len + 1;
    struct xenbus_event **link, *e;
    struct watch *w;

    if (path_len >= len) /* no token */
        return;
    w = find(token);
    if (!w)
        return; /* just unwatched */
    /* An event names a node only: one that waits stands for later ones, and bounds the queue. */
    for (link = w->events; *link; link = &(*link)->next)
        if (!strcmp((*link)->path, body) && !strcmp((*link)->token, token))
            return;
    e = event_new(body, token);
    if (!e) {
        printk("xenstore: no memory for an event of %s\n", body);
        return;
    }
    *link = e;
    wake_up(&xenbus_watch_queue);
}

static char *watch_request(enum xsd_sockmsg_type type, xenbus_transaction_t xbt, const char *path,
                           const char *token)
{
    struct write_req parts[] = { { path, strlen(path) + 1 }, { token, strlen(token) + 1 } };
    char *reply, *error;
    size_t len;

    error = xenbus_request(type, xbt, parts, 2, &reply, &len);
    if (!error)
        free(reply);
    return error;
}

char *xenbus_watch_path_token(xenbus_transaction_t xbt, const char *path, const char *token,
                              xenbus_event_queue *events)
{
    size_t size = strlen(token) + 1;
    struct watch *w = malloc(sizeof(*w) + size);
    char *error;

    if (!w)
        return xenbus_error("ENOMEM");
    w->events = events ? events : &common_events;
    memcpy(w->token, token, size);
    /* Before the request: the first event can overtake the reply. */
    list_add_before(&w->list, &watches);
    error = watch_request(XS_WATCH, xbt, path, token);
    if (error)
        drop(w);
    return error;
}

char *xenbus_unwatch_path_token(xenbus_transaction_t xbt, const char *path, const char *token)
{
    char *error = watch_request(XS_UNWATCH, xbt, path, token);
    struct watch *w = find(token);

    if (w && !error)
        drop(w);
    return error;
}

char **xenbus_wait_for_watch_return(xenbus_event_queue *queue)
{
    struct xenbus_event *e;

    if (!queue)
        queue = &common_events;
    wait_event(xenbus_watch_queue, *queue || xenbus_broken());
    e = *queue;
    if (!e)
        return NULL;
    *queue = e->next;
    return &e->path;
}

void xenbus_wait_for_watch(xenbus_event_queue *queue)
{
    free(xenbus_wait_for_watch_return(queue));
}

char *xenbus_wait_for_value(const char *path, const char *value, xenbus_event_queue *queue)
{
    for (;;) {
        char *now, *error = xenbus_read(XBT_NIL, path, &now);
        bool same;

        if (error)
            return error;
        same = !strcmp(now, value);
        free(now);
        if (same)
            return NULL;
        xenbus_wait_for_watch(queue);
    }
}
