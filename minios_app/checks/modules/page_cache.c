/* SPDX-License-Identifier: MIT */
/*
 * modules: copies of the pages of loaded modules that were right (kept.h).  A
 * page that has not changed is not digested again; its places are judged in
 * each scan.  What a digest was made with, besides the page, is remembered
 * with the copies: where the module and all that it refers to lie.
 */
#include <tinyvmi/config.h>
#include <tinyvmi/platform.h>

#include "internal.h"

void tv_module_forget(struct tv_module_kept *kept)
{
    tv_kept_close(&kept->pages[TV_MODULE_TEXT]);
    tv_kept_close(&kept->pages[TV_MODULE_RODATA]);
    if (kept->where)
        tv_free(kept->where);
    *kept = (struct tv_module_kept){ 0 };
}

/* Make room for module `m`; without enough memory nothing is kept of it. */
static void open_kept(struct tv_module_kept *kept, const struct tv_module *m)
{
    kept->where = tv_alloc((m->region_count + TV_MODULE_AREAS) * sizeof(*kept->where));
    if (!kept->where || tv_kept_open(&kept->pages[TV_MODULE_TEXT], m->text.npages) ||
        tv_kept_open(&kept->pages[TV_MODULE_RODATA], m->rodata.npages)) {
        tv_module_forget(kept);
        if (tv_config.keep_bytes)
            tv_kept_lack(m->text.npages + m->rodata.npages);
    }
}

struct tv_kept *tv_module_kept(struct tv_modules_state *s, uint32_t i, uint32_t area)
{
    struct tv_kept *pages = &s->copies[i].pages[area];

    return pages->flags && tv_kept_ready(pages) ? pages : NULL;
}

void tv_module_remember(struct tv_modules_state *s, uint32_t i)
{
    const struct tv_module *m = &s->m->list[i];
    struct tv_module_kept *kept = &s->copies[i];
    bool moved = false;

    if (!kept->where)
        open_kept(kept, m);
    if (!kept->where)
        return;
    for (uint32_t n = 0, count = TV_MODULE_AREAS + m->region_count; n < count; n++) {
        uint64_t at = n < TV_MODULE_AREAS ? s->seen[i].base[n] : s->regions[n - TV_MODULE_AREAS].va;

        moved = moved || kept->where[n] != at;
        kept->where[n] = at;
    }
    if (moved) {
        tv_kept_doubt(&kept->pages[TV_MODULE_TEXT]);
        tv_kept_doubt(&kept->pages[TV_MODULE_RODATA]);
    }
}
