/* SPDX-License-Identifier: MIT */
/* The tests that run inside a domain of their own; results go to the console as flat TAP. */
#ifndef SMOKE_H
#define SMOKE_H

#include <mini-os/events.h>
#include <mini-os/lib.h>
#include <mini-os/types.h>

struct smoke_test {
    const char *name;
    void (*run)(void);
};

/* A module's tests, closed by an entry without a name. */
#define SMOKE_TESTS(module) const struct smoke_test module##_tests[]
#define SMOKE_END           { NULL, NULL }

void smoke_fail(const char *file, int line, const char *what);

/* End this test as failed if `cond` does not hold. */
#define CHECK(cond)                                \
    do {                                           \
        if (!(cond)) {                             \
            smoke_fail(__FILE__, __LINE__, #cond); \
            return;                                \
        }                                          \
    } while (0)

/* catch.c: run fn(arg); true if it trapped, which then ended it. */
struct caught {
    unsigned long vector, error, cr2, rip;
};
bool catch_trap(void (*fn)(void *), void *arg, struct caught *caught);

/* A pair of event channel ports within this domain; `near` has no handler yet and is masked. */
bool loopback(evtchn_port_t *near, evtchn_port_t *far, evtchn_handler_t far_handler, void *far_data);

/* crash_modes.c: crash in the way that `mode` names; returns if it names none. */
void crash_on_purpose(const char *mode);

/* Without threads, on the boot stack: results for a test that reports later. */
void console_boot_part(void);

#endif
