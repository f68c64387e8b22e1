/* SPDX-License-Identifier: MIT */
#include <tinyvmi/check.h>

const char *tv_verdict_name(enum tv_verdict v)
{
    switch (v) {
    case TV_INTACT:
        return "intact";
    case TV_UNVERIFIABLE:
        return "unverifiable";
    case TV_TAMPERED:
        return "tampered";
    case TV_ERROR:
        break;
    }
    return "error";
}

static uint32_t keep(uint8_t *dst, const void *src, size_t n)
{
    if (n > TV_FINDING_BYTES)
        n = TV_FINDING_BYTES;
    if (n)
        memcpy(dst, src, n);
    return (uint32_t)n;
}

static struct tv_finding *tell(struct tv_finding *f, const char *kind, const char *symbol, uint64_t offset,
                               uint64_t address, const void *expected, size_t expected_size, const void *actual,
                               size_t actual_size, const char *note)
{
    memset(f, 0, sizeof(*f));
    f->kind = kind;
    f->symbol = symbol;
    f->offset = offset;
    f->address = address;
    f->note = note;
    f->expected_size = keep(f->expected, expected, expected_size);
    f->actual_size = keep(f->actual, actual, actual_size);
    return f;
}

struct tv_finding *tv_find(struct tv_result *res, const char *kind, const char *symbol, uint64_t offset,
                           uint64_t address, const void *expected, size_t expected_size, const void *actual,
                           size_t actual_size, const char *note)
{
    return tv_tell(res, false, kind, symbol, offset, address, expected, expected_size, actual, actual_size, note);
}

/* Do findings of this kind come and go while the kernel patches itself?  What stands elsewhere is never on its way. */
static bool passes(const char *kind)
{
    static const char *const kinds[] = { "jump-label", "static-call",       "static-call-trampoline", "ftrace",
                                         "kprobe",     "ftrace-trampoline", "kprobe-slot" };

    for (uint32_t i = 0; i < TV_ARRAY_SIZE(kinds); i++)
        if (strlen(kind) == strlen(kinds[i]) && memcmp(kind, kinds[i], strlen(kind)) == 0)
            return true;
    return false;
}

struct tv_finding *tv_tell(struct tv_result *res, bool allowed, const char *kind, const char *symbol,
                           uint64_t offset, uint64_t address, const void *expected, size_t expected_size,
                           const void *actual, size_t actual_size, const char *note)
{
    uint32_t number = allowed ? res->notices++ : res->findings++;

    res->lasting += !allowed && !passes(kind);
    if (number >= TV_FINDINGS_MAX)
        return NULL;
    return tell(allowed ? &res->notice[number] : &res->finding[number], kind, symbol, offset, address, expected,
                expected_size, actual, actual_size, note);
}

void tv_attribute(struct tv_finding *f, uint64_t target, const char *owner)
{
    if (!f)
        return;
    f->target = target;
    for (uint32_t i = 0; owner && owner[i] && i < TV_OWNER_MAX - 1; i++)
        f->owner[i] = owner[i];
}

void tv_settle(struct tv_result *res, const char *none)
{
    if (res->findings) {
        res->verdict = TV_TAMPERED;
    } else if (res->missing) {
        res->verdict = TV_UNVERIFIABLE;
        res->reason = "a page is not present in the target's memory";
    } else if (res->units == 0) {
        res->verdict = TV_UNVERIFIABLE;
        res->reason = none;
    } else {
        res->verdict = TV_INTACT;
    }
}
