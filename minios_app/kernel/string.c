/* SPDX-License-Identifier: MIT */
#include <mini-os/lib.h>
#include <mini-os/xmalloc.h>

/*
 * The processor's own string instructions: short code, and fast for what is
 * copied here.  Words first: not all processors, and no emulator, move bytes
 * as fast as words.
 */
void *memcpy(void *dst, const void *src, size_t n)
{
    size_t words = n / 8, remainder = n % 8;
    void *d = dst;

    __asm__ __volatile__("rep movsq" : "+D"(d), "+S"(src), "+c"(words) : : "memory");
    __asm__ __volatile__("rep movsb" : "+D"(d), "+S"(src), "+c"(remainder) : : "memory");
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    const char *s = src;
    char *d = dst;

    if (d <= s || d >= s + n)
        return memcpy(dst, src, n);
    while (n--)
        d[n] = s[n];
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    uint64_t filler = (uint8_t)c * UINT64_C(0x0101010101010101);
    size_t words = n / 8, remainder = n % 8;
    void *d = dst;

    __asm__ __volatile__("rep stosq" : "+D"(d), "+c"(words) : "a"(filler) : "memory");
    __asm__ __volatile__("rep stosb" : "+D"(d), "+c"(remainder) : "a"(filler) : "memory");
    return dst;
}

/* Whole words first: long comparisons of equal memory are what a monitor does all day. */
int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    uint64_t vx, vy;

    for (; n >= 8; x += 8, y += 8, n -= 8) {
        __builtin_memcpy(&vx, x, 8);
        __builtin_memcpy(&vy, y, 8);
        if (vx != vy)
            break;
    }
    for (; n; x++, y++, n--)
        if (*x != *y)
            return *x - *y;
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    const unsigned char *p = s;

    for (; n--; p++)
        if (*p == (unsigned char)c)
            return (void *)p;
    return NULL;
}

size_t strlen(const char *s)
{
    const char *p = s;

    while (*p)
        p++;
    return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; a++, b++, n--)
        if (*a != *b || !*a)
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

char *strcpy(char *dst, const char *src)
{
    memcpy(dst, src, strlen(src) + 1);
    return dst;
}

char *strncpy(char *dst, const char *src, size_t n)
{
    size_t len = strnlen(src, n);

    memcpy(dst, src, len);
    memset(dst + len, 0, n - len);
    return dst;
}

char *strcat(char *dst, const char *src)
{
    strcpy(dst + strlen(dst), src);
    return dst;
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)s;
        if (!*s)
            return NULL;
    }
}

char *strrchr(const char *s, int c)
{
    const char *found = NULL;

    for (;; s++) {
        if (*s == (char)c)
            found = s;
        if (!*s)
            return (char *)found;
    }
}

char *strstr(const char *s, const char *what)
{
    size_t len = strlen(what);

    for (;; s++) {
        if (!strncmp(s, what, len))
            return (char *)s;
        if (!*s)
            return NULL;
    }
}

char *strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = malloc(size);

    return copy ? memcpy(copy, s, size) : NULL;
}
