/* SPDX-License-Identifier: MIT */
/* The requests of the xenstore protocol (Xen docs/misc/xenstore.txt), one function each. */
#include <mini-os/lib.h>
#include <mini-os/xmalloc.h>

#include "xenbus_ring.h"

/* A string as the protocol has it: with or without its NUL. */
#define WITH_NUL(s)    { (s), strlen(s) + 1 }
#define WITHOUT_NUL(s) { (s), strlen(s) }

/* A request whose reply says no more than that it was done. */
static char *command(enum xsd_sockmsg_type type, xenbus_transaction_t xbt, const struct write_req *parts,
                     int n)
{
    char *reply, *error;
    size_t len;

    error = xenbus_request(type, xbt, parts, n, &reply, &len);
    if (!error)
        free(reply);
    return error;
}

char *xenbus_read(xenbus_transaction_t xbt, const char *path, char **value)
{
    struct write_req parts[] = { WITH_NUL(path) };
    size_t len;

    *value = NULL;
    return xenbus_request(XS_READ, xbt, parts, 1, value, &len);
}

char *xenbus_write(xenbus_transaction_t xbt, const char *path, const char *value)
{
    struct write_req parts[] = { WITH_NUL(path), WITHOUT_NUL(value) };

    return command(XS_WRITE, xbt, parts, 2);
}

char *xenbus_rm(xenbus_transaction_t xbt, const char *path)
{
    struct write_req parts[] = { WITH_NUL(path) };

    return command(XS_RM, xbt, parts, 1);
}

/* The NUL-separated names in `reply` as an array of copies; NULL without memory. */
static char **split_names(const char *reply, size_t len)
{
    size_t count = 0, n = 0;
    char **names;

    for (size_t i = 0; i < len; i++)
        count += !reply[i];
    count += len && reply[len - 1]; /* the last name lacks its NUL; the body has one behind it */
    names = xmalloc_array(char *, count + 1);
    if (!names)
        return NULL;
    for (size_t at = 0; n < count; at += strlen(reply + at) + 1) {
        names[n] = strdup(reply + at);
        if (!names[n]) {
            while (n--)
                free(names[n]);
            free(names);
            return NULL;
        }
        n++;
    }
    names[n] = NULL;
    return names;
}

char *xenbus_ls(xenbus_transaction_t xbt, const char *prefix, char ***contents)
{
    struct write_req parts[] = { WITH_NUL(prefix) };
    char *reply, *error;
    size_t len;

    *contents = NULL;
    error = xenbus_request(XS_DIRECTORY, xbt, parts, 1, &reply, &len);
    if (error)
        return error;
    *contents = split_names(reply, len);
    free(reply);
    return *contents ? NULL : xenbus_error("ENOMEM");
}

char *xenbus_printf(xenbus_transaction_t xbt, const char *node, const char *path, const char *fmt, ...)
{
    char full[XENSTORE_ABS_PATH_MAX / 4], value[512];
    va_list args;
    int path_len, value_len;

    path_len = snprintf(full, sizeof(full), "%s/%s", node, path);
    va_start(args, fmt);
    value_len = vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    if (path_len >= (int)sizeof(full) || value_len >= (int)sizeof(value))
        return xenbus_error("E2BIG");
    return xenbus_write(xbt, full, value);
}

char *xenbus_transaction_start(xenbus_transaction_t *xbt)
{
    struct write_req parts[] = { WITH_NUL("") };
    char *reply, *error, *end;
    size_t len;

    *xbt = XBT_NIL;
    error = xenbus_request(XS_TRANSACTION_START, XBT_NIL, parts, 1, &reply, &len);
    if (error)
        return error;
    *xbt = strtoul(reply, &end, 10);
    if (end == reply || *xbt == XBT_NIL || *xbt > UINT32_MAX) {
        *xbt = XBT_NIL;
        error = xenbus_error("EIO");
    }
    free(reply);
    return error;
}

char *xenbus_transaction_end(xenbus_transaction_t xbt, int abort, int *retry)
{
    struct write_req parts[] = { WITH_NUL(abort ? "F" : "T") };
    char *error = command(XS_TRANSACTION_END, xbt, parts, 1);

    *retry = 0;
    if (error && !strcmp(error, "EAGAIN")) {
        *retry = 1;
        free(error);
        return NULL;
    }
    return error;
}

int xenbus_read_integer(const char *path)
{
    char *value, *end, *error = xenbus_read(XBT_NIL, path, &value);
    long number = -1;

    if (error) {
        free(error);
        return -1;
    }
    number = strtol(value, &end, 10);
    if (end == value || *end || number < INT32_MIN || number > INT32_MAX)
        number = -1;
    free(value);
    return (int)number;
}

domid_t xenbus_get_self_id(void)
{
    int id = xenbus_read_integer("domid");

    return id < 0 || id >= (int)DOMID_FIRST_RESERVED ? DOMID_INVALID : (domid_t)id;
}
