/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_LIB_H
#define MINIOS_LIB_H

#include <mini-os/console.h>
#include <mini-os/kernel.h>
#include <mini-os/os.h>
#include <mini-os/types.h>
#include <stdarg.h>

void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);

size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strcpy(char *dst, const char *src);
char *strncpy(char *dst, const char *src, size_t n);
char *strcat(char *dst, const char *src);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *what);
char *strdup(const char *s); /* free() it; NULL without memory */

/* Bases 2..36, or 0 for the 0x and 0 prefixes; saturating; `end` may be NULL. */
unsigned long strtoul(const char *s, char **end, int base);
long strtol(const char *s, char **end, int base);

/*
 * Conversions: d i u x X o p s c %, flags - 0 + space #, width, precision,
 * * and the lengths hh h l ll z t j.  No floating point.  The snprintf family
 * gives the length that was wanted, the scnprintf family the length written.
 */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list args) __attribute__((format(printf, 3, 0)));
int snprintf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int vscnprintf(char *buf, size_t size, const char *fmt, va_list args) __attribute__((format(printf, 3, 0)));
int scnprintf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))

#define BUILD_BUG_ON(cond) _Static_assert(!(cond), "!(" #cond ")")

#define ASSERT(x)                                                               \
    do {                                                                        \
        if (unlikely(!(x))) {                                                   \
            printk("ASSERTION FAILED: %s at %s:%d.\n", #x, __FILE__, __LINE__); \
            BUG();                                                              \
        }                                                                       \
    } while (0)

#define BUG_ON(x) ASSERT(!(x))

#endif
