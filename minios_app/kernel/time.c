/* SPDX-License-Identifier: MIT */
/* Clocks out of the shared page (Xen public xen.h, vcpu_time_info) and sleeping without ticks. */
#include <mini-os/events.h>
#include <mini-os/lib.h>
#include <mini-os/time.h>
#include <xen/vcpu.h>

#include "internal.h"

static uint64_t last_ns;

/* ns = (ticks << shift) * mul / 2^32 */
static uint64_t scale(uint64_t ticks, uint32_t mul, int8_t shift)
{
    ticks = shift < 0 ? ticks >> -shift : ticks << shift;
    return (uint64_t)(((unsigned __int128)ticks * mul) >> 32);
}

uint64_t monotonic_clock(void)
{
    const vcpu_time_info_t *t = &this_vcpu_info()->time;
    uint32_t version;
    uint64_t ns;

    do {
        version = READ_ONCE(t->version);
        rmb();
        ns = t->system_time + scale(rdtsc() - t->tsc_timestamp, t->tsc_to_system_mul, t->tsc_shift);
        rmb();
    } while ((version & 1) || version != READ_ONCE(t->version));

    /* A new scale may let time step back a little. */
    if (ns < last_ns)
        return last_ns;
    last_ns = ns;
    return ns;
}

int gettimeofday(struct timeval *tv, void *tz)
{
    const shared_info_t *s = HYPERVISOR_shared_info;
    uint64_t sec, nsec;
    uint32_t version;

    (void)tz;
    do {
        version = READ_ONCE(s->wc_version);
        rmb();
        sec = s->wc_sec + ((uint64_t)s->wc_sec_hi << 32);
        nsec = s->wc_nsec;
        rmb();
    } while ((version & 1) || version != READ_ONCE(s->wc_version));

    nsec += monotonic_clock();
    tv->tv_sec = (time_t)(sec + nsec / 1000000000);
    tv->tv_usec = (suseconds_t)(nsec % 1000000000 / 1000);
    return 0;
}

/* Its only work is to end a SCHEDOP_block. */
static void timer_event(evtchn_port_t port, struct pt_regs *regs, void *data)
{
    (void)port, (void)regs, (void)data;
}

void init_time(void)
{
    evtchn_port_t port = bind_virq(VIRQ_TIMER, timer_event, NULL);

    BUG_ON(port == (evtchn_port_t)-1);
    /* A new vcpu has a 100 Hz tick, which would wake an idle domain for nothing. */
    HYPERVISOR_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
    unmask_evtchn(port);
}

void block_domain(s_time_t until)
{
    struct vcpu_set_singleshot_timer timer = { .timeout_abs_ns = (uint64_t)until };

    ASSERT(irqs_disabled());
    if (until <= NOW())
        return;
    if (until < FOREVER)
        BUG_ON(HYPERVISOR_vcpu_op(VCPUOP_set_singleshot_timer, 0, &timer));
    HYPERVISOR_sched_op(SCHEDOP_block, NULL); /* lets events through and waits, in one step */
    local_irq_disable();
}
