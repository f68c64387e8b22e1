/* SPDX-License-Identifier: MIT */
/* The monitor's domain: one thread that learns its target, scans it, and ends. */
#include <mini-os/os.h>
#include <mini-os/hypervisor.h>
#include <mini-os/sched.h>

#include <xen/sched.h>

#include "monitor/monitor.h"

#include "base.h"
#include "guest_mem.h"
#include "params.h"

#define PRIVILEGE_TIMEOUT_MS 30000

static void monitor_thread(void *unused)
{
    struct tv_run run = { .privilege_timeout_ms = PRIVILEGE_TIMEOUT_MS,
                          .sink = { .write = base_console_write } };
    struct sched_shutdown poweroff = { .reason = SHUTDOWN_poweroff };
    static struct guest_mem gm;
    static struct monitor monitor;

    (void)unused;
    base_start();
    params_wait(&run);
    gm.target = (domid_t)run.target;
    tv_monitor(&monitor, &gm, &run);
    base_stop();
    HYPERVISOR_sched_op(SCHEDOP_shutdown, &poweroff);
}

/* Nothing that waits may run in app_main itself: there is no thread yet. */
void monitor_start(void)
{
    create_thread("monitor", monitor_thread, NULL);
}
