/* SPDX-License-Identifier: MIT */
/*
 * The console: a ring shared with dom0's console daemon (Xen public
 * io/console.h), or Xen's own console if this domain is dom0.  No byte is
 * dropped: who finds the ring full waits for the daemon.
 */
#include <mini-os/events.h>
#include <mini-os/lib.h>
#include <mini-os/mm.h>
#include <mini-os/sched.h>
#include <mini-os/semaphore.h>
#include <mini-os/time.h>
#include <xen/io/console.h>

#include "internal.h"

#define PRINTK_MAX 1024
#define RETRY_MS   1000 /* ask again, should the daemon have been started anew */
#define POLL_MS    10

static struct xencons_interface *ring; /* NULL in dom0 */
static evtchn_port_t port;
static bool crash;
static DECLARE_MUTEX(lock);
static DECLARE_WAIT_QUEUE_HEAD(room_queue);

static void console_event(evtchn_port_t p, struct pt_regs *regs, void *data)
{
    (void)p, (void)regs, (void)data;
    wake_up(&room_queue);
}

void console_attach(struct xencons_interface *interface, evtchn_port_t evtchn)
{
    ring = interface;
    if (!ring)
        return;
    port = bind_evtchn(evtchn, console_event, NULL);
    unmask_evtchn(port);
}

void init_console(void)
{
    if (start_info.flags & SIF_INITDOMAIN)
        console_attach(NULL, 0);
    else
        console_attach(mfn_to_virt(start_info.console.domU.mfn), start_info.console.domU.evtchn);
}

static unsigned int ring_used(void)
{
    unsigned int used = ring->out_prod - READ_ONCE(ring->out_cons);

    return used < sizeof(ring->out) ? used : sizeof(ring->out);
}

static unsigned int ring_room(void)
{
    return sizeof(ring->out) - ring_used();
}

static bool may_sleep(void)
{
    return !crash && get_current() && !in_callback && !irqs_disabled();
}

/* Stop the whole domain for a moment, or until the daemon has read something. */
static void poll_daemon(void)
{
    evtchn_port_t ports[1] = { port };
    struct sched_poll poll = { .nr_ports = 1, .timeout = (uint64_t)(NOW() + MILLISECS(POLL_MS)) };

    set_xen_guest_handle(poll.ports, ports);
    clear_evtchn(port);
    notify_remote_via_evtchn(port);
    if (ring_room() == 0)
        HYPERVISOR_sched_op(SCHEDOP_poll, &poll);
}

static void wait_for_room(void)
{
    while (ring_room() == 0) {
        if (!may_sleep()) {
            poll_daemon();
            continue;
        }
        notify_remote_via_evtchn(port);
        wait_event_deadline(room_queue, ring_room() != 0, NOW() + MILLISECS(RETRY_MS));
    }
}

/* Only while there is room. */
static void ring_store(char c)
{
    unsigned int prod = ring->out_prod;

    ring->out[MASK_XENCONS_IDX(prod, ring->out)] = c;
    wmb();
    WRITE_ONCE(ring->out_prod, prod + 1);
}

static void ring_write(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        wait_for_room();
        if (s[i] == '\n') {
            ring_store('\r');
            wait_for_room();
        }
        ring_store(s[i]);
    }
    notify_remote_via_evtchn(port);
}

void console_write(const char *s, size_t n)
{
    bool locked = false;

    if (!ring) {
        HYPERVISOR_console_io(CONSOLEIO_write, (int)n, (char *)s);
        return;
    }
    if (may_sleep()) {
        down(&lock);
        locked = true;
    }
    ring_write(s, n);
    if (locked)
        up(&lock);
}

int xencons_ring_send(struct consfront_dev *dev, const char *data, unsigned int len)
{
    unsigned int sent = 0;

    (void)dev; /* there is one console */
    if (!ring) {
        HYPERVISOR_console_io(CONSOLEIO_write, (int)len, (char *)data);
        return (int)len;
    }
    if (!trydown(&lock)) /* somebody is in the middle of a line */
        return 0;
    for (; sent < len && ring_room(); sent++)
        ring_store(data[sent]);
    up(&lock);
    notify_remote_via_evtchn(port);
    return (int)sent;
}

void console_enter_crash(void)
{
    crash = true;
}

void console_flush(unsigned int timeout_ms)
{
    s_time_t deadline = NOW() + MILLISECS(timeout_ms);

    while (ring && ring_used() && NOW() < deadline) {
        if (ring_room() == 0) {
            poll_daemon();
        } else {
            struct sched_poll poll = { .nr_ports = 0, .timeout = (uint64_t)(NOW() + MILLISECS(1)) };

            HYPERVISOR_sched_op(SCHEDOP_poll, &poll);
        }
    }
}

void printk(const char *fmt, ...)
{
    char buf[PRINTK_MAX];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vscnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);
    console_write(buf, (size_t)len);
}

void xprintk(const char *fmt, ...)
{
    char buf[PRINTK_MAX];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vscnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);
    HYPERVISOR_console_io(CONSOLEIO_write, len, buf);
}
