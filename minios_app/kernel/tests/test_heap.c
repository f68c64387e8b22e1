/* SPDX-License-Identifier: MIT */
#include <mini-os/mm.h>
#include <mini-os/xmalloc.h>

#include "smoke.h"

#define SLOTS 64

static uint32_t state = 1;

static uint32_t next_random(void)
{
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static bool filled_with(const unsigned char *p, size_t n, unsigned char value)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != value)
            return false;
    return true;
}

/* Blocks of mixed sizes come and go; each keeps its own contents, and in the end every page is back. */
static void churn(void)
{
    unsigned long before = nr_free_pages;
    unsigned char *p[SLOTS] = { NULL };
    size_t size[SLOTS];

    for (int round = 0; round < 4000; round++) {
        unsigned int i = next_random() % SLOTS;

        if (p[i]) {
            CHECK(filled_with(p[i], size[i], (unsigned char)i));
            free(p[i]);
            p[i] = NULL;
        } else {
            size[i] = next_random() % (round % 10 ? 700 : 20000);
            p[i] = malloc(size[i]);
            CHECK(p[i]);
            memset(p[i], (int)i, size[i]);
        }
    }
    for (unsigned int i = 0; i < SLOTS; i++) {
        if (p[i])
            CHECK(filled_with(p[i], size[i], (unsigned char)i));
        free(p[i]);
    }
    CHECK(nr_free_pages == before);
}

static void alignment(void)
{
    for (size_t align = 1; align <= PAGE_SIZE; align *= 2) {
        for (size_t size = 1; size < 6000; size = size * 3 + 1) {
            char *p = _xmalloc(size, align);

            CHECK(p && !((unsigned long)p & (align - 1)));
            memset(p, 1, size);
            xfree(p);
        }
    }
    for (size_t size = 0; size < 5000; size += 129) {
        char *p = malloc(size);

        CHECK(p && !((unsigned long)p & 15));
        free(p);
    }
}

static void growing(void)
{
    unsigned char *p = realloc(NULL, 10);

    CHECK(p);
    memset(p, 0x5a, 10);
    for (size_t size = 20; size < 100000; size *= 3) {
        p = realloc(p, size);
        CHECK(p && filled_with(p, 10, 0x5a));
        memset(p, 0x5a, size);
    }
    p = realloc(p, 30);
    CHECK(p && filled_with(p, 30, 0x5a));
    free(p);
    free(NULL);
}

static void limits(void)
{
    unsigned long before = nr_free_pages;
    char *p;

    CHECK(!malloc(SIZE_MAX) && !malloc(SIZE_MAX / 2) && !malloc(nr_free_pages * PAGE_SIZE));
    CHECK(!calloc(SIZE_MAX / 2, 3) && !xmalloc_array(long, SIZE_MAX / 4));
    p = malloc(nr_free_pages / 2 * PAGE_SIZE);
    CHECK(p);
    free(p);
    p = malloc(50);
    CHECK(p);
    memset(p, 0xff, 50);
    free(p);
    p = calloc(5, 10);
    CHECK(p && filled_with((unsigned char *)p, 50, 0));
    free(p);
    CHECK(nr_free_pages == before);
}

SMOKE_TESTS(heap) = {
    { "heap: blocks keep their contents, pages come back", churn },
    { "heap: alignment", alignment },
    { "heap: realloc", growing },
    { "heap: no memory is NULL, calloc clears", limits },
    SMOKE_END,
};
