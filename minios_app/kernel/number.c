/* SPDX-License-Identifier: MIT */
#include <mini-os/lib.h>

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    return 99;
}

static const char *skip_space(const char *s)
{
    while (*s == ' ' || (*s >= '\t' && *s <= '\r'))
        s++;
    return s;
}

/* The digits at `s`; sets *end only behind at least one digit. */
static unsigned long magnitude(const char *s, const char **end, int base, bool *overflow)
{
    unsigned long value = 0;

    *overflow = false;
    if ((base == 0 || base == 16) && s[0] == '0' && (s[1] | 0x20) == 'x' && digit_of(s[2]) < 16) {
        s += 2;
        base = 16;
    } else if (base == 0) {
        base = *s == '0' ? 8 : 10;
    }
    for (; digit_of(*s) < base; s++) {
        if (__builtin_mul_overflow(value, (unsigned long)base, &value) ||
            __builtin_add_overflow(value, (unsigned long)digit_of(*s), &value))
            *overflow = true;
        *end = s + 1;
    }
    return *overflow ? ~0UL : value;
}

static unsigned long parse(const char *s, char **end, int base, bool *negative, bool *overflow)
{
    const char *stop = s;
    unsigned long value;

    s = skip_space(s);
    *negative = *s == '-';
    if (*s == '-' || *s == '+')
        s++;
    value = magnitude(s, &stop, base, overflow);
    if (end)
        *end = (char *)stop;
    return value;
}

unsigned long strtoul(const char *s, char **end, int base)
{
    bool negative, overflow;
    unsigned long value = parse(s, end, base, &negative, &overflow);

    return negative && !overflow ? -value : value;
}

long strtol(const char *s, char **end, int base)
{
    bool negative, overflow;
    unsigned long value = parse(s, end, base, &negative, &overflow);
    unsigned long limit = (unsigned long)__LONG_MAX__ + negative;

    if (value > limit)
        value = limit;
    return negative ? (long)-value : (long)value;
}
