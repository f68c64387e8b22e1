/* SPDX-License-Identifier: MIT */
/*
 * Monitors that go wrong, to test what listens to them: one image, and the
 * command line (xl's `extra`) says which fault it has.  The first two have none.
 */
#include <mini-os/lib.h>
#include <mini-os/sched.h>
#include <mini-os/xenbus.h>
#include <mini-os/xmalloc.h>

static unsigned int seq;
static char nonce[33];

static uint32_t crc32(const char *s, size_t n)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)s[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* A whole record, its CRC changed by `damage`; printk ends the line. */
static void record(const char *json, uint32_t damage)
{
    static char text[1024];
    int n = snprintf(text, sizeof(text), "%u %s", seq, json);

    printk("TVMI1 %u %08x %s\n", seq, crc32(text, (size_t)n) ^ damage, json);
    seq++;
}

static void hello(const char *run)
{
    static char json[512];
    char path[] = "data/tinyvmi/target", *target = NULL, *err = xenbus_read(XBT_NIL, path, &target);

    if (err)
        BUG();
    snprintf(json, sizeof(json),
             "{\"type\":\"hello\",\"abi\":2,\"image\":\"0123456789abcdef\",\"nonce\":\"%s\",\"target\":%s,"
             "\"base\":\"test\",\"base_rev\":\"\",\"digest\":\"none\",\"profiles\":[],\"period_ms\":1000}",
             run, target);
    free(target);
    record(json, 0);
}

static void scan(int number, const char *verdict, int findings)
{
    static char json[256];

    snprintf(json, sizeof(json),
             "{\"type\":\"check\",\"scan\":%d,\"check\":\"identity\",\"verdict\":\"%s\",\"items\":1,"
             "\"findings\":%d,"
             "\"duration_us\":10}",
             number, verdict, findings);
    record(json, 0);
    snprintf(json, sizeof(json), "{\"type\":\"heartbeat\",\"scan\":%d,\"verdict\":\"%s\",\"uptime_ms\":10}",
             number + 1, verdict);
    record(json, 0);
}

static void bye(const char *verdict, const char *reason)
{
    static char json[256];

    snprintf(json, sizeof(json), "{\"type\":\"bye\",\"scan\":1,\"verdict\":\"%s\",\"reason\":\"%s\"}",
             verdict, reason);
    record(json, 0);
}

static void good(void)
{
    hello(nonce);
    scan(0, "intact", 0);
    bye("intact", "scans-done");
}

static void tampered(void)
{
    hello(nonce);
    scan(0, "tampered", 1);
    bye("tampered", "scans-done");
}

static void unverifiable(void)
{
    hello(nonce);
    scan(0, "unverifiable", 0);
    bye("unverifiable", "scans-done");
}

static void no_privilege(void)
{
    hello(nonce);
    record("{\"type\":\"error\",\"where\":\"target\",\"what\":\"no privilege\"}", 0);
    bye("error", "no-privilege");
}

static void checks_nothing(void)
{
    hello(nonce);
    bye("intact", "scans-done");
}

static void silent(void)
{
    for (;;)
        msleep(1000);
}

static void hang(void)
{
    hello(nonce);
    scan(0, "intact", 0);
    for (;;)
        barrier();
}

static void panic(void)
{
    static volatile unsigned long nowhere = 8;

    hello(nonce);
    scan(0, "intact", 0);
    *(volatile int *)nowhere = 1;
}

static void leaves(void)
{
    hello(nonce);
    scan(0, "intact", 0);
}

static void half_record(void)
{
    hello(nonce);
    scan(0, "intact", 0);
    printk("TVMI1 3 0123");
}

static void bad_crc(void)
{
    hello(nonce);
    record("{\"type\":\"heartbeat\",\"scan\":0,\"verdict\":\"intact\",\"uptime_ms\":10}", 1);
    silent();
}

static void gap(void)
{
    hello(nonce);
    seq++;
    scan(0, "intact", 0);
    silent();
}

static void foreign(void)
{
    hello("00000000deadbeef");
    scan(0, "intact", 0);
    bye("intact", "scans-done");
}

static void flood(void)
{
    hello(nonce);
    for (;;) {
        printk("still here\n");
        msleep(100);
    }
}

static void garbage(void)
{
    hello(nonce);
    printk("\033[2J\033]0;owned\007 \x9b"
           "31m TVMI1 not a record\n");
    for (int i = 0; i < 4096; i++) /* 64 KiB without a line end */
        console_write("0123456789abcdef", 16);
    printk("\n");
    scan(0, "intact", 0);
    bye("intact", "scans-done");
}

static const struct {
    const char *name;
    void (*run)(void);
} modes[] = {
    { "good", good },
    { "tampered", tampered },
    { "unverifiable", unverifiable },
    { "no-privilege", no_privilege },
    { "checks-nothing", checks_nothing },
    { "silent", silent },
    { "hang", hang },
    { "panic", panic },
    { "leaves", leaves },
    { "half-record", half_record },
    { "bad-crc", bad_crc },
    { "gap", gap },
    { "foreign", foreign },
    { "flood", flood },
    { "garbage", garbage },
};

static void misbehave(void *unused)
{
    char path[] = "data/tinyvmi/run", *run = NULL, *err = xenbus_read(XBT_NIL, path, &run);

    (void)unused;
    if (err)
        BUG();
    strncpy(nonce, run, sizeof(nonce) - 1);
    free(run);
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
        if (!strcmp(cmdline, modes[i].name))
            modes[i].run();
    stop_kernel();
    HYPERVISOR_shutdown(SHUTDOWN_poweroff);
}

int app_main(start_info_t *si);
int app_main(start_info_t *si)
{
    (void)si;
    create_thread("misbehave", misbehave, NULL);
    return 0;
}
