/* SPDX-License-Identifier: MIT */
/* The xenstore client in a domU, against the real xenstored: below this domain's own data/. */
#include <mini-os/sched.h>
#include <mini-os/xenbus.h>
#include <mini-os/xmalloc.h>

#include "smoke.h"

#define DIR "data/smoke"

static bool reads_as(xenbus_transaction_t xbt, const char *path, const char *expected)
{
    char *value, *error = xenbus_read(xbt, path, &value);
    bool same = !error && !strcmp(value, expected);

    if (!same)
        printk("# %s is '%s' (%s), expected '%s'\n", path, value ? value : "", error ? error : "no error",
               expected);
    free(error);
    free(value);
    return same;
}

static bool is_error(char *error, const char *text)
{
    bool same = error && !strcmp(error, text);

    if (!same)
        printk("# error '%s', expected '%s'\n", error ? error : "none", text);
    free(error);
    return same;
}

static void identity(void)
{
    char path[40];

    CHECK(xenbus_get_self_id() > 0 && xenbus_get_self_id() != DOMID_INVALID);
    snprintf(path, sizeof(path), "/local/domain/%u/domid", xenbus_get_self_id());
    CHECK(xenbus_read_integer(path) == xenbus_get_self_id());
}

static void values(void)
{
    char *big, *value;

    CHECK(!xenbus_write(XBT_NIL, DIR "/a", "one") && reads_as(XBT_NIL, DIR "/a", "one"));
    CHECK(!xenbus_printf(XBT_NIL, DIR, "b", "%u", 12345u) && xenbus_read_integer(DIR "/b") == 12345);
    CHECK(!xenbus_write(XBT_NIL, DIR "/a", "") && reads_as(XBT_NIL, DIR "/a", ""));
    /* Larger than the ring, smaller than a node's quota. */
    big = malloc(1501);
    CHECK(big);
    memset(big, 'v', 1500);
    big[1500] = 0;
    CHECK(!xenbus_write(XBT_NIL, DIR "/big", big) && reads_as(XBT_NIL, DIR "/big", big));
    free(big);
    CHECK(is_error(xenbus_read(XBT_NIL, DIR "/none", &value), "ENOENT") && !value);
    CHECK(is_error(xenbus_write(XBT_NIL, "/tool/smoke", "x"), "EACCES"));
}

static void listing(void)
{
    char **names;
    unsigned int seen = 0;

    CHECK(!xenbus_ls(XBT_NIL, DIR, &names));
    for (char **n = names; *n; n++) {
        seen += !strcmp(*n, "a") + 10U * !strcmp(*n, "b") + 100U * !strcmp(*n, "big");
        free(*n);
    }
    free(names);
    CHECK(seen == 111);
    CHECK(!xenbus_rm(XBT_NIL, DIR "/big"));
    CHECK(is_error(xenbus_ls(XBT_NIL, DIR "/big", &names), "ENOENT") && !names);
}

static void transactions(void)
{
    xenbus_transaction_t xbt;
    int retry;

    CHECK(!xenbus_transaction_start(&xbt));
    CHECK(!xenbus_write(xbt, DIR "/a", "inside") && reads_as(xbt, DIR "/a", "inside"));
    CHECK(reads_as(XBT_NIL, DIR "/a", ""));
    CHECK(!xenbus_transaction_end(xbt, 1, &retry) && !retry && reads_as(XBT_NIL, DIR "/a", ""));

    CHECK(!xenbus_transaction_start(&xbt));
    CHECK(!xenbus_write(xbt, DIR "/a", "kept"));
    CHECK(!xenbus_transaction_end(xbt, 0, &retry) && !retry && reads_as(XBT_NIL, DIR "/a", "kept"));

    /* Somebody else writes what the transaction has read. */
    CHECK(!xenbus_transaction_start(&xbt));
    CHECK(reads_as(xbt, DIR "/a", "kept") && !xenbus_write(XBT_NIL, DIR "/a", "other"));
    CHECK(!xenbus_write(xbt, DIR "/a", "lost"));
    CHECK(!xenbus_transaction_end(xbt, 0, &retry) && retry && reads_as(XBT_NIL, DIR "/a", "other"));
}

static void late_writer(void *unused)
{
    (void)unused;
    msleep(20);
    free(xenbus_write(XBT_NIL, DIR "/watched", "go"));
}

static void watches(void)
{
    xenbus_event_queue queue = NULL;
    char **event;

    CHECK(!xenbus_write(XBT_NIL, DIR "/watched", "wait"));
    CHECK(!xenbus_watch_path_token(XBT_NIL, DIR "/watched", "tok", &queue));
    event = xenbus_wait_for_watch_return(&queue); /* the one that comes at once */
    CHECK(event && !strcmp(event[0], DIR "/watched") && !strcmp(event[1], "tok"));
    free(event);
    CHECK(create_thread("late", late_writer, NULL));
    CHECK(!xenbus_wait_for_value(DIR "/watched", "go", &queue));
    CHECK(!xenbus_unwatch_path_token(XBT_NIL, DIR "/watched", "tok"));
    CHECK(is_error(xenbus_unwatch_path_token(XBT_NIL, DIR "/watched", "tok"), "ENOENT"));
}

static volatile int finished;

static void hammer(void *name)
{
    char path[40], text[20];
    bool ok = true;

    snprintf(path, sizeof(path), DIR "/%s", (const char *)name);
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "%s%d", (const char *)name, i);
        free(xenbus_write(XBT_NIL, path, text));
        ok = ok && reads_as(XBT_NIL, path, text);
    }
    finished += ok;
}

static void threads(void)
{
    CHECK(create_thread("p", hammer, "p") && create_thread("q", hammer, "q") &&
          create_thread("r", hammer, "r"));
    for (int i = 0; finished < 3 && i < 5000; i++)
        msleep(1);
    CHECK(finished == 3);
    CHECK(!xenbus_rm(XBT_NIL, DIR));
}

SMOKE_TESTS(store) = {
    { "xenstored: who we are", identity },
    { "xenstored: values", values },
    { "xenstored: ls and rm", listing },
    { "xenstored: transactions", transactions },
    { "xenstored: watches", watches },
    { "xenstored: three threads at once", threads },
    SMOKE_END,
};
