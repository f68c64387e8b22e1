/* SPDX-License-Identifier: MIT */
#include <mini-os/errno.h>
#include <mini-os/mm.h>
#include <mini-os/wait.h>
#include <mini-os/xenbus.h>

#include "fake_store.h"
#include "smoke.h"

struct xenstore_domain_interface *fake_store_ring;
volatile bool fake_store_swap;

static evtchn_port_t near, far;
static DECLARE_WAIT_QUEUE_HEAD(moved);
static char value[XENSTORE_PAYLOAD_MAX]; /* of data/x */
static size_t value_len;
static int commits;

static void ring_event(evtchn_port_t port, struct pt_regs *regs, void *data)
{
    (void)port, (void)regs, (void)data;
    wake_up(&moved);
}

void fake_store_notify(void)
{
    notify_remote_via_evtchn(far);
}

static void put(const char *p, size_t len)
{
    struct xenstore_domain_interface *r = fake_store_ring;

    while (len--) {
        wait_event(moved, r->rsp_prod - READ_ONCE(r->rsp_cons) < XENSTORE_RING_SIZE);
        r->rsp[MASK_XENSTORE_IDX(r->rsp_prod)] = *p++;
        WRITE_ONCE(r->rsp_prod, r->rsp_prod + 1);
        if (!(len % 256))
            fake_store_notify();
    }
}

static void get(char *p, size_t len)
{
    struct xenstore_domain_interface *r = fake_store_ring;

    while (len--) {
        wait_event(moved, READ_ONCE(r->req_prod) != r->req_cons);
        *p++ = r->req[MASK_XENSTORE_IDX(r->req_cons)];
        WRITE_ONCE(r->req_cons, r->req_cons + 1);
        if (!(len % 256))
            fake_store_notify();
    }
}

void fake_store_send(const struct xsd_sockmsg *msg, const void *body, size_t len)
{
    put((const char *)msg, sizeof(*msg));
    put(body, len);
}

static void reply(struct xsd_sockmsg msg, const void *body, size_t len)
{
    msg.len = (uint32_t)len;
    fake_store_send(&msg, body, len);
}

static void refuse(struct xsd_sockmsg msg, const char *error)
{
    msg.type = XS_ERROR;
    reply(msg, error, strlen(error) + 1);
}

static void read_path(struct xsd_sockmsg msg, const char *path)
{
    static struct xsd_sockmsg held;
    static bool have_held;

    if (fake_store_swap && !have_held) {
        held = msg;
        have_held = true;
        return;
    }
    if (fake_store_swap) {
        reply(msg, "later", 5);
        reply(held, "earlier", 7);
        fake_store_swap = have_held = false;
    } else if (!strcmp(path, "domid")) {
        reply(msg, "7", 1);
    } else if (!strcmp(path, "data/x")) {
        reply(msg, value, value_len);
    } else {
        refuse(msg, "ENOENT");
    }
}

static void answer(struct xsd_sockmsg msg, const char *body)
{
    const char *second = body + strlen(body) + 1;
    struct xsd_sockmsg event = { .type = XS_WATCH_EVENT };

    switch (msg.type) {
    case XS_READ: read_path(msg, body); break;
    case XS_WRITE:
        value_len = msg.len - (size_t)(second - body);
        memcpy(value, second, value_len);
        reply(msg, "OK", 3);
        break;
    case XS_DIRECTORY:
        reply(msg, strcmp(body, "empty") ? "a\0bb\0ccc" : "", strcmp(body, "empty") ? 9 : 0);
        break;
    case XS_TRANSACTION_START: reply(msg, "42", 3); break;
    case XS_TRANSACTION_END:
        if (msg.tx_id != 42)
            refuse(msg, "ENOENT");
        else if (body[0] == 'T' && commits++ == 0)
            refuse(msg, "EAGAIN");
        else
            reply(msg, "OK", 3);
        break;
    case XS_WATCH: /* the event first: it may overtake the reply */
        reply(event, body, msg.len);
        reply(msg, "OK", 3);
        break;
    case XS_UNWATCH: reply(msg, "OK", 3); break;
    default: refuse(msg, "ENOSYS");
    }
}

static void server(void *unused)
{
    static char body[XENSTORE_PAYLOAD_MAX + 1];
    struct xsd_sockmsg msg;

    (void)unused;
    for (;;) {
        get((char *)&msg, sizeof(msg));
        get(body, msg.len);
        body[msg.len] = 0;
        answer(msg, body);
    }
}

bool fake_store_start(void)
{
    fake_store_ring = (struct xenstore_domain_interface *)alloc_page();
    if (!fake_store_ring || !loopback(&near, &far, ring_event, NULL))
        return false;
    memset(fake_store_ring, 0, PAGE_SIZE);
    /* The indices wrap on the way. */
    fake_store_ring->req_prod = fake_store_ring->req_cons = 0xffffff00u;
    fake_store_ring->rsp_prod = fake_store_ring->rsp_cons = 0xffffff80u;
    return create_thread("fake-store", server, NULL) && !xenbus_attach(fake_store_ring, near);
}
