/* SPDX-License-Identifier: MIT */
/* The byte stream to and from xenstored, and requests with their replies on top of it. */
#ifndef BASE_XENBUS_RING_H
#define BASE_XENBUS_RING_H

#include <mini-os/types.h>
#include <mini-os/xenbus.h>

struct write_req {
    const void *data;
    size_t len;
};

/*
 * Send one request and wait for its reply: NULL and the reply's body in *reply
 * (NUL-terminated, *reply_len bytes without that NUL; free() it), or an error text.
 */
char *xenbus_request(enum xsd_sockmsg_type type, xenbus_transaction_t xbt, const struct write_req *parts,
                     int n, char **reply, size_t *reply_len);

/* True once the other side has broken the protocol; nothing works any more. */
bool xenbus_broken(void);

/* An error text of the caller's own: never NULL, which would mean success. */
char *xenbus_error(const char *text);

/* xenbus_watch.c: takes a body of XS_WATCH_EVENT, `len` bytes and a NUL. */
void xenbus_watch_event(const char *body, size_t len);

#endif
