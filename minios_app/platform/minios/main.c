/* SPDX-License-Identifier: MIT */
/* The monitor's domain: one thread that learns its target, scans it, and ends. */
#include <mini-os/os.h>
#include <mini-os/hypervisor.h>
#include <mini-os/kernel.h>
#include <mini-os/lib.h>
#include <mini-os/sched.h>

#include <tinyvmi/config.h>
#include <tinyvmi/monitor.h>

#include "guest_mem.h"
#include "params.h"

#define PATIENCE_MS 30000

static void monitor_thread(void *unused)
{
    struct tv_run run = { .patience_ms = PATIENCE_MS };
    static struct guest_mem gm;

    (void)unused;
    params_wait(&run);
    gm.target = (domid_t)run.target;
    tv_monitor(&gm, &run);
    stop_kernel();
    HYPERVISOR_shutdown(SHUTDOWN_poweroff);
}

/* Nothing that waits may run in app_main itself: there is no thread yet. */
int app_main(start_info_t *si);
int app_main(start_info_t *si)
{
    (void)si;
    create_thread("monitor", monitor_thread, NULL);
    return 0;
}
