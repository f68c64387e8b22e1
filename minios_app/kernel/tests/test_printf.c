/* SPDX-License-Identifier: MIT */
#include "smoke.h"

static char buf[128];

#define GIVES(expected, ...)                                                 \
    do {                                                                     \
        int len_ = snprintf(buf, sizeof(buf), __VA_ARGS__);                  \
        if (strcmp(buf, expected) || len_ != (int)strlen(expected)) {        \
            printk("# got '%s' (%d), expected '%s'\n", buf, len_, expected); \
            CHECK(!"the formatted text");                                    \
        }                                                                    \
    } while (0)

static void integers(void)
{
    GIVES("0 -1 2147483647 -2147483648", "%d %i %d %d", 0, -1, 2147483647, -2147483647 - 1);
    GIVES("18446744073709551615 ffffffffffffffff", "%lu %llx", ~0UL, ~0ULL);
    GIVES("-9223372036854775808", "%ld", -__LONG_MAX__ - 1);
    GIVES("DEADBEEF 777 4294967295", "%X %o %u", 0xdeadbeefu, 0777u, ~0u);
    GIVES("255 -1 65535 -1", "%hhu %hhd %hu %hd", (unsigned char)255, (signed char)-1, (unsigned short)65535,
          (short)-1);
    GIVES("7 8 9", "%zu %td %jd", (size_t)7, (ptrdiff_t)8, (intmax_t)9);
}

static void flags(void)
{
    GIVES("[   42][42   ][00042][+42][ 42]", "[%5d][%-5d][%05d][%+d][% d]", 42, 42, 42, 42, 42);
    GIVES("[  -42][-0042]", "[%5d][%05d]", -42, -42);
    GIVES("0x2a 0X2A 0 052", "%#x %#X %#x %#o", 42u, 42u, 0u, 42u);
    GIVES("0x0000002a [    0x2a]", "%#010x [%#8x]", 42u, 42u);
    GIVES("[00042][  042][]", "[%.5d][%5.3d][%.0d]", 42, 42, 0);
    GIVES("[    7][7    ]", "[%*d][%*d]", 5, 7, -5, 7);
}

static void text(void)
{
    GIVES("[abc][  abc][abc  ][ab]", "[%s][%5s][%-5s][%.2s]", "abc", "abc", "abc", "abc");
    GIVES("x% 0x1000", "%c%% %p", 'x', (void *)0x1000);
    GIVES("[  x][ab]", "[%3c][%.*s]", 'x', 2, "abcdef");
    {
        char *volatile none = NULL;

        GIVES("(null)", "%s", none);
    }
}

static void bounds(void)
{
    memset(buf, '#', sizeof(buf));
    CHECK(snprintf(buf, 4, "abcdef") == 6 && !strcmp(buf, "abc") && buf[4] == '#');
    CHECK(scnprintf(buf, 4, "abcdef") == 3 && !strcmp(buf, "abc"));
    CHECK(scnprintf(buf, 9, "%s", "xy") == 2);
    CHECK(snprintf(NULL, 0, "%d", 12345) == 5 && scnprintf(buf, 0, "zz") == 0 && buf[0] == 'x');
    CHECK(snprintf(buf, 1, "q") == 1 && !buf[0]);
}

SMOKE_TESTS(printf) = {
    { "printf: integers of all sizes", integers },
    { "printf: flags, width, precision", flags },
    { "printf: text and pointers", text },
    { "printf: bounds", bounds },
    SMOKE_END,
};
