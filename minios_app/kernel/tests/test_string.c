/* SPDX-License-Identifier: MIT */
#include <mini-os/xmalloc.h>

#include "smoke.h"

static void copies(void)
{
    char buf[32] = "0123456789abcdef";

    memmove(buf + 4, buf, 10);
    CHECK(!memcmp(buf, "01230123456789ef", 17));
    memmove(buf, buf + 4, 10);
    CHECK(!memcmp(buf,
                  "0123456789"
                  "6789ef",
                  17));
    memset(buf + 2, 'x', 3);
    CHECK(!memcmp(buf, "01xxx5", 6));
    CHECK(memcpy(buf, "AB", 2) == buf && buf[1] == 'B' && buf[2] == 'x');
}

/* Every length around the eight bytes that are moved at a time, at every alignment: those, and none beside. */
static void words(void)
{
    unsigned char from[40], to[40];

    for (size_t i = 0; i < sizeof(from); i++)
        from[i] = (unsigned char)(i + 1);
    for (size_t at = 0; at < 8; at++) {
        for (size_t n = 0; n < 26; n++) {
            bool copied = true, filled = true;

            memset(to, 0xee, sizeof(to));
            CHECK(memcpy(to + at, from + 3, n) == to + at);
            for (size_t i = 0; i < sizeof(to); i++)
                copied &= to[i] == (i >= at && i < at + n ? from[3 + i - at] : 0xee);
            CHECK(memset(to + at, 0x1a7, n) == to + at); /* as a byte: a7 */
            for (size_t i = 0; i < sizeof(to); i++)
                filled &= to[i] == (i >= at && i < at + n ? 0xa7 : 0xee);
            CHECK(copied && filled);
        }
    }
}

/* Every length and every place of the difference around the eight bytes that memcmp takes at a time. */
static void comparisons(void)
{
    unsigned char a[40], b[40];

    for (size_t n = 0; n < sizeof(a); n++) {
        memset(a, 7, sizeof(a));
        memset(b, 7, sizeof(b));
        if (n < sizeof(a) - 1)
            b[n] = 9; /* right behind */
        CHECK(memcmp(a, b, n) == 0);
        for (size_t at = 0; at < n; at++) {
            a[at] = 0xff;
            CHECK(memcmp(a, b, n) > 0 && memcmp(b, a, n) < 0);
            a[at] = 7;
        }
    }
    CHECK(strcmp("a", "b") < 0 && strcmp("b", "a") > 0 && strcmp("", "") == 0 && strcmp("\xff", "a") > 0);
    CHECK(strncmp("abc", "abd", 2) == 0 && strncmp("abc", "abd", 3) < 0 && strncmp("a", "a\0b", 5) == 0);
}

static void searches(void)
{
    const char *s = "find the word";

    CHECK(strlen(s) == 13 && strnlen(s, 4) == 4 && strnlen(s, 99) == 13);
    CHECK(strchr(s, 'd') == s + 3 && strrchr(s, 'd') == s + 12 && !strchr(s, 'z') && strchr(s, 0) == s + 13);
    CHECK(strstr(s, "the") == s + 5 && !strstr(s, "words") && strstr(s, "") == s);
    CHECK(memchr(s, 'w', 13) == s + 9 && !memchr(s, 'w', 9));
}

static void builders(void)
{
    char buf[8] = "zzzzzzz", *copy;

    strncpy(buf, "ab", 4);
    CHECK(!memcmp(buf, "ab\0\0zzz", 8));
    strncpy(buf, "abcdef", 3);
    CHECK(!memcmp(buf, "abc\0zzz", 8));
    strcat(strcpy(buf, "xy"), "z");
    CHECK(!strcmp(buf, "xyz"));
    copy = strdup(buf);
    CHECK(copy && copy != buf && !strcmp(copy, "xyz"));
    free(copy);
}

static void numbers(void)
{
    char *end;

    CHECK(strtoul("1234x", &end, 10) == 1234 && *end == 'x');
    CHECK(strtoul("0x1fG", &end, 0) == 0x1f && *end == 'G');
    CHECK(strtoul("0xg", &end, 16) == 0 && *end == 'x');
    CHECK(strtoul("017", NULL, 0) == 15 && strtoul("z", NULL, 36) == 35);
    CHECK(strtoul("", &end, 10) == 0 && !*end && strtoul("q", &end, 10) == 0 && *end == 'q');
    CHECK(strtoul("18446744073709551615", NULL, 10) == ~0UL &&
          strtoul("18446744073709551616", NULL, 10) == ~0UL);
    CHECK(strtol(" -42", NULL, 10) == -42 && strtol("+7", NULL, 10) == 7);
    CHECK(strtol("9223372036854775808", NULL, 10) == __LONG_MAX__);
    CHECK(strtol("-99999999999999999999", NULL, 10) == -__LONG_MAX__ - 1);
}

SMOKE_TESTS(string) = {
    { "string: memcpy, memmove, memset", copies },
    { "string: memcpy and memset of words and the rest", words },
    { "string: memcmp, strcmp, strncmp", comparisons },
    { "string: strlen, strchr, strstr, memchr", searches },
    { "string: strncpy, strcat, strdup", builders },
    { "string: strtoul, strtol", numbers },
    SMOKE_END,
};
