/* SPDX-License-Identifier: MIT */
/*
 * rodata: every page of .rodata up to ro_after_init equals the package's file.
 * The KASLR relocation is taken back on a copy, then the copy is digested.
 */
#include <tinyvmi/check.h>
#include <tinyvmi/digest.h>
#include <tinyvmi/record.h>

static struct tv_range range;

/* One page with what a relocation across its borders needs of its neighbours. */
static uint8_t page[TV_RELOC_BIAS + TV_PAGE_SIZE + 8];

static int attach(struct tv_kernel *k)
{
    const struct tv_digest_range *g = k->profile->rodata;

    return g ? tv_range_open(k, &range, g->va, (uint64_t)g->npages * TV_PAGE_SIZE) : 0;
}

static void detach(struct tv_kernel *k)
{
    if (k->profile->rodata)
        tv_range_close(k, &range);
}

static void add64(uint8_t *at, uint64_t addend)
{
    uint64_t v;

    memcpy(&v, at, sizeof(v));
    v += addend;
    memcpy(at, &v, sizeof(v));
}

static void add32(uint8_t *at, uint32_t addend)
{
    uint32_t v;

    memcpy(&v, at, sizeof(v));
    v += addend;
    memcpy(at, &v, sizeof(v));
}

/* Bring page `i` back to the bytes of the file. */
static void unrelocate(const struct tv_digest_range *g, uint32_t i, uint64_t delta)
{
    for (uint32_t r = g->reloc_index[i]; r < g->reloc_index[i + 1]; r++) {
        uint8_t *at = page + TV_RELOC_OFFSET(g->relocs[r]);

        switch (TV_RELOC_KIND(g->relocs[r])) {
        case TV_RELOC_64:
            add64(at, -delta);
            break;
        case TV_RELOC_32:
            add32(at, -(uint32_t)delta);
            break;
        case TV_RELOC_INV32:
            add32(at, (uint32_t)delta);
            break;
        }
    }
}

/* Has the kernel cut this string, at all of its commas and nowhere else? */
static bool is_cut(const struct tv_cut_string *cut)
{
    size_t n = strlen(cut->text);

    for (size_t j = 0; j < n; j++) {
        char c;

        if (!tv_range_read(&range, range.va + cut->offset + j, &c, 1) || c != (cut->text[j] == ',' ? 0 : cut->text[j]))
            return false;
    }
    return true;
}

/* Bring the commas of strings that are wholly cut back into page `i`. */
static void uncut(const struct tv_digest_range *g, uint32_t i)
{
    uint64_t start = (uint64_t)i * TV_PAGE_SIZE;

    for (uint32_t s = 0; s < g->cut_count; s++) {
        const struct tv_cut_string *cut = &g->cuts[s];
        size_t n = strlen(cut->text);

        if (cut->offset >= start + TV_PAGE_SIZE || cut->offset + n <= start || !is_cut(cut))
            continue;
        for (size_t j = 0; j < n; j++) {
            uint64_t at = cut->offset + j - start; /* wraps below the page, and is then too large */

            if (cut->text[j] == ',' && at < TV_PAGE_SIZE)
                page[TV_RELOC_BIAS + at] = ',';
        }
    }
}

/* Copy page `i`, and of its neighbours what relocations across the borders need. */
static bool copy_page(const struct tv_digest_range *g, uint32_t i)
{
    uint32_t first = g->reloc_index[i], end = g->reloc_index[i + 1];
    uint64_t va = range.va + (uint64_t)i * TV_PAGE_SIZE;
    bool from_before = first < end && TV_RELOC_OFFSET(g->relocs[first]) < TV_RELOC_BIAS;
    bool into_next = first < end && TV_RELOC_OFFSET(g->relocs[end - 1]) > TV_PAGE_SIZE;

    if (from_before && !tv_range_read(&range, va - TV_RELOC_BIAS, page, TV_RELOC_BIAS))
        return false;
    if (into_next && !tv_range_read(&range, va + TV_PAGE_SIZE, page + TV_RELOC_BIAS + TV_PAGE_SIZE, 8))
        return false;
    return tv_range_read(&range, va, page + TV_RELOC_BIAS, TV_PAGE_SIZE);
}

/* The digest has condemned page `i`: say which lines of it differ. */
static void locate(const struct tv_digest_range *g, uint32_t i, uint32_t size, const uint8_t digest[32],
                   struct tv_result *res)
{
    uint64_t offset = (uint64_t)i * TV_PAGE_SIZE;
    bool located = false;

    for (uint32_t line = 0; line * TV_LINE_SIZE < size; line++) {
        uint32_t at = line * TV_LINE_SIZE;
        uint32_t n = size - at < TV_LINE_SIZE ? size - at : TV_LINE_SIZE;
        uint8_t actual[TV_LINE_SIZE];

        if ((uint16_t)tv_crc32(0, page + TV_RELOC_BIAS + at, n) == g->lines[i][line])
            continue;
        located = true;
        if (tv_range_read(&range, range.va + offset + at, actual, n))
            tv_find(res, "bytes", g->symbol, offset + at, range.va + offset + at, NULL, 0, actual, n,
                    "a line of a page whose digest differs");
    }
    if (!located) /* made to look the same line by line: the digest still tells */
        tv_find(res, "page-digest", g->symbol, offset, range.va + offset, g->digests[i], 32, digest, 32, NULL);
}

static void run(struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_digest_range *g = k->profile->rodata;

    if (!g) {
        tv_settle(res, k->profile->rodata_reason);
        return;
    }
    tv_range_refresh(k, &range);
    for (uint32_t i = 0; i < g->npages; i++) {
        uint32_t size = i + 1 < g->npages ? TV_PAGE_SIZE : g->last_size;
        uint8_t digest[TV_DIGEST_SIZE];

        if (!copy_page(g, i)) {
            res->missing++;
            continue;
        }
        unrelocate(g, i, k->delta);
        uncut(g, i);
        tv_digest(page + TV_RELOC_BIAS, size, digest);
        res->units++;
        if (memcmp(digest, g->digests[i], sizeof(digest)) != 0)
            locate(g, i, size, digest, res);
    }
    tv_settle(res, "no page of .rodata could be read");
}

const struct tv_check tv_check_rodata = { "rodata", attach, run, detach };
