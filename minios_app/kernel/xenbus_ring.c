/* SPDX-License-Identifier: MIT */
/*
 * The ring shared with xenstored (Xen public io/xs_wire.h).  The other side is
 * dom0's, but lengths and indices are checked all the same: a broken stream
 * ends the connection and each waiter gets an error.
 */
#include <mini-os/errno.h>
#include <mini-os/events.h>
#include <mini-os/lib.h>
#include <mini-os/mm.h>
#include <mini-os/semaphore.h>
#include <mini-os/xmalloc.h>

#include "internal.h"
#include "xenbus_ring.h"

#define MAX_REQUESTS 16

/* A request under way; its index is the req_id on the wire. */
static struct request {
    bool in_use, answered;
    uint32_t type; /* of the reply */
    char *body;    /* NULL if there was no memory for it */
    size_t len;
} requests[MAX_REQUESTS];

static struct xenstore_domain_interface *ring;
static evtchn_port_t port;
static bool broken;
static DECLARE_MUTEX(write_lock);
static DECLARE_WAIT_QUEUE_HEAD(ring_queue);  /* the ring has moved */
static DECLARE_WAIT_QUEUE_HEAD(reply_queue); /* a request was answered, or there is room for another */

bool xenbus_broken(void)
{
    return broken;
}

char *xenbus_error(const char *text)
{
    char *copy = strdup(text);

    BUG_ON(!copy);
    return copy;
}

static void break_connection(const char *why)
{
    if (!broken)
        printk("xenstore: %s; the connection is given up\n", why);
    broken = true;
    wake_up(&ring_queue);
    wake_up(&reply_queue);
    wake_up(&xenbus_watch_queue);
}

static void ring_event(evtchn_port_t p, struct pt_regs *regs, void *data)
{
    (void)p, (void)regs, (void)data;
    wake_up(&ring_queue);
}

/* Bytes between two indices; breaks the connection if they are impossible. */
static uint32_t distance(XENSTORE_RING_IDX prod, XENSTORE_RING_IDX cons)
{
    uint32_t n = prod - cons;

    if (n > XENSTORE_RING_SIZE) {
        break_connection("impossible ring indices");
        return 0;
    }
    return n;
}

static uint32_t readable(void)
{
    return distance(READ_ONCE(ring->rsp_prod), ring->rsp_cons);
}

static uint32_t writable(void)
{
    return XENSTORE_RING_SIZE - distance(ring->req_prod, READ_ONCE(ring->req_cons));
}

static uint32_t min3(uint32_t a, uint32_t b, size_t c)
{
    uint32_t ab = a < b ? a : b;

    return ab < c ? ab : (uint32_t)c;
}

static bool ring_write(const void *data, size_t len)
{
    const char *p = data;

    while (len) {
        uint32_t at, n;

        wait_event(ring_queue, broken || writable());
        if (broken)
            return false;
        at = MASK_XENSTORE_IDX(ring->req_prod);
        n = min3(writable(), XENSTORE_RING_SIZE - at, len);
        mb(); /* the room is seen before it is filled */
        memcpy(ring->req + at, p, n);
        wmb();
        WRITE_ONCE(ring->req_prod, ring->req_prod + n);
        notify_remote_via_evtchn(port);
        p += n;
        len -= n;
    }
    return true;
}

/* `data` NULL: skip. */
static bool ring_read(void *data, size_t len)
{
    char *p = data;

    while (len) {
        uint32_t at, n;

        wait_event(ring_queue, broken || readable());
        if (broken)
            return false;
        at = MASK_XENSTORE_IDX(ring->rsp_cons);
        n = min3(readable(), XENSTORE_RING_SIZE - at, len);
        rmb();
        if (p) {
            memcpy(p, ring->rsp + at, n);
            p += n;
        }
        mb(); /* read before the room is given back */
        WRITE_ONCE(ring->rsp_cons, ring->rsp_cons + n);
        notify_remote_via_evtchn(port);
        len -= n;
    }
    return true;
}

static void deliver(const struct xsd_sockmsg *msg, char *body)
{
    struct request *r;

    if (msg->type == XS_WATCH_EVENT) {
        if (body)
            xenbus_watch_event(body, msg->len);
        free(body);
        return;
    }
    r = msg->req_id < MAX_REQUESTS ? &requests[msg->req_id] : NULL;
    if (!r || !r->in_use || r->answered) {
        free(body);
        break_connection("a reply to nothing that was asked");
        return;
    }
    r->type = msg->type;
    r->body = body;
    r->len = msg->len;
    r->answered = true;
    wake_up(&reply_queue);
}

static void xenstore_thread(void *unused)
{
    struct xsd_sockmsg msg;

    (void)unused;
    while (ring_read(&msg, sizeof(msg))) {
        char *body;

        if (msg.len > XENSTORE_PAYLOAD_MAX) {
            break_connection("a message longer than the protocol allows");
            break;
        }
        body = malloc(msg.len + 1);
        if (!ring_read(body, msg.len)) {
            free(body);
            break;
        }
        if (body)
            body[msg.len] = 0;
        deliver(&msg, body);
    }
}

static struct request *free_request(void)
{
    for (int i = 0; i < MAX_REQUESTS; i++)
        if (!requests[i].in_use)
            return &requests[i];
    return NULL;
}

static bool send(const struct xsd_sockmsg *msg, const struct write_req *parts, int n)
{
    bool ok;

    down(&write_lock); /* a message is one piece of the stream */
    ok = ring_write(msg, sizeof(*msg));
    for (int i = 0; ok && i < n; i++)
        ok = ring_write(parts[i].data, parts[i].len);
    up(&write_lock);
    return ok;
}

/* What a reply says: NULL if it is the answer to `type`. */
static char *error_of(const struct request *r, enum xsd_sockmsg_type type)
{
    if (!r->body)
        return xenbus_error("ENOMEM");
    if (r->type == XS_ERROR)
        return xenbus_error(r->body);
    if (r->type != (uint32_t)type)
        return xenbus_error("EIO");
    return NULL;
}

char *xenbus_request(enum xsd_sockmsg_type type, xenbus_transaction_t xbt, const struct write_req *parts,
                     int n, char **reply, size_t *reply_len)
{
    struct xsd_sockmsg msg = { .type = type, .tx_id = (uint32_t)xbt };
    struct request *r;
    size_t len = 0;
    char *error;

    for (int i = 0; i < n; i++)
        len += parts[i].len;
    if (len > XENSTORE_PAYLOAD_MAX)
        return xenbus_error("E2BIG");
    if (!ring)
        return xenbus_error("ENODEV");
    wait_event(reply_queue, broken || free_request());
    if (broken)
        return xenbus_error("EIO");

    r = free_request();
    memset(r, 0, sizeof(*r));
    r->in_use = true;
    msg.req_id = (uint32_t)(r - requests);
    msg.len = (uint32_t)len;
    if (send(&msg, parts, n))
        wait_event(reply_queue, broken || r->answered);
    error = r->answered ? error_of(r, type) : xenbus_error("EIO");
    if (error) {
        free(r->body);
    } else {
        *reply = r->body;
        *reply_len = r->len;
    }
    r->in_use = false;
    wake_up(&reply_queue);
    return error;
}

int xenbus_attach(struct xenstore_domain_interface *interface, evtchn_port_t evtchn)
{
    if (ring)
        return -EBUSY;
    ring = interface;
    port = bind_evtchn(evtchn, ring_event, NULL);
    if (!create_thread("xenstore", xenstore_thread, NULL))
        return -ENOMEM;
    unmask_evtchn(port);
    return 0;
}

void init_xenbus(void)
{
    /* dom0 starts before there is a xenstore. */
    if (start_info.store_mfn && start_info.store_evtchn)
        BUG_ON(xenbus_attach(mfn_to_virt(start_info.store_mfn), start_info.store_evtchn));
}
