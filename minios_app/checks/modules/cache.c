/* SPDX-License-Identifier: MIT */
/*
 * modules: copies of the pages of loaded modules that were verified
 * (lib/page_cache.h).  A page that has not changed is not digested again; its
 * patch sites are checked in each scan.  What a digest was made with, besides
 * the page, is remembered with the copies: where the module and all that it
 * refers to lie.
 */
#include <tinyvmi/config.h>
#include <tinyvmi/platform.h>

#include "internal.h"

void tv_module_cache_deinit(struct tv_module_cache *cache, struct tv_kernel *k)
{
    tv_page_cache_deinit(&cache->pages[TV_MODULE_TEXT], k->page_cache);
    tv_page_cache_deinit(&cache->pages[TV_MODULE_RODATA], k->page_cache);
    if (cache->where)
        tv_free(cache->where);
    *cache = (struct tv_module_cache){ 0 };
}

/* Make room for module `m`; without enough memory nothing is cached of it. */
static void init(struct tv_module_cache *cache, struct tv_kernel *k, const struct tv_module *m)
{
    cache->where = tv_alloc((m->region_count + TV_MODULE_AREAS) * sizeof(*cache->where));
    if (!cache->where || tv_page_cache_init(&cache->pages[TV_MODULE_TEXT], m->text.npages) ||
        tv_page_cache_init(&cache->pages[TV_MODULE_RODATA], m->rodata.npages)) {
        tv_module_cache_deinit(cache, k);
        if (tv_config.keep_bytes)
            tv_page_cache_count_digested(k->page_cache, m->text.npages + m->rodata.npages);
    }
}

struct tv_page_cache *tv_module_cache_of(struct tv_modules_check *c, struct tv_kernel *k, uint32_t i,
                                         uint32_t area)
{
    struct tv_page_cache *pages = &c->caches[i].pages[area];

    return pages->flags && tv_page_cache_has_copies(pages, k->page_cache) ? pages : NULL;
}

void tv_module_cache_locate(struct tv_modules_check *c, struct tv_kernel *k, uint32_t i)
{
    const struct tv_module *m = &c->m->list[i];
    struct tv_module_cache *cache = &c->caches[i];
    bool moved = false;

    if (!cache->where)
        init(cache, k, m);
    if (!cache->where)
        return;
    for (uint32_t n = 0, count = TV_MODULE_AREAS + m->region_count; n < count; n++) {
        uint64_t at = n < TV_MODULE_AREAS ? c->list.seen[i].base[n] : c->regions[n - TV_MODULE_AREAS].va;

        moved = moved || cache->where[n] != at;
        cache->where[n] = at;
    }
    if (moved) {
        tv_page_cache_invalidate(&cache->pages[TV_MODULE_TEXT]);
        tv_page_cache_invalidate(&cache->pages[TV_MODULE_RODATA]);
    }
}
