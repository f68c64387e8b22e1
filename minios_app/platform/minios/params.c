/* SPDX-License-Identifier: MIT */
#include <mini-os/os.h>
#include <mini-os/hypervisor.h>
#include <mini-os/lib.h>
#include <mini-os/sched.h>
#include <mini-os/xenbus.h>
#include <mini-os/xmalloc.h>

#include <tinyvmi/config.h>

#include "params.h"

#define DIRECTORY "data/tinyvmi/" /* relative to the domain's own /local/domain/ID */
#define POLL_MS   50

static char nonce[33];

/* The node's value in a static buffer, or NULL if it is not there. */
static const char *read_node(const char *name)
{
    static char value[64];
    char path[64];
    char *text = NULL, *err;

    (void)snprintf(path, sizeof(path), DIRECTORY "%s", name);
    err = xenbus_read(XBT_NIL, path, &text);
    if (err) {
        free(err);
        return NULL;
    }
    (void)snprintf(value, sizeof(value), "%s", text);
    free(text);
    return value;
}

/* Decimal `text` within [min, max]; anything else gives `fallback`. */
static uint32_t number(const char *text, uint32_t min, uint32_t max, uint32_t fallback)
{
    uint64_t v = 0;

    if (!text || !*text)
        return fallback;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || v > UINT32_MAX)
            return fallback;
        v = v * 10 + (uint64_t)(*text - '0');
    }
    return v < min || v > max ? fallback : (uint32_t)v;
}

uint32_t params_number(const char *name, uint32_t min, uint32_t max, uint32_t fallback)
{
    return number(read_node(name), min, max, fallback);
}

/* What follows `target=` on the domain's command line (xl: extra="target=7"), or NULL. */
static const char *target_on_command_line(void)
{
    static const char key[] = "target=";
    const char *line = (const char *)start_info.cmd_line;

    return memcmp(line, key, sizeof(key) - 1) == 0 ? line + sizeof(key) - 1 : NULL;
}

void params_wait(struct tv_run *run)
{
    const char *text;

    while (!(text = read_node("target")) && !(text = target_on_command_line()))
        msleep(POLL_MS);
    run->target = number(text, 1, 0x7fef, 0);
    text = read_node("run");
    (void)snprintf(nonce, sizeof(nonce), "%s", text ? text : "");
    run->nonce = nonce;
    run->period_ms = params_number("period-ms", 10, 86400000, tv_config.period_ms);
    run->jitter_pct = params_number("jitter-pct", 0, 90, tv_config.jitter_pct);
    run->heartbeat_ms = params_number("heartbeat-ms", 100, 3600000, tv_config.heartbeat_ms);
    run->scans = params_number("scans", 0, UINT32_MAX, 0);
    run->costs = params_number("costs", 0, 1, 0) == 1;
}
