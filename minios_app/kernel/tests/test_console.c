/* SPDX-License-Identifier: MIT */
/* The console ring against a daemon played by this domain. */
#include <mini-os/mm.h>
#include <mini-os/sched.h>
#include <xen/io/console.h>

#include "../internal.h"
#include "smoke.h"

#define LINES 200

static struct xencons_interface *ring;
static evtchn_port_t near, far;
static char got[16384], expected[16384];
static size_t got_len;
static volatile bool stop;
static bool boot_part_ok;

static void drain(unsigned int max)
{
    while (max-- && ring->out_cons != ring->out_prod && got_len < sizeof(got)) {
        got[got_len++] = ring->out[MASK_XENCONS_IDX(ring->out_cons, ring->out)];
        ring->out_cons++;
    }
}

/* A daemon in a hurry, for writers that cannot wait: empties the ring from the event handler. */
static void drain_event(evtchn_port_t port, struct pt_regs *regs, void *data)
{
    (void)port, (void)regs;
    if (*(bool *)data) {
        drain(sizeof(ring->out));
        notify_remote_via_evtchn(far);
    }
}

static bool drain_at_once;

static bool open_ring(void)
{
    if (!ring) {
        ring = (struct xencons_interface *)alloc_page();
        if (!ring || !loopback(&near, &far, drain_event, &drain_at_once))
            return false;
    }
    memset(ring, 0, PAGE_SIZE);
    ring->out_prod = ring->out_cons = 0xfffffff0u; /* the indices wrap on the way */
    got_len = 0;
    console_attach(ring, near);
    return true;
}

static size_t write_lines(bool only_expect)
{
    size_t len = 0;

    for (int i = 0; i < LINES; i++) {
        len += (size_t)scnprintf(expected + len, sizeof(expected) - len, "line %d of a long story%.*s\r\n", i,
                                 i % 30, "..............................");
        if (!only_expect)
            printk("line %d of a long story%.*s\n", i, i % 30, "..............................");
    }
    return len;
}

static bool all_came(size_t len)
{
    return got_len == len && !memcmp(got, expected, len);
}

/* In app_main: printk has no thread to put to sleep, and still may lose nothing. */
void console_boot_part(void)
{
    size_t len;

    drain_at_once = true;
    if (!open_ring())
        return;
    len = write_lines(false);
    drain(sizeof(ring->out));
    init_console();
    boot_part_ok = all_came(len);
    unbind_evtchn(near);
}

static void before_threads(void)
{
    CHECK(boot_part_ok);
}

static void slow_daemon(void *unused)
{
    (void)unused;
    while (!stop) {
        msleep(1);
        drain(700);
        notify_remote_via_evtchn(far);
    }
    stop = false;
}

static bool reopen(void)
{
    unbind_evtchn(far);
    free_page(ring);
    ring = NULL;
    drain_at_once = false;
    return open_ring();
}

static void back_pressure(void)
{
    size_t len;

    CHECK(reopen());
    CHECK(create_thread("daemon", slow_daemon, NULL));
    len = write_lines(false);
    for (int i = 0; i < 1000 && got_len < len; i++)
        msleep(1);
    init_console();
    stop = true;
    while (stop)
        msleep(1);
    CHECK(len > 2 * sizeof(ring->out) && all_came(len));
}

#define LINE 80

static void write_line(char letter)
{
    char line[LINE];

    memset(line, letter, sizeof(line));
    line[LINE - 1] = '\n';
    console_write(line, sizeof(line));
}

static volatile bool written;

static void other_writer(void *unused)
{
    (void)unused;
    write_line('x');
    written = true;
}

static void late_notice(void *unused)
{
    (void)unused;
    msleep(5);
    notify_remote_via_evtchn(far);
}

/* A line that waits in its middle; then there is room again, which another thread sees first. */
static void lines_stay_whole(void)
{
    CHECK(reopen());
    written = false;
    ring->out_prod += sizeof(ring->out) - 10;
    CHECK(create_thread("x", other_writer, NULL));
    schedule();
    CHECK(!written);
    drain(sizeof(ring->out));
    CHECK(got_len == sizeof(ring->out));
    CHECK(create_thread("late", late_notice, NULL));
    write_line('y');
    drain(sizeof(ring->out));
    init_console();
    CHECK(written && got_len == sizeof(ring->out) - 10 + 2 * (LINE + 1));
    for (int i = 0; i < 2 * (LINE + 1); i++) {
        int at = i % (LINE + 1);
        char letter = i < LINE + 1 ? 'x' : 'y';

        CHECK(got[sizeof(ring->out) - 10 + (unsigned int)i] == (at == LINE       ? '\n'
                                                                : at == LINE - 1 ? '\r'
                                                                                 : letter));
    }
}

static void partial_send(void)
{
    int sent;

    CHECK(reopen());
    memset(expected, 'z', sizeof(expected));
    sent = xencons_ring_send(NULL, expected, 5000);
    CHECK(sent == sizeof(ring->out) && xencons_ring_send(NULL, expected, 10) == 0);
    drain(100);
    CHECK(xencons_ring_send(NULL, expected, 500) == 100);
    init_console();
    drain(sizeof(ring->out));
    CHECK(got_len == sizeof(ring->out) + 100 && !memcmp(got, expected, got_len));
}

/* A daemon that writes nonsense into the indices: no harm beyond its own console. */
static void hostile_indices(void)
{
    CHECK(reopen());
    ring->out_cons = ring->out_prod + 12345;
    CHECK(xencons_ring_send(NULL, "abc", 3) == 0);
    ring->out_cons = ring->out_prod;
    CHECK(xencons_ring_send(NULL, "abc", 3) == 3);
    init_console();
}

SMOKE_TESTS(console) = {
    { "console: nothing is lost before there are threads", before_threads },
    { "console: a slow reader loses nothing", back_pressure },
    { "console: lines of two threads stay whole", lines_stay_whole },
    { "console: xencons_ring_send sends what fits", partial_send },
    { "console: impossible ring indices", hostile_indices },
    SMOKE_END,
};
