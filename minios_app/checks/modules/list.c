/* SPDX-License-Identifier: MIT */
/*
 * modules: the guest's own list of its modules (kernel/module/main.c).  The
 * guest can write it: it only names places, and what lies there must be the
 * package's.
 */
#include <tinyvmi/platform.h>

#include "internal.h"

#define STATE_LIVE    0 /* enum module_state, linux/module.h */
#define MODULES_VADDR UINT64_C(0xffffffff80000000) /* no module lies below: asm/pgtable_64_types.h */

/* One struct module, as far as it is read. */
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

static void append(struct tv_module_list *l, const char *text, uint32_t limit)
{
    for (; *text && l->length < limit; text++)
        l->names[l->length++] = *text;
    l->names[l->length] = 0;
}

void tv_module_list_note(struct tv_module_list *l, const char *why, const char *name)
{
    if (l->length >= TV_MODULES_NAMES)
        return;
    if (l->length)
        append(l, ", ", TV_MODULES_NAMES);
    append(l, name, TV_MODULES_NAMES);
    append(l, " (", TV_MODULES_NAMES);
    append(l, why, TV_MODULES_NAMES);
    append(l, l->length < TV_MODULES_NAMES ? ")" : " and others", TV_MODULES_NAMES + 16);
}

/* Without a layout of its own for each area (before 6.4) the areas follow one another. */
static bool read_layout(const struct tv_modules *m, struct tv_kernel *k, struct entry *e)
{
    uint64_t layout = e->at + m->layout;
    uint32_t text, ro, after, size;

    if (m->split) {
        for (uint32_t area = 0; area < TV_MODULE_PERCPU; area++) {
            uint64_t at = layout + (uint64_t)m->memory[area] * m->memory_size;

            if (!guest_read_va(k, at + m->base, &e->base[area], sizeof(e->base[area])) ||
                !guest_read_va(k, at + m->size, &e->size[area], sizeof(e->size[area])))
                return false;
        }
        return true;
    }
    if (!guest_read_va(k, layout + m->base, &e->base[TV_MODULE_TEXT], sizeof(uint64_t)) ||
        !guest_read_va(k, layout + m->size, &size, sizeof(size)) ||
        !guest_read_va(k, layout + m->text_size, &text, sizeof(text)) ||
        !guest_read_va(k, layout + m->ro_size, &ro, sizeof(ro)) ||
        !guest_read_va(k, layout + m->ro_after_init_size, &after, sizeof(after)))
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
    return guest_read_va(k, e->at + m->name, e->name, TV_MODULES_NAME) &&
           guest_read_va(k, e->at + m->state, &e->state, sizeof(e->state)) &&
           guest_read_va(k, e->at + m->percpu, &e->base[TV_MODULE_PERCPU], sizeof(uint64_t)) &&
           read_layout(m, k, e);
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

/* Report the module of `e`; no more than a bound of its name, which is the guest's. */
static void report(const struct entry *e, enum tv_finding_kind kind, const char *note, struct tv_result *res)
{
    tv_report_finding(res, &(struct tv_finding_args){ .kind = kind,
                                                      .symbol = e->name,
                                                      .address = e->at,
                                                      .actual = e->name,
                                                      .actual_size = strlen(e->name),
                                                      .note = note });
}

/* A module that the packages do not explain. */
static void add_strange(struct tv_module_list *l, const struct entry *e, const char *why,
                        struct tv_result *res)
{
    l->strange++;
    if (!res)
        return;
    if (tv_modules_config.report_unknown)
        report(e, TV_KIND_UNKNOWN_MODULE, "a module that the packages given do not explain", res);
    else
        tv_module_list_note(l, why, e->name);
}

static void add(struct tv_module_list *l, const struct tv_modules *m, struct tv_kernel *k,
                const struct entry *e, struct tv_result *res)
{
    uint32_t i = number_of(m, e->name);
    const struct tv_module *module = &m->list[i];
    uint8_t id[TV_BUILD_ID_SIZE];
    uint64_t rodata;
    bool fits, same;

    if (e->state != STATE_LIVE) {
        l->busy++;
        if (res)
            tv_module_list_note(l, "being loaded or unloaded", e->name);
        return;
    }
    if (i == m->count) {
        add_strange(l, e, "no tables of it", res);
        return;
    }
    fits = laid_out(module, e);
    rodata = m->split ? e->base[TV_MODULE_RODATA] : e->base[TV_MODULE_TEXT] + module->sizes[TV_MODULE_TEXT];
    same = guest_read_va(k, rodata + module->build_id_at, id, sizeof(id)) &&
           memcmp(id, module->build_id, sizeof(id)) == 0;
    if (!fits && !same) {
        add_strange(l, e, "another build than the package's", res);
    } else if (!fits) {
        report(e, TV_KIND_MODULE,
               "it is the package's module by its build-id, but its struct module describes other memory",
               res);
    } else if (l->seen[i].loaded) {
        report(e, TV_KIND_MODULE, "it is on the list of modules twice", res);
    } else {
        l->seen[i].loaded = true;
        memcpy(l->seen[i].base, e->base, sizeof(e->base));
    }
}

void tv_module_list_read(struct tv_module_list *l, const struct tv_modules *m, struct tv_kernel *k,
                         struct tv_result *res)
{
    uint64_t head = k->profile->text_va + k->delta + m->head, at = head;
    struct entry e;

    memset(l->seen, 0, m->count * sizeof(*l->seen));
    l->read_ns = tv_now_ns();
    l->listed = l->strange = l->busy = l->length = 0;
    l->names[0] = 0;
    while (guest_read_va(k, at, &at, sizeof(at))) {
        if (at == head)
            return;
        if (l->listed++ == TV_MODULES_LISTED) {
            tv_report_finding(res, &(struct tv_finding_args){ .kind = TV_KIND_MODULE,
                                                              .symbol = "modules",
                                                              .address = head,
                                                              .actual = &at,
                                                              .actual_size = sizeof(at),
                                                              .note = "the list of modules does not end" });
            return;
        }
        e.at = at - m->next;
        if (!read_entry(m, k, &e))
            break;
        add(l, m, k, &e, res);
    }
    if (res)
        res->missing++;
}
