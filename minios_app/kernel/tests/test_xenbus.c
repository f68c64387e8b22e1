/* SPDX-License-Identifier: MIT */
/* The xenstore client against a server that this domain plays. */
#include <mini-os/sched.h>
#include <mini-os/wait.h>
#include <mini-os/xenbus.h>
#include <mini-os/xmalloc.h>

#include "fake_store.h"
#include "smoke.h"

static char big[XENSTORE_PAYLOAD_MAX + 1];

/* True if `error` is that text; frees it. */
static bool is_error(char *error, const char *text)
{
    bool same = error && !strcmp(error, text);

    free(error);
    return same;
}

static void without_server(void)
{
    char *value = big;

    CHECK(is_error(xenbus_read(XBT_NIL, "domid", &value), "ENODEV") && !value);
    CHECK(xenbus_get_self_id() == DOMID_INVALID);
}

static void read_and_write(void)
{
    char *value;

    CHECK(fake_store_start());
    CHECK(xenbus_get_self_id() == 7 && xenbus_read_integer("domid") == 7 && xenbus_read_integer("no") == -1);
    CHECK(!xenbus_write(XBT_NIL, "data/x", "hello"));
    CHECK(!xenbus_read(XBT_NIL, "data/x", &value) && !strcmp(value, "hello"));
    free(value);
    CHECK(xenbus_read_integer("data/x") == -1);
    CHECK(!xenbus_printf(XBT_NIL, "data", "x", "%d-%s", 5, "z"));
    CHECK(!xenbus_read(XBT_NIL, "data/x", &value) && !strcmp(value, "5-z"));
    free(value);
    CHECK(is_error(xenbus_read(XBT_NIL, "missing", &value), "ENOENT") && !value);
    CHECK(is_error(xenbus_rm(XBT_NIL, "data/x"), "ENOSYS"));
}

/* Four times the ring, so that both ways stop and go on. */
static void large_values(void)
{
    size_t most = XENSTORE_PAYLOAD_MAX - strlen("data/x") - 1;
    char *value;

    for (size_t i = 0; i < sizeof(big) - 1; i++)
        big[i] = (char)('a' + i % 23);
    CHECK(is_error(xenbus_write(XBT_NIL, "data/x", big), "E2BIG"));
    big[most] = 0;
    CHECK(!xenbus_write(XBT_NIL, "data/x", big));
    CHECK(!xenbus_read(XBT_NIL, "data/x", &value) && !strcmp(value, big));
    free(value);
    CHECK(!xenbus_write(XBT_NIL, "data/x", ""));
    CHECK(!xenbus_read(XBT_NIL, "data/x", &value) && !*value);
    free(value);
}

static void directories(void)
{
    char **names;

    CHECK(!xenbus_ls(XBT_NIL, "data", &names));
    CHECK(!strcmp(names[0], "a") && !strcmp(names[1], "bb") && !strcmp(names[2], "ccc") && !names[3]);
    for (int i = 0; i < 3; i++)
        free(names[i]);
    free(names);
    CHECK(!xenbus_ls(XBT_NIL, "empty", &names) && !names[0]);
    free(names);
}

static void transactions(void)
{
    xenbus_transaction_t xbt;
    int retry;

    CHECK(!xenbus_transaction_start(&xbt) && xbt == 42);
    CHECK(!xenbus_transaction_end(xbt, 0, &retry) && retry == 1);
    CHECK(!xenbus_transaction_end(xbt, 0, &retry) && retry == 0);
    CHECK(!xenbus_transaction_end(xbt, 1, &retry) && retry == 0);
    CHECK(is_error(xenbus_transaction_end(43, 0, &retry), "ENOENT") && !retry);
}

static void watches(void)
{
    struct xsd_sockmsg event = { .type = XS_WATCH_EVENT, .len = 8 };
    xenbus_event_queue queue = NULL, other = NULL;
    char **got;

    CHECK(!xenbus_watch_path_token(XBT_NIL, "data", "tok", &queue));
    CHECK(!xenbus_watch_path_token(XBT_NIL, "elsewhere", "tok2", &other));
    got = xenbus_wait_for_watch_return(&queue);
    CHECK(got && !strcmp(got[0], "data") && !strcmp(got[1], "tok") && !queue);
    free(got);
    xenbus_wait_for_watch(&other);
    CHECK(!other);
    /* Three times the same and one other: two are queued. */
    for (int i = 0; i < 3; i++)
        fake_store_send(&event, "one\0tok", 8);
    fake_store_send(&event, "two\0tok", 8);
    msleep(5);
    got = xenbus_wait_for_watch_return(&queue);
    CHECK(!strcmp(got[0], "one") && queue);
    free(got);
    got = xenbus_wait_for_watch_return(&queue);
    CHECK(!strcmp(got[0], "two") && !queue && !other);
    free(got);
    /* An unknown token and a body without a token change nothing. */
    fake_store_send(&event, "one\0nix", 8);
    fake_store_send(&event, "onlypath", 8);
    CHECK(!xenbus_unwatch_path_token(XBT_NIL, "data", "tok"));
    fake_store_send(&event, "one\0tok", 8);
    CHECK(xenbus_read_integer("domid") == 7 && !queue);
}

static volatile int finished;

static void reader(void *result)
{
    xenbus_read(XBT_NIL, "any", result);
    finished++;
}

static void replies_out_of_order(void)
{
    char *first = NULL, *second = NULL;

    fake_store_swap = true;
    CHECK(create_thread("first", reader, &first) && create_thread("second", reader, &second));
    for (int i = 0; finished < 2 && i < 1000; i++)
        msleep(1);
    CHECK(finished == 2 && !strcmp(first, "earlier") && !strcmp(second, "later"));
    free(first);
    free(second);
}

static void victim(void *unused)
{
    xenbus_event_queue queue = NULL;

    (void)unused;
    if (!xenbus_wait_for_watch_return(&queue))
        finished = 10;
}

/* The last test: the connection does not come back. */
static void hostile_length(void)
{
    struct xsd_sockmsg msg = { .type = XS_READ, .req_id = 3, .len = 0x7fffffff };
    char *value;

    CHECK(create_thread("victim", victim, NULL));
    schedule();
    fake_store_send(&msg, "", 0);
    for (int i = 0; finished != 10 && i < 1000; i++)
        msleep(1);
    CHECK(finished == 10);
    CHECK(is_error(xenbus_read(XBT_NIL, "domid", &value), "EIO"));
    CHECK(xenbus_read_integer("domid") == -1);
}

SMOKE_TESTS(xenbus) = {
    { "xenbus: without xenstore", without_server },
    { "xenbus: read, write, error texts", read_and_write },
    { "xenbus: values larger than the ring", large_values },
    { "xenbus: ls", directories },
    { "xenbus: transactions", transactions },
    { "xenbus: watches", watches },
    { "xenbus: replies out of order", replies_out_of_order },
    { "xenbus: an impossible length ends the connection, not the domain", hostile_length },
    SMOKE_END,
};
