/* SPDX-License-Identifier: MIT */
/*
 * modules: the guest's own list of its modules (kernel/module/main.c).  What
 * stands there is the guest's to write: it only tells where to look, and what
 * is found there must be the package's.
 */
#include <tinyvmi/config.h>
#include <tinyvmi/platform.h>

#include "internal.h"

#define STATE_LIVE 0 /* enum module_state, linux/module.h */
#define MODULES_VADDR UINT64_C(0xffffffff80000000) /* no module lies below: asm/pgtable_64_types.h */

/* One struct module, as far as it is looked at. */
struct entry {
    uint64_t at;
    char name[TV_MODULES_NAME + 1];
    uint32_t state;
    uint64_t base[TV_MODULE_AREAS];
    uint32_t size[TV_MODULE_AREAS]; /* 0 where it is not known */
};

static int compare(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (uint8_t)*a - (uint8_t)*b;
}

/* The number of the package's module `name`, or m->count. */
static uint32_t number_of(const struct tv_modules *m, const char *name)
{
    uint32_t low = 0, high = m->count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (compare(m->list[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->count && compare(m->list[low].name, name) == 0 ? low : m->count;
}

static void append(struct tv_modules_state *s, const char *text, uint32_t limit)
{
    for (; *text && s->length < limit; text++)
        s->names[s->length++] = *text;
    s->names[s->length] = 0;
}

void tv_modules_name(struct tv_modules_state *s, const char *why, const char *name)
{
    if (s->length >= TV_MODULES_NAMES)
        return;
    if (s->length)
        append(s, ", ", TV_MODULES_NAMES);
    append(s, name, TV_MODULES_NAMES);
    append(s, " (", TV_MODULES_NAMES);
    append(s, why, TV_MODULES_NAMES);
    append(s, s->length < TV_MODULES_NAMES ? ")" : " and others", TV_MODULES_NAMES + 16);
}

/* Without a layout of its own for each area (before 6.4) the areas follow one another. */
static bool read_layout(const struct tv_modules *m, struct tv_kernel *k, struct entry *e)
{
    uint64_t layout = e->at + m->layout;
    uint32_t text, ro, after, size;

    if (m->split) {
        for (uint32_t area = 0; area < TV_MODULE_PERCPU; area++) {
            uint64_t at = layout + (uint64_t)m->memory[area] * m->memory_size;

            if (!tv_read_va(k, at + m->base, &e->base[area], sizeof(e->base[area])) ||
                !tv_read_va(k, at + m->size, &e->size[area], sizeof(e->size[area])))
                return false;
        }
        return true;
    }
    if (!tv_read_va(k, layout + m->base, &e->base[TV_MODULE_TEXT], sizeof(uint64_t)) ||
        !tv_read_va(k, layout + m->size, &size, sizeof(size)) ||
        !tv_read_va(k, layout + m->text_size, &text, sizeof(text)) ||
        !tv_read_va(k, layout + m->ro_size, &ro, sizeof(ro)) ||
        !tv_read_va(k, layout + m->ro_after_init_size, &after, sizeof(after)))
        return false;
    e->size[TV_MODULE_TEXT] = text;
    e->size[TV_MODULE_RODATA] = ro - text;
    e->size[TV_MODULE_RO_AFTER_INIT] = after - ro;
    e->size[TV_MODULE_DATA] = size - after;
    e->base[TV_MODULE_RODATA] = e->base[TV_MODULE_TEXT] + text;
    e->base[TV_MODULE_RO_AFTER_INIT] = e->base[TV_MODULE_TEXT] + ro;
    e->base[TV_MODULE_DATA] = e->base[TV_MODULE_TEXT] + after;
    return true;
}

static bool read_entry(const struct tv_modules *m, struct tv_kernel *k, struct entry *e)
{
    memset(e->base, 0, sizeof(e->base));
    memset(e->size, 0, sizeof(e->size));
    e->name[TV_MODULES_NAME] = 0;
    return tv_read_va(k, e->at + m->name, e->name, TV_MODULES_NAME) &&
           tv_read_va(k, e->at + m->state, &e->state, sizeof(e->state)) &&
           tv_read_va(k, e->at + m->percpu, &e->base[TV_MODULE_PERCPU], sizeof(uint64_t)) && read_layout(m, k, e);
}

/* Text and read-only memory where modules can be, of the package's sizes. */
static bool laid_out(const struct tv_module *module, const struct entry *e)
{
    for (uint32_t area = TV_MODULE_TEXT; area <= TV_MODULE_RO_AFTER_INIT; area++) {
        if (e->size[area] != module->sizes[area])
            return false;
        if (e->size[area] && (e->base[area] % TV_PAGE_SIZE || e->base[area] < MODULES_VADDR ||
                              e->base[area] + e->size[area] < e->base[area]))
            return false;
    }
    return true;
}

static const char *keep(struct tv_modules_state *s, const char *name)
{
    char *kept = s->kept[s->kept_count % TV_FINDINGS_MAX];

    /* More findings than are described need no name. */
    if (s->kept_count >= TV_FINDINGS_MAX)
        return "a module";
    s->kept_count++;
    memcpy(kept, name, TV_MODULES_NAME);
    kept[TV_MODULES_NAME - 1] = 0;
    return kept;
}

static void strange(struct tv_modules_state *s, const struct entry *e, const char *why, struct tv_result *res)
{
    s->strange++;
    if (!res)
        return;
    if (tv_modules_config.report_unknown)
        tv_find(res, "unknown-module", keep(s, e->name), 0, e->at, NULL, 0, e->name, strlen(e->name),
                "a module that the packages given do not explain");
    else
        tv_modules_name(s, why, e->name);
}

static void find(struct tv_modules_state *s, const struct entry *e, const char *note, struct tv_result *res)
{
    if (res)
        tv_find(res, "module", keep(s, e->name), 0, e->at, NULL, 0, e->name, strlen(e->name), note);
}

static void see(struct tv_modules_state *s, struct tv_kernel *k, const struct entry *e, struct tv_result *res)
{
    uint32_t i = number_of(s->m, e->name);
    const struct tv_module *module = &s->m->list[i];
    uint8_t id[TV_BUILD_ID_SIZE];
    uint64_t rodata;
    bool fits, same;

    if (e->state != STATE_LIVE) {
        s->busy++;
        if (res)
            tv_modules_name(s, "being loaded or unloaded", e->name);
        return;
    }
    if (i == s->m->count) {
        strange(s, e, "no tables of it", res);
        return;
    }
    fits = laid_out(module, e);
    rodata = s->m->split ? e->base[TV_MODULE_RODATA] : e->base[TV_MODULE_TEXT] + module->sizes[TV_MODULE_TEXT];
    same = tv_read_va(k, rodata + module->build_id_at, id, sizeof(id)) &&
           memcmp(id, module->build_id, sizeof(id)) == 0;
    if (!fits && !same) {
        strange(s, e, "another build than the package's", res);
    } else if (!fits) {
        find(s, e, "it is the package's module by its build-id, but its struct module describes other memory", res);
    } else if (s->seen[i].loaded) {
        find(s, e, "it is on the list of modules twice", res);
    } else {
        s->seen[i].loaded = true;
        memcpy(s->seen[i].base, e->base, sizeof(e->base));
    }
}

void tv_modules_walk(struct tv_modules_state *s, struct tv_kernel *k, struct tv_result *res)
{
    uint64_t head = k->profile->text_va + k->delta + s->m->head, at = head;
    static struct entry e;

    memset(s->seen, 0, s->m->count * sizeof(*s->seen));
    s->walked = tv_now_ns();
    s->listed = s->strange = s->busy = s->length = s->kept_count = 0;
    s->names[0] = 0;
    while (tv_read_va(k, at, &at, sizeof(at))) {
        if (at == head)
            return;
        if (s->listed++ == TV_MODULES_LISTED) {
            if (res)
                tv_find(res, "module", "modules", 0, head, NULL, 0, &at, sizeof(at),
                        "the list of modules does not end");
            return;
        }
        e.at = at - s->m->next;
        if (!read_entry(s->m, k, &e))
            break;
        see(s, k, &e, res);
    }
    if (res)
        res->missing++;
}
