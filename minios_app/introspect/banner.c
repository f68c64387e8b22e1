/* SPDX-License-Identifier: MIT */
/* Which Linux is it, if it is none that we know?  For a person to read; nothing is decided by it. */
#include <tinyvmi/kernel.h>
#include <tinyvmi/platform.h>

#define ALIGNMENT 32 /* what compilers give to a character array of this size */

static const char opening[] = "Linux version ";

/* Copy the line at physical address `pa`; false if it is no banner of an unknown kernel. */
static bool take(struct tv_kernel *k, uint64_t pa)
{
    char *text = k->banner.text;
    bool numbered = false; /* "#1": one without is a weak copy that the final one replaces (init/version.c) */
    char end[2] = { 0 };
    uint32_t n = 0;

    while (n < TV_BANNER_MAX - 1 && guest_read_pa(k, pa + n, text + n, 1) && text[n] >= 0x20 &&
           text[n] <= 0x7e)
        n++;
    /* So the constant ends; a copy in the kernel's log does not. */
    if (!guest_read_pa(k, pa + n, end, sizeof(end)) || end[0] != '\n' || end[1] != '\0')
        n = 0;
    for (uint32_t i = sizeof(opening); i + 1 < n; i++)
        numbered = numbered || (text[i] == '#' && text[i + 1] >= '0' && text[i + 1] <= '9');
    for (uint32_t i = 0; i < tv_profile_count; i++) {
        size_t known = strlen(tv_profiles[i]->banner) - 1; /* its newline left out */

        if (memcmp(text, tv_profiles[i]->banner, n < known ? n : known) == 0)
            numbered = false; /* left behind by a kernel that we know, in its log too */
    }
    if (!numbered)
        n = 0;
    text[n] = '\0';
    return n != 0;
}

/* The offset of a banner's opening in the page, at or after `from`; TV_PAGE_SIZE if there is none. */
static uint32_t find_opening(const uint8_t *page, uint32_t from)
{
    while (from < TV_PAGE_SIZE &&
           (page[from] != 'L' || memcmp(page + from, opening, sizeof(opening) - 1) != 0))
        from += ALIGNMENT;
    return from;
}

bool tv_banner_search(struct tv_kernel *k)
{
    struct tv_banner *b = &k->banner;
    uint64_t start = tv_now_ns();
    int64_t frames = guest_mem_frames(k->gm);
    uint32_t at[TV_PT_SLOTS];

    if (b->text[0] || b->passed || frames < 0)
        return false;
    for (; b->next < (uint64_t)frames; b->next += TV_PT_SLOTS) {
        if (tv_now_ns() - start >= TV_SEARCH_NS)
            return false;
        for (uint32_t i = 0; i < TV_PT_SLOTS; i++)
            k->pt.gfn[i] = b->next + i;
        tv_view_map(k, &k->pt, 0, TV_PT_SLOTS);
        for (uint32_t i = 0; i < TV_PT_SLOTS; i++)
            at[i] = k->pt.err[i] ? TV_PAGE_SIZE : find_opening(k->pt.base + (size_t)i * TV_PAGE_SIZE, 0);
        tv_pt_cache_flush(k); /* the slots were used out of their order */
        for (uint32_t i = 0; i < TV_PT_SLOTS; i++)
            if (at[i] < TV_PAGE_SIZE && take(k, ((b->next + i) << TV_PAGE_SHIFT) + at[i])) {
                b->next += i + 1;
                return true;
            }
    }
    b->passed = true;
    return false;
}
