/* SPDX-License-Identifier: MIT */
/*
 * malloc and friends.  Small blocks share a page with a header and a bitmap;
 * large ones get pages of their own behind a header.  Nothing of the heap's
 * own lies inside or between blocks, and each free() is checked.
 */
#include <mini-os/lib.h>
#include <mini-os/list.h>
#include <mini-os/mm.h>
#include <mini-os/xmalloc.h>

#define SLAB_MAGIC  0x51ab51abu
#define LARGE_MAGIC 0x1a39e1a3u
#define HEADER_SIZE 64
#define MAP_WORDS   4 /* (PAGE_SIZE - HEADER_SIZE) / 16 blocks at most */

struct block_page {
    uint32_t magic;
    uint16_t block_size, used;
    union {
        struct {
            struct list_head list; /* slabs of one size with room */
            uint64_t map[MAP_WORDS];
        };
        struct {
            size_t size, offset, pages; /* large: what was asked for, where it starts, what it takes */
        };
    };
};

static const uint16_t class_size[] = { 16, 32, 64, 128, 256, 576, 1008, 2016 };
#define CLASSES ARRAY_SIZE(class_size)

static struct list_head partial[CLASSES];

static unsigned int class_of(size_t size)
{
    unsigned int c = 0;

    while (c < CLASSES && class_size[c] < size)
        c++;
    return c;
}

static unsigned int blocks_of(const struct block_page *page)
{
    return (PAGE_SIZE - HEADER_SIZE) / page->block_size;
}

static struct block_page *slab_new(unsigned int c)
{
    struct block_page *page = (struct block_page *)alloc_page();

    BUILD_BUG_ON(sizeof(*page) > HEADER_SIZE);
    if (!page)
        return NULL;
    memset(page, 0, HEADER_SIZE);
    page->magic = SLAB_MAGIC;
    page->block_size = class_size[c];
    list_add_before(&page->list, &partial[c]);
    return page;
}

static void *slab_alloc(unsigned int c)
{
    struct block_page *page;
    unsigned int i;

    if (!partial[c].next)
        list_init(&partial[c]);
    if (list_empty(&partial[c]))
        page = slab_new(c);
    else
        page = list_entry(partial[c].next, struct block_page, list);
    if (!page)
        return NULL;
    for (i = 0; page->map[i / 64] & (1ULL << (i % 64)); i++)
        ;
    page->map[i / 64] |= 1ULL << (i % 64);
    if (++page->used == blocks_of(page))
        list_del(&page->list);
    return (char *)page + HEADER_SIZE + i * page->block_size;
}

static void slab_free(struct block_page *page, const char *p)
{
    size_t offset = (size_t)(p - (char *)page) - HEADER_SIZE;
    unsigned int i = (unsigned int)(offset / page->block_size);
    uint64_t bit = 1ULL << (i % 64);

    ASSERT(offset % page->block_size == 0 && i < blocks_of(page));
    ASSERT(page->map[i / 64] & bit); /* else freed twice */
    page->map[i / 64] &= ~bit;
    if (page->used-- == blocks_of(page))
        list_add_before(&page->list, &partial[class_of(page->block_size)]);
    if (!page->used) {
        list_del(&page->list);
        page->magic = 0;
        free_page(page);
    }
}

static void *large_alloc(size_t size, size_t align)
{
    size_t offset = align > HEADER_SIZE ? align : HEADER_SIZE;
    struct block_page *page;
    size_t pages;

    if (size > SIZE_MAX / 2)
        return NULL;
    pages = PFN_UP(size + offset);
    page = (struct block_page *)alloc_page_range(pages);
    if (!page)
        return NULL;
    page->magic = LARGE_MAGIC;
    page->size = size;
    page->offset = offset;
    page->pages = pages;
    return (char *)page + offset;
}

/* A block never starts its page, so the page before its first byte has the header. */
static struct block_page *page_of(const void *p)
{
    return (struct block_page *)(((unsigned long)p - 1) & PAGE_MASK);
}

void *_xmalloc(size_t size, size_t align)
{
    unsigned int c;

    ASSERT(align && align <= PAGE_SIZE && !(align & (align - 1)));
    c = class_of(size);
    /* Blocks of 16, 32 and 64 bytes are aligned to their size, larger ones to 16. */
    if (c < CLASSES && (align <= 16 || (class_size[c] <= 64 && align <= class_size[c])))
        return slab_alloc(c);
    return large_alloc(size, align);
}

void xfree(const void *p)
{
    struct block_page *page = page_of(p);

    if (!p)
        return;
    if (page->magic == SLAB_MAGIC) {
        slab_free(page, p);
        return;
    }
    ASSERT(page->magic == LARGE_MAGIC && (const char *)p == (char *)page + page->offset);
    page->magic = 0;
    free_page_range((unsigned long)page, page->pages);
}

void *malloc(size_t size)
{
    return _xmalloc(size, DEFAULT_ALIGN);
}

void free(void *p)
{
    xfree(p);
}

void *calloc(size_t n, size_t size)
{
    size_t bytes;
    void *p = __builtin_mul_overflow(n, size, &bytes) ? NULL : malloc(bytes);

    return p ? memset(p, 0, bytes) : NULL;
}

static size_t room_of(const void *p)
{
    const struct block_page *page = page_of(p);

    if (page->magic == SLAB_MAGIC)
        return page->block_size;
    ASSERT(page->magic == LARGE_MAGIC);
    return page->pages * PAGE_SIZE - page->offset;
}

void *realloc(void *p, size_t size)
{
    size_t room;
    void *q;

    if (!p)
        return malloc(size);
    room = room_of(p);
    if (size <= room && size >= room / 2)
        return p;
    q = malloc(size);
    if (!q)
        return size <= room ? p : NULL;
    memcpy(q, p, size < room ? size : room);
    free(p);
    return q;
}
