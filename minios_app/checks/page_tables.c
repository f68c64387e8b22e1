/* SPDX-License-Identifier: MIT */
/*
 * page-tables: whatever root of page tables a processor may be given, its half
 * for the kernel is that of init_top_pgt.  The other checks read through that
 * one; a task whose root has another entry would run with another kernel.
 */
#include <tinyvmi/check.h>
#include <tinyvmi/page_table.h>

#include "page_tables.h"

#define FIRST       TV_PT_KERNEL_HALF
#define HALF        (TV_PT_ENTRIES - FIRST)
#define LDT_ENTRY   272 /* LDT_PGD_ENTRY, asm/pgtable_64_types.h: a task's own under PTI */
#define EFI_ENTRY   511 /* of EFI_VA_END: efi_alloc_page_tables() copies what is below it */
#define TASKS_MAX   (1u << 17)
#define THREADS_MAX 4096
#define CPUS_MAX    8192
#define WALKS       4
#define SWITCHING   UINT64_C(1) /* LOADED_MM_SWITCHING, asm/tlbflush.h */
#define COMM_MAX    16

struct page_tables_check {
    uint64_t reference[2][HALF]; /* of init_top_pgt, and of its shadow for user mode under PTI */
    uint64_t root[HALF];         /* the one that is compared */
    bool pti;
    const char *trouble; /* why a walk ended; NULL: it did not */
};

/* One walk through all roots. */
struct walk {
    struct page_tables_check *c;
    struct tv_kernel *k;
    const struct tv_page_tables *g;
    struct tv_result *res;
};

/* An address space, and whose it is: what `what` describes, or if that is NULL, `task`'s. */
struct owner {
    uint64_t mm, task; /* the guest's: a list of tasks may lead to address 0 */
    const char *what;
};

static bool read_reference(struct walk *w)
{
    struct page_tables_check *c = w->c;
    const struct tv_page_tables *g = w->g;
    struct tv_kernel *k = w->k;
    uint32_t word;

    if (!guest_read_va(k, g->capabilities + k->delta + g->pti / 32 * 4, &word, sizeof(word)))
        return false;
    c->pti = word >> g->pti % 32 & 1;
    if (!guest_read_pa(k, k->root_pa + 8 * FIRST, c->reference[0], sizeof(c->reference[0])))
        return false;
    return !c->pti ||
           guest_read_pa(k, k->root_pa + TV_PAGE_SIZE + 8 * FIRST, c->reference[1], sizeof(c->reference[1]));
}

/* "task NAME (PID): entry N of its root ..." */
static struct tv_label describe(const struct walk *w, const struct owner *o, uint32_t entry, bool user)
{
    struct tv_label note = { 0 };
    char comm[COMM_MAX] = { 0 };
    uint32_t pid = 0;

    if (o->what) {
        tv_label_add(&note, o->what);
    } else if (guest_read_va(w->k, o->task + w->g->comm, comm, sizeof(comm) - 1) &&
               guest_read_va(w->k, o->task + w->g->pid, &pid, sizeof(pid))) {
        tv_label_add(&note, "task ");
        tv_label_add(&note, comm);
        tv_label_add(&note, " (");
        tv_label_add_number(&note, pid);
        tv_label_add(&note, ")");
    }
    tv_label_add(&note, ": entry ");
    tv_label_add_number(&note, entry);
    tv_label_add(&note, user ? " of its root for user mode is not the kernel's"
                             : " of its root is not the kernel's");
    return note;
}

static bool is_efi(const struct walk *w, uint64_t mm)
{
    return w->g->efi && mm == w->g->efi + w->k->delta;
}

/* May the root of `mm` have an entry of its own there? */
static bool is_own(const struct walk *w, uint64_t mm, uint32_t entry, bool user)
{
    uint64_t ldt;

    if (entry == LDT_ENTRY && w->c->pti && w->g->ldt != UINT32_MAX)
        return guest_read_va(w->k, mm + w->g->ldt, &ldt, sizeof(ldt)) && ldt;
    return entry == EFI_ENTRY && !user && is_efi(w, mm);
}

/* Entry `i` of the kernel's half, in the root at `va` of the kernel or for user mode. */
static void compare_entry(const struct walk *w, const struct owner *o, uint64_t va, uint32_t i, bool user)
{
    const uint64_t *expected = &w->c->reference[user][i], *actual = &w->c->root[i];
    struct tv_label note;

    if (((*actual ^ *expected) & ~TV_PTE_ACCESSED) == 0 || (w->k->pv && i < TV_PT_XEN_ENTRIES) ||
        is_own(w, o->mm, FIRST + i, user))
        return;
    note = describe(w, o, FIRST + i, user);
    tv_report_finding(w->res, &(struct tv_finding_args){ .kind = TV_KIND_PAGE_TABLE,
                                                         .symbol = "init_top_pgt",
                                                         .offset = user * TV_PAGE_SIZE + 8 * (FIRST + i),
                                                         .address = va + 8 * (FIRST + i),
                                                         .expected = expected,
                                                         .expected_size = sizeof(*expected),
                                                         .actual = actual,
                                                         .actual_size = sizeof(*actual),
                                                         .note = note.text });
}

/* The half for the kernel of an address space's root, and of the one for user mode. */
static void compare(struct walk *w, const struct owner *o)
{
    uint32_t roots = w->c->pti && !is_efi(w, o->mm) ? 2 : 1;
    uint64_t pgd;

    if (!guest_read_va(w->k, o->mm + w->g->pgd, &pgd, sizeof(pgd))) {
        w->c->trouble = "an address space could not be read";
        return;
    }
    for (uint32_t user = 0; pgd && user < roots; user++) {
        uint64_t va = pgd + user * TV_PAGE_SIZE;

        if (!guest_read_va(w->k, va + 8 * FIRST, w->c->root, sizeof(w->c->root))) {
            w->c->trouble = "a root of page tables could not be read";
            return;
        }
        for (uint32_t i = 0; i < HALF; i++)
            compare_entry(w, o, va, i, user);
        w->res->items++;
    }
}

/* The address space of `task`; 0: none of its own. */
static bool task_mm(const struct walk *w, uint64_t task, uint64_t *mm)
{
    if (!guest_read_va(w->k, task + w->g->mm, mm, sizeof(*mm)))
        return false;
    /* A kernel thread that runs borrows one. */
    return *mm || guest_read_va(w->k, task + w->g->active_mm, mm, sizeof(*mm));
}

/* A leader that has ended may leave threads behind: the address space of the first that has one. */
static bool thread_mm(const struct walk *w, uint64_t task, uint64_t *mm)
{
    uint64_t signal, head, node;

    if (!guest_read_va(w->k, task + w->g->signal, &signal, sizeof(signal)))
        return false;
    if (!signal)
        return true; /* being released */
    head = signal + w->g->thread_head;
    if (!guest_read_va(w->k, head, &node, sizeof(node)))
        return false;
    for (uint32_t i = 0; node != head && !*mm; i++) {
        if (i == THREADS_MAX || !task_mm(w, node - w->g->thread_node, mm) ||
            !guest_read_va(w->k, node, &node, sizeof(node)))
            return false;
    }
    return true;
}

/* Every task from init_task on. */
static void walk_tasks(struct walk *w)
{
    uint64_t head = w->g->init_task + w->k->delta + w->g->tasks, node = head, last = 0;

    for (uint32_t i = 0; i < TASKS_MAX && !w->c->trouble; i++) {
        uint64_t task = node - w->g->tasks, link[2], mm = 0; /* next, prev */

        if (!guest_read_va(w->k, node, link, sizeof(link)) || !task_mm(w, task, &mm) ||
            (!mm && !thread_mm(w, task, &mm))) {
            w->c->trouble = "a task could not be read";
            return;
        }
        if (i && link[1] != last) {
            w->c->trouble = "the list of tasks changed while it was read";
            return;
        }
        if (mm)
            compare(w, &(struct owner){ .mm = mm, .task = task });
        last = node;
        node = link[0];
        if (node == head)
            return;
    }
    if (!w->c->trouble)
        w->c->trouble = "the list of tasks does not end";
}

/* What each processor has loaded (cpu_tlbstate.loaded_mm). */
static void walk_cpus(struct walk *w)
{
    const struct tv_page_tables *g = w->g;
    struct tv_kernel *k = w->k;
    uint32_t cpus;

    if (!guest_read_va(k, g->nr_cpu_ids + k->delta, &cpus, sizeof(cpus))) {
        w->c->trouble = "the number of processors could not be read";
        return;
    }
    for (uint32_t cpu = 0; cpu < cpus && cpu < CPUS_MAX && !w->c->trouble; cpu++) {
        uint64_t base, mm, at = g->cpu_tlbstate + (g->per_cpu_moves ? k->delta : 0) + g->loaded_mm;

        if (!guest_read_va(k, g->per_cpu_offset + k->delta + 8 * (uint64_t)cpu, &base, sizeof(base)) ||
            !guest_read_va(k, base + at, &mm, sizeof(mm)))
            w->c->trouble = "the address space of a processor could not be read";
        else if (mm && mm != SWITCHING)
            compare(w, &(struct owner){ .mm = mm, .what = "loaded by a processor" });
    }
}

/* The address spaces that are the kernel's own. */
static void walk_own(struct walk *w)
{
    const struct tv_page_tables *g = w->g;
    struct tv_kernel *k = w->k;
    uint64_t expected = k->profile->root_va + k->delta, at = g->init_mm + k->delta + g->pgd, actual;

    if (guest_read_va(k, at, &actual, sizeof(actual)) && actual != expected)
        tv_report_finding(w->res,
                          &(struct tv_finding_args){
                              .kind = TV_KIND_POINTER,
                              .symbol = "init_mm",
                              .offset = g->pgd,
                              .address = at,
                              .expected = &expected,
                              .expected_size = sizeof(expected),
                              .actual = &actual,
                              .actual_size = sizeof(actual),
                              .note = "the kernel's own address space has another root than init_top_pgt",
                          });
    compare(w, &(struct owner){ .mm = g->init_mm + k->delta, .what = "init_mm" });
    if (g->efi && !w->c->trouble)
        compare(w, &(struct owner){ .mm = g->efi + k->delta, .what = "efi_mm" });
    for (uint32_t i = 0; i < g->pointer_count && !w->c->trouble; i++) {
        uint64_t mm;

        if (!guest_read_va(k, g->pointers[i] + k->delta, &mm, sizeof(mm)))
            w->c->trouble = "an address space of the kernel's could not be read";
        else if (mm)
            compare(w, &(struct owner){ .mm = mm, .what = "that for patching code" });
    }
}

static void walk_all(struct walk *w)
{
    w->c->trouble = NULL;
    if (!read_reference(w)) {
        w->res->missing++;
        return;
    }
    walk_own(w);
    if (!w->c->trouble)
        walk_cpus(w);
    if (!w->c->trouble)
        walk_tasks(w);
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    struct page_tables_check *c = context;
    struct walk w = { .c = c, .k = k, .g = tv_page_tables_golden(k), .res = res };

    (void)budget;
    if (!w.g) {
        tv_result_finalize(res, tv_golden_reason(k, TV_CHECK_PAGE_TABLES));
        return TV_STEP_DONE;
    }
    /* Tasks come and go under the walk: what came apart is read again. */
    for (uint32_t i = 0; i < WALKS; i++) {
        tv_result_reset(res);
        walk_all(&w);
        if (!c->trouble)
            break;
        tv_pt_cache_flush(k);
    }
    if (c->trouble)
        res->missing++;
    tv_result_finalize(res, NULL);
    if (c->trouble && res->verdict == TV_UNVERIFIABLE)
        res->reason = c->trouble;
    return TV_STEP_DONE;
}

const struct tv_check tv_check_page_tables = {
    .name = "page-tables",
    .id = TV_CHECK_PAGE_TABLES,
    .context_size = sizeof(struct page_tables_check),
    .step = step,
};
