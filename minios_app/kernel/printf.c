/* SPDX-License-Identifier: MIT */
/* The snprintf family (C11 7.21.6.1, without floating point and %n). */
#include <mini-os/lib.h>

struct out {
    char *buf;
    size_t size, len; /* len counts what is wanted, beyond size too */
};

struct spec {
    bool left, zero, plus, space, alt;
    int width, precision; /* precision -1: none */
    int size;             /* bytes of an integer argument */
};

static void put(struct out *o, char c)
{
    if (o->len < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void pad(struct out *o, char c, int n)
{
    while (n-- > 0)
        put(o, c);
}

static void put_text(struct out *o, const struct spec *s, const char *text)
{
    size_t max = s->precision < 0 ? SIZE_MAX : (size_t)s->precision;
    int len;

    if (!text)
        text = "(null)";
    len = (int)strnlen(text, max);
    if (!s->left)
        pad(o, ' ', s->width - len);
    for (int i = 0; i < len; i++)
        put(o, text[i]);
    if (s->left)
        pad(o, ' ', s->width - len);
}

static void put_number(struct out *o, const struct spec *s, uint64_t value, unsigned int base, bool upper,
                       const char *prefix)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    int prefix_len = (int)strlen(prefix), n = 0, zeros;
    char reversed[24]; /* 64 bits in octal: 22 digits */

    for (uint64_t v = value; v; v /= base)
        reversed[n++] = digits[v % base];
    if (!n && s->precision != 0)
        reversed[n++] = '0';
    zeros = s->precision > n ? s->precision - n : 0;
    if (s->zero && !s->left && s->precision < 0 && s->width > n + prefix_len)
        zeros = s->width - n - prefix_len;
    if (!s->left)
        pad(o, ' ', s->width - n - prefix_len - zeros);
    while (*prefix)
        put(o, *prefix++);
    pad(o, '0', zeros);
    for (int i = n; i--;)
        put(o, reversed[i]);
    if (s->left)
        pad(o, ' ', s->width - n - prefix_len - zeros);
}

static const char *parse_flags(const char *f, struct spec *s)
{
    for (;; f++) {
        switch (*f) {
        case '-': s->left = true; break;
        case '0': s->zero = true; break;
        case '+': s->plus = true; break;
        case ' ': s->space = true; break;
        case '#': s->alt = true; break;
        default: return f;
        }
    }
}

static const char *parse_count(const char *f, int *count)
{
    *count = 0;
    for (; *f >= '0' && *f <= '9'; f++)
        if (*count < 1000000)
            *count = *count * 10 + (*f - '0');
    return f;
}

static const char *parse_length(const char *f, struct spec *s)
{
    s->size = sizeof(int);
    switch (*f) {
    case 'h':
        if (f[1] == 'h') {
            s->size = sizeof(char);
            return f + 2;
        }
        s->size = sizeof(short);
        return f + 1;
    case 'l': s->size = sizeof(long); return f[1] == 'l' ? f + 2 : f + 1;
    case 'z':
    case 't':
    case 'j': s->size = sizeof(long); return f + 1;
    }
    return f;
}

/* An integer argument as passed: int for anything narrower. */
static uint64_t integer_arg(va_list *args, int size, bool is_signed)
{
    if (size == sizeof(long))
        return va_arg(*args, unsigned long);
    if (is_signed) {
        int v = va_arg(*args, int);

        return size == sizeof(char)    ? (uint64_t)(signed char)v
               : size == sizeof(short) ? (uint64_t)(short)v
                                       : (uint64_t)v;
    } else {
        unsigned int v = va_arg(*args, unsigned int);

        return size == sizeof(char) ? (unsigned char)v : size == sizeof(short) ? (unsigned short)v : v;
    }
}

static void put_signed(struct out *o, const struct spec *s, int64_t value)
{
    const char *sign = value < 0 ? "-" : s->plus ? "+" : s->space ? " " : "";

    put_number(o, s, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, false, sign);
}

static void put_unsigned(struct out *o, const struct spec *s, char conversion, uint64_t value)
{
    switch (conversion) {
    case 'u': put_number(o, s, value, 10, false, ""); break;
    case 'o': put_number(o, s, value, 8, false, s->alt && value ? "0" : ""); break;
    default:
        put_number(o, s, value, 16, conversion == 'X',
                   s->alt && value ? (conversion == 'X' ? "0X" : "0x") : "");
    }
}

static void put_conversion(struct out *o, struct spec *s, char conversion, va_list *args)
{
    char one[2] = { 0, 0 };

    switch (conversion) {
    case 'd':
    case 'i': put_signed(o, s, (int64_t)integer_arg(args, s->size, true)); break;
    case 'u':
    case 'o':
    case 'x':
    case 'X': put_unsigned(o, s, conversion, integer_arg(args, s->size, false)); break;
    case 'p': put_number(o, s, (uintptr_t)va_arg(*args, void *), 16, false, "0x"); break;
    case 's': put_text(o, s, va_arg(*args, const char *)); break;
    case 'c':
        one[0] = (char)va_arg(*args, int);
        if (one[0])
            put_text(o, s, one);
        else
            put(o, 0);
        break;
    case '%': put(o, '%'); break;
    default: /* a mistake in the format: show it */ put(o, '%'); put(o, conversion);
    }
}

static void format(struct out *o, const char *f, va_list *args)
{
    while (*f) {
        struct spec s = { .precision = -1 };

        if (*f != '%') {
            put(o, *f++);
            continue;
        }
        f = parse_flags(f + 1, &s);
        if (*f == '*') {
            s.width = va_arg(*args, int);
            if (s.width < 0) {
                s.left = true;
                s.width = -s.width;
            }
            f++;
        } else {
            f = parse_count(f, &s.width);
        }
        if (*f == '.') {
            f++;
            if (*f == '*') {
                s.precision = va_arg(*args, int);
                f++;
            } else {
                f = parse_count(f, &s.precision);
            }
        }
        f = parse_length(f, &s);
        if (!*f)
            break;
        put_conversion(o, &s, *f++, args);
    }
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
    struct out o = { .buf = buf, .size = size ? size - 1 : 0 };
    va_list copy;

    va_copy(copy, args);
    format(&o, fmt, &copy);
    va_end(copy);
    if (size)
        buf[o.len < o.size ? o.len : o.size] = 0;
    return (int)o.len;
}

int vscnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
    size_t len = (size_t)vsnprintf(buf, size, fmt, args);

    return (int)(len < size ? len : size ? size - 1 : 0);
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(buf, size, fmt, args);
    va_end(args);
    return len;
}

int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;
    int len;

    va_start(args, fmt);
    len = vscnprintf(buf, size, fmt, args);
    va_end(args);
    return len;
}
