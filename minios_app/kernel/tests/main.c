/* SPDX-License-Identifier: MIT */
/*
 * The test image.  Its command line says what to do:
 *   (nothing)       all tests that need no other domain; as a domU all but those of the xenstore client
 *   smoke=xenbus    a domU's tests against the real xenstored, below data/
 *   smoke=MODE      crash on purpose (crash_modes.c)
 */
#include <mini-os/hypervisor.h>
#include <mini-os/sched.h>

#include "../internal.h"
#include "smoke.h"

extern const struct smoke_test string_tests[], printf_tests[], pages_tests[], heap_tests[], map_tests[],
    events_tests[], time_tests[], sched_tests[], console_tests[], protect_tests[], vector_tests[],
    xenbus_tests[], store_tests[];

/* The fake xenstored can only stand in where the real one has not been met. */
static const struct smoke_test *all[] = {
    string_tests, printf_tests,  pages_tests,   heap_tests,   map_tests,    events_tests, time_tests,
    sched_tests,  console_tests, protect_tests, vector_tests, xenbus_tests, NULL,
};
static const struct smoke_test *const with_xenstored[] = { store_tests, NULL };

static struct {
    const char *file, *what;
    int line;
} failure;

/* Told later: a test of the console may have the console. */
void smoke_fail(const char *file, int line, const char *what)
{
    failure.file = file;
    failure.line = line;
    failure.what = what;
}

/* True if the test passed. */
static bool run(const struct smoke_test *t)
{
    failure.file = NULL;
    t->run();
    if (!failure.file)
        return true;
    init_console();
    printk("# %s:%d: %s\n", failure.file, failure.line, failure.what);
    return false;
}

bool loopback(evtchn_port_t *near, evtchn_port_t *far, evtchn_handler_t far_handler, void *far_data)
{
    if (evtchn_alloc_unbound(DOMID_SELF, NULL, NULL, near)) /* the code under test binds its own handler */
        return false;
    if (evtchn_bind_interdomain(DOMID_SELF, *near, far_handler, far_data, far))
        return false;
    clear_evtchn(*far); /* Xen lets a new binding begin with an event */
    unmask_evtchn(*far);
    return true;
}

static unsigned int count(const struct smoke_test *const *modules)
{
    unsigned int n = 0;

    for (; *modules; modules++)
        for (const struct smoke_test *t = *modules; t->name; t++)
            n++;
    return n;
}

static void run_all(void *arg)
{
    const struct smoke_test *const *modules = arg;
    unsigned int n = 0, failures = 0;

    printk("TAP version 13\n1..%u\n", count(modules));
    for (; *modules; modules++) {
        for (const struct smoke_test *t = *modules; t->name; t++) {
            bool passed = run(t);

            failures += !passed;
            printk("%s %u - %s\n", passed ? "ok" : "not ok", ++n, t->name);
        }
    }
    printk("# %u tests, %u failed\n", n, failures);
    stop_kernel();
    /* As dom0, poweroff would only halt the machine. */
    HYPERVISOR_shutdown(start_info.flags & SIF_INITDOMAIN ? SHUTDOWN_reboot : SHUTDOWN_poweroff);
}

int app_main(start_info_t *si)
{
    const char *mode = strstr(cmdline, "smoke=");

    if (!(si->flags & SIF_INITDOMAIN))
        all[ARRAY_SIZE(all) - 2] = NULL;
    mode = mode ? mode + strlen("smoke=") : "";
    if (!*mode)
        console_boot_part();
    if (!*mode)
        create_thread("tests", run_all, (void *)all);
    else if (!strcmp(mode, "xenbus"))
        create_thread("tests", run_all, (void *)with_xenstored);
    else
        crash_on_purpose(mode);
    return 0;
}
