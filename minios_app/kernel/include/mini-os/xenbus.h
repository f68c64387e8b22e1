/* SPDX-License-Identifier: MIT */
/*
 * The xenstore client.  Functions that give a char * return NULL for success
 * or an error text to be free()d.  All of them wait: threads only.
 */
#ifndef MINIOS_XENBUS_H
#define MINIOS_XENBUS_H

#include <mini-os/errno.h>
#include <mini-os/types.h>
#include <mini-os/waittypes.h>
#include <xen/event_channel.h>
#include <xen/xen.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>

typedef unsigned long xenbus_transaction_t;
#define XBT_NIL ((xenbus_transaction_t)0)

/* Use the ring that the start info names; nothing without one (dom0). */
void init_xenbus(void);

/* Use this ring.  0 or -errno.  Once. */
int xenbus_attach(struct xenstore_domain_interface *ring, evtchn_port_t port);

/* On success *value is a NUL-terminated copy to be free()d, else NULL. */
char *xenbus_read(xenbus_transaction_t xbt, const char *path, char **value);
char *xenbus_write(xenbus_transaction_t xbt, const char *path, const char *value);
char *xenbus_rm(xenbus_transaction_t xbt, const char *path);

/* *contents: a NULL-terminated array, itself and each name to be free()d. */
char *xenbus_ls(xenbus_transaction_t xbt, const char *prefix, char ***contents);

/* Write to path/node. */
char *xenbus_printf(xenbus_transaction_t xbt, const char *node, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

char *xenbus_transaction_start(xenbus_transaction_t *xbt);
/* *retry: 1 if the transaction must be done again (that is no error). */
char *xenbus_transaction_end(xenbus_transaction_t xbt, int abort, int *retry);

int xenbus_read_integer(const char *path); /* -1 on error */
domid_t xenbus_get_self_id(void);          /* DOMID_INVALID on error */

/* A watch event; free() it, path and token lie in the same block. */
struct xenbus_event {
    char *path;
    char *token;
    struct xenbus_event *next;
};
typedef struct xenbus_event *xenbus_event_queue;

/*
 * Events go to *events in order (NULL: the common queue).  An event whose
 * path is already waiting there is not queued again.  One event comes at once.
 */
char *xenbus_watch_path_token(xenbus_transaction_t xbt, const char *path, const char *token,
                              xenbus_event_queue *events);
char *xenbus_unwatch_path_token(xenbus_transaction_t xbt, const char *path, const char *token);

extern struct wait_queue_head xenbus_watch_queue;
void xenbus_wait_for_watch(xenbus_event_queue *queue);
/* {path, token}, to be free()d as one block; NULL if the connection broke. */
char **xenbus_wait_for_watch_return(xenbus_event_queue *queue);
char *xenbus_wait_for_value(const char *path, const char *value, xenbus_event_queue *queue);

#endif
