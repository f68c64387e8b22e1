/* SPDX-License-Identifier: MIT */
/* Event channels, by the two-level bitmaps of the shared page (Xen public xen.h, event_channel.h). */
#include <mini-os/events.h>
#include <mini-os/lib.h>

#include "internal.h"

#define MAX_PORTS (sizeof(unsigned long) * 8 * sizeof(unsigned long) * 8)
#define PORT_NONE (~(evtchn_port_t)0)
#define PORTS     64 /* ports of a new domain come from the lowest free number */

static struct {
    evtchn_handler_t handler;
    void *data;
} action[PORTS];

int in_callback;

static bool test_and_clear(unsigned long *words, uint32_t bit)
{
    unsigned long mask = 1UL << (bit % 64);

    return __atomic_fetch_and(&words[bit / 64], ~mask, __ATOMIC_SEQ_CST) & mask;
}

void clear_evtchn(uint32_t port)
{
    test_and_clear(HYPERVISOR_shared_info->evtchn_pending, port);
}

void mask_evtchn(uint32_t port)
{
    __atomic_fetch_or(&HYPERVISOR_shared_info->evtchn_mask[port / 64], 1UL << (port % 64), __ATOMIC_SEQ_CST);
}

/* An event that came while its port was masked has set no flag higher up: do what Xen would have done. */
void unmask_evtchn(uint32_t port)
{
    shared_info_t *s = HYPERVISOR_shared_info;
    vcpu_info_t *vcpu = this_vcpu_info();

    if (!test_and_clear(s->evtchn_mask, port))
        return;
    if (READ_ONCE(s->evtchn_pending[port / 64]) & (1UL << (port % 64))) {
        __atomic_fetch_or(&vcpu->evtchn_pending_sel, 1UL << (port / 64), __ATOMIC_SEQ_CST);
        WRITE_ONCE(vcpu->evtchn_upcall_pending, 1);
        if (!irqs_disabled())
            force_evtchn_callback();
    }
}

/* Xen delivers pending events as any hypercall returns. */
void force_evtchn_callback(void)
{
    HYPERVISOR_xen_version(0, NULL);
}

int do_event(evtchn_port_t port, struct pt_regs *regs)
{
    clear_evtchn(port);
    if (port < PORTS && action[port].handler)
        action[port].handler(port, regs, action[port].data);
    else
        mask_evtchn(port); /* nobody's: let it be quiet */
    return 1;
}

void do_hypervisor_callback(struct pt_regs *regs)
{
    shared_info_t *s = HYPERVISOR_shared_info;
    vcpu_info_t *vcpu = this_vcpu_info();

    in_callback = 1;
    /* The flag falls before the selector is read, so that an event in between raises it again. */
    while (__atomic_exchange_n(&vcpu->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST)) {
        unsigned long words = __atomic_exchange_n(&vcpu->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);

        for (; words; words &= words - 1) {
            unsigned int word = (unsigned int)__builtin_ctzl(words);
            unsigned long ports;

            while ((ports = READ_ONCE(s->evtchn_pending[word]) & ~READ_ONCE(s->evtchn_mask[word])))
                do_event(word * 64 + (unsigned int)__builtin_ctzl(ports), regs);
        }
    }
    in_callback = 0;
}

void init_events(void)
{
    for (unsigned int port = 0; port < MAX_PORTS; port++)
        mask_evtchn(port);
}

evtchn_port_t bind_evtchn(evtchn_port_t port, evtchn_handler_t handler, void *data)
{
    ASSERT(port < PORTS);
    if (action[port].handler && action[port].handler != handler)
        printk("event channel %u is bound again\n", port);
    action[port].data = data;
    wmb();
    action[port].handler = handler;
    return port;
}

void unbind_evtchn(evtchn_port_t port)
{
    evtchn_close_t close = { .port = port };

    if (port >= PORTS)
        return;
    mask_evtchn(port);
    clear_evtchn(port);
    action[port].handler = NULL;
    HYPERVISOR_event_channel_op(EVTCHNOP_close, &close);
}

evtchn_port_t bind_virq(uint32_t virq, evtchn_handler_t handler, void *data)
{
    evtchn_bind_virq_t op = { .virq = virq, .vcpu = 0 };

    if (HYPERVISOR_event_channel_op(EVTCHNOP_bind_virq, &op))
        return PORT_NONE;
    return bind_evtchn(op.port, handler, data);
}

int evtchn_alloc_unbound(domid_t pal, evtchn_handler_t handler, void *data, evtchn_port_t *port)
{
    evtchn_alloc_unbound_t op = { .dom = DOMID_SELF, .remote_dom = pal };
    int rc = HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &op);

    if (!rc)
        *port = bind_evtchn(op.port, handler, data);
    return rc;
}

int evtchn_bind_interdomain(domid_t pal, evtchn_port_t remote_port, evtchn_handler_t handler, void *data,
                            evtchn_port_t *local_port)
{
    evtchn_bind_interdomain_t op = { .remote_dom = pal, .remote_port = remote_port };
    int rc = HYPERVISOR_event_channel_op(EVTCHNOP_bind_interdomain, &op);

    if (!rc)
        *local_port = bind_evtchn(op.local_port, handler, data);
    return rc;
}
