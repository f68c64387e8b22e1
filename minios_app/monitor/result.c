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

void tv_find(struct tv_result *res, const char *kind, const char *symbol, uint64_t offset, uint64_t address,
             const void *expected, size_t expected_size, const void *actual, size_t actual_size,
             const char *note)
{
    struct tv_finding *f;

    if (res->findings++ >= TV_FINDINGS_MAX)
        return;
    f = &res->finding[res->findings - 1];
    f->kind = kind;
    f->symbol = symbol;
    f->offset = offset;
    f->address = address;
    f->note = note;
    f->expected_size = keep(f->expected, expected, expected_size);
    f->actual_size = keep(f->actual, actual, actual_size);
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
