/* SPDX-License-Identifier: MIT */
/* The other end of a xenstore ring: reads requests and answers as a test wants it. */
#ifndef FAKE_STORE_H
#define FAKE_STORE_H

#include <mini-os/types.h>
#include <xen/io/xs_wire.h>

/* Attach the client to a ring within this domain and start the server.  False without memory. */
bool fake_store_start(void);

/* Send any header and body, however wrong. */
void fake_store_send(const struct xsd_sockmsg *msg, const void *body, size_t len);

/* Put replies to READ aside until two are waiting, then answer the later one first. */
extern volatile bool fake_store_swap;

/* The ring itself, for impossible indices. */
extern struct xenstore_domain_interface *fake_store_ring;
void fake_store_notify(void);

#endif
