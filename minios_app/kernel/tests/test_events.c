/* SPDX-License-Identifier: MIT */
#include <mini-os/events.h>

#include "smoke.h"

static evtchn_port_t last_port;

static void counter(evtchn_port_t port, struct pt_regs *regs, void *data)
{
    (void)regs;
    last_port = port;
    if (in_callback && irqs_disabled())
        ++*(volatile int *)data;
}

static void delivery(void)
{
    evtchn_port_t near, far;
    volatile int n = 0;

    CHECK(loopback(&near, &far, counter, (void *)&n));
    CHECK(!notify_remote_via_evtchn(near));
    CHECK(n == 1 && last_port == far && !in_callback);
    notify_remote_via_evtchn(near);
    CHECK(n == 2);
    unbind_evtchn(far);
    unbind_evtchn(near);
    CHECK(notify_remote_via_evtchn(near) != 0 && n == 2);
}

static void masking(void)
{
    evtchn_port_t near, far;
    volatile int n = 0;

    CHECK(loopback(&near, &far, counter, (void *)&n));
    mask_evtchn(far);
    notify_remote_via_evtchn(near);
    notify_remote_via_evtchn(near);
    CHECK(n == 0);
    unmask_evtchn(far);
    CHECK(n == 1); /* once: an event is a flag, not a queue */
    mask_evtchn(far);
    notify_remote_via_evtchn(near);
    clear_evtchn(far);
    unmask_evtchn(far);
    CHECK(n == 1);
    unbind_evtchn(far);
    unbind_evtchn(near);
}

static void held_back(void)
{
    evtchn_port_t near, far;
    unsigned long outer, inner;
    volatile int n = 0;

    CHECK(loopback(&near, &far, counter, (void *)&n));
    local_irq_save(outer);
    local_irq_save(inner);
    notify_remote_via_evtchn(near);
    local_irq_restore(inner);
    CHECK(n == 0 && irqs_disabled());
    local_irq_restore(outer);
    CHECK(n == 1 && !irqs_disabled());
    unbind_evtchn(far);
    unbind_evtchn(near);
}

bool preserved_over_event(unsigned long pattern); /* registers.S */

static void registers_survive(void)
{
    evtchn_port_t near, far;
    volatile int n = 0;

    CHECK(loopback(&near, &far, counter, (void *)&n));
    for (int i = 1; i <= 10; i++) {
        local_irq_disable();
        notify_remote_via_evtchn(near);
        CHECK(n == i - 1);
        WRITE_ONCE(this_vcpu_info()->evtchn_upcall_mask, 0); /* let it come, but not yet */
        CHECK(preserved_over_event(0x1122334455667788UL * (unsigned long)i));
        CHECK(n == i);
    }
    unbind_evtchn(far);
    unbind_evtchn(near);
}

static void failures(void)
{
    evtchn_port_t port;

    CHECK(bind_virq(999, counter, NULL) == (evtchn_port_t)-1);
    CHECK(evtchn_bind_interdomain(DOMID_SELF, 60, counter, NULL, &port) < 0);
    CHECK(evtchn_bind_interdomain(4321, 1, counter, NULL, &port) < 0);
}

SMOKE_TESTS(events) = {
    { "events: delivery to the handler", delivery },
    { "events: a masked port keeps its event", masking },
    { "events: held back while events are disabled, nested", held_back },
    { "events: registers survive", registers_survive },
    { "events: bad ports are refused", failures },
    SMOKE_END,
};
