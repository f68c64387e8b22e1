/* SPDX-License-Identifier: MIT */
#include <tinyvmi/finding.h>

const char *tv_verdict_name(enum tv_verdict v)
{
    switch (v) {
    case TV_INTACT: return "intact";
    case TV_UNVERIFIABLE: return "unverifiable";
    case TV_TAMPERED: return "tampered";
    case TV_ERROR: break;
    }
    return "error";
}

static uint32_t copy_bytes(uint8_t *dst, const void *src, size_t n)
{
    if (n > TV_FINDING_BYTES)
        n = TV_FINDING_BYTES;
    if (n)
        memcpy(dst, src, n);
    return (uint32_t)n;
}

static void copy_text(char *dst, const char *src, size_t size)
{
    size_t n = 0;

    for (; src && src[n] && n < size - 1; n++)
        dst[n] = src[n];
    dst[n] = 0;
}

static void describe(struct tv_finding *f, const struct tv_finding_args *args)
{
    f->kind = args->kind;
    f->offset = args->offset;
    f->address = args->address;
    f->target = args->target;
    f->expected_size = copy_bytes(f->expected, args->expected, args->expected_size);
    f->actual_size = copy_bytes(f->actual, args->actual, args->actual_size);
    copy_text(f->symbol, args->symbol, sizeof(f->symbol));
    copy_text(f->note, args->note, sizeof(f->note));
    copy_text(f->owner, args->owner, sizeof(f->owner));
}

void tv_report_finding(struct tv_result *res, const struct tv_finding_args *args)
{
    if (!res)
        return;
    if (res->findings < TV_FINDINGS_MAX)
        describe(&res->finding[res->findings], args);
    res->findings++;
    /* A place that no kernel patches is never on its way to being right. */
    res->lasting += !tv_finding_kinds[args->kind].transient;
}

void tv_report_notice(struct tv_result *res, const struct tv_finding_args *args)
{
    if (!res)
        return;
    if (res->notices < TV_FINDINGS_MAX)
        describe(&res->notice[res->notices], args);
    res->notices++;
}

void tv_result_finalize(struct tv_result *res, const char *none)
{
    if (res->findings) {
        res->verdict = TV_TAMPERED;
    } else if (res->missing) {
        res->verdict = TV_UNVERIFIABLE;
        res->reason = "a page is not present in the target's memory";
    } else if (res->items == 0) {
        res->verdict = TV_UNVERIFIABLE;
        res->reason = none;
    } else {
        res->verdict = TV_INTACT;
    }
}

void tv_label_add(struct tv_label *l, const char *text)
{
    while (*text && l->length < sizeof(l->text) - 1)
        l->text[l->length++] = *text++;
    l->text[l->length] = 0;
}

void tv_label_add_number(struct tv_label *l, uint32_t v)
{
    char digits[11];
    size_t at = sizeof(digits) - 1;

    digits[at] = 0;
    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    tv_label_add(l, digits + at);
}
