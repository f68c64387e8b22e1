/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_EVENTS_H
#define MINIOS_EVENTS_H

#include <mini-os/hypervisor.h>
#include <mini-os/traps.h>
#include <xen/event_channel.h>

/* Handlers run with events held back, on a stack of their own, and must not wait. */
typedef void (*evtchn_handler_t)(evtchn_port_t port, struct pt_regs *regs, void *data);

void init_events(void);
int do_event(evtchn_port_t port, struct pt_regs *regs);

/* Ports are bound masked; unmask_evtchn() lets the first event through. */
evtchn_port_t bind_evtchn(evtchn_port_t port, evtchn_handler_t handler, void *data);
evtchn_port_t bind_virq(uint32_t virq, evtchn_handler_t handler,
                        void *data); /* (evtchn_port_t)-1 on failure */
void unbind_evtchn(evtchn_port_t port);

/* 0 and the port, or -errno. */
int evtchn_alloc_unbound(domid_t pal, evtchn_handler_t handler, void *data, evtchn_port_t *port);
int evtchn_bind_interdomain(domid_t pal, evtchn_port_t remote_port, evtchn_handler_t handler, void *data,
                            evtchn_port_t *local_port);

static inline int notify_remote_via_evtchn(evtchn_port_t port)
{
    evtchn_send_t op = { .port = port };

    return HYPERVISOR_event_channel_op(EVTCHNOP_send, &op);
}

#endif
