/* SPDX-License-Identifier: MIT */
/*
 * page-tables: whatever root of page tables a processor may be given, its half
 * for the kernel is that of init_top_pgt.  The other checks look through that
 * one; a task whose root has another entry would run with another kernel.
 */
#include <tinyvmi/check.h>

#include "page_tables.h"

#define ENTRIES     512
#define FIRST       256 /* of the kernel's half */
#define ACCESSED    (UINT64_C(1) << 5) /* set by the processor in each root for itself */
#define LDT_ENTRY   272 /* LDT_PGD_ENTRY, asm/pgtable_64_types.h: a task's own under PTI */
#define XEN_ENTRIES 16 /* from FIRST on, of a PV guest's roots: Xen writes them (public/arch-x86/xen-x86_64.h) */
#define EFI_ENTRY   511 /* of EFI_VA_END: efi_alloc_page_tables() copies what is below it */
#define TASKS_MAX   (1u << 17)
#define THREADS_MAX 4096
#define CPUS_MAX    8192
#define WALKS       4
#define SWITCHING   UINT64_C(1) /* LOADED_MM_SWITCHING, asm/tlbflush.h */
#define NOTE_MAX    112
#define COMM_MAX    16

static uint64_t reference[2][FIRST]; /* of init_top_pgt, and of its shadow for user mode under PTI */
static uint64_t root[FIRST];
static char notes[TV_FINDINGS_MAX][NOTE_MAX];
static bool pti;

/* Why a walk ended. */
static const char *trouble;

static int attach(struct tv_kernel *k)
{
    (void)k;
    return 0;
}

static void detach(struct tv_kernel *k)
{
    (void)k;
}

static bool read_reference(struct tv_kernel *k, const struct tv_page_tables *g)
{
    uint32_t word;

    if (!tv_read_va(k, g->capabilities + k->delta + g->pti / 32 * 4, &word, sizeof(word)))
        return false;
    pti = word >> g->pti % 32 & 1;
    if (!tv_read_pa(k, k->root_pa + 8 * FIRST, reference[0], sizeof(reference[0])))
        return false;
    return !pti || tv_read_pa(k, k->root_pa + TV_PAGE_SIZE + 8 * FIRST, reference[1], sizeof(reference[1]));
}

static size_t append(char *note, size_t n, const char *text, size_t size)
{
    for (size_t i = 0; i < size && text[i] && n < NOTE_MAX - 1; i++)
        note[n++] = text[i];
    return n;
}

static size_t append_number(char *note, size_t n, uint32_t v)
{
    char digits[10];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    return append(note, n, digits + at, sizeof(digits) - at);
}

/* "of NAME (PID): entry N of its root ..."; `task` 0: the root is `what`'s. */
static const char *describe(struct tv_kernel *k, const struct tv_page_tables *g, uint64_t task, const char *what,
                            uint32_t entry, bool user, const struct tv_result *res)
{
    char *note = notes[res->findings % TV_FINDINGS_MAX], comm[COMM_MAX] = { 0 };
    size_t n = 0;

    if (task) {
        uint32_t pid = 0;

        if (tv_read_va(k, task + g->comm, comm, sizeof(comm) - 1) && tv_read_va(k, task + g->pid, &pid, sizeof(pid))) {
            n = append(note, n, "task ", 5);
            n = append(note, n, comm, sizeof(comm));
            n = append(note, n, " (", 2);
            n = append_number(note, n, pid);
            n = append(note, n, ")", 1);
        }
    } else {
        n = append(note, n, what, NOTE_MAX);
    }
    n = append(note, n, ": entry ", 8);
    n = append_number(note, n, entry);
    n = append(note, n, user ? " of its root for user mode is not the kernel's" : " of its root is not the kernel's",
               NOTE_MAX);
    note[n] = 0;
    return note;
}

/* May the root of `mm` have an entry of its own there? */
static bool is_own(struct tv_kernel *k, const struct tv_page_tables *g, uint64_t mm, uint32_t entry, bool user)
{
    uint64_t ldt;

    if (entry == LDT_ENTRY && pti && g->ldt != UINT32_MAX)
        return tv_read_va(k, mm + g->ldt, &ldt, sizeof(ldt)) && ldt;
    return entry == EFI_ENTRY && !user && g->efi && mm == g->efi + k->delta;
}

/* The half for the kernel of the root at `pgd`, and of the one for user mode. */
static void compare(struct tv_kernel *k, const struct tv_page_tables *g, uint64_t mm, uint64_t pgd, uint64_t task,
                    const char *what, struct tv_result *res)
{
    bool efi = g->efi && mm == g->efi + k->delta;

    for (uint32_t user = 0; user <= (pti && !efi); user++) {
        uint64_t va = pgd + user * TV_PAGE_SIZE;

        if (!tv_read_va(k, va + 8 * FIRST, root, sizeof(root))) {
            trouble = "a root of page tables could not be read";
            return;
        }
        for (uint32_t i = 0; i < FIRST; i++) {
            if (k->pv && i < XEN_ENTRIES)
                continue;
            if (((root[i] ^ reference[user][i]) & ~ACCESSED) == 0 || is_own(k, g, mm, FIRST + i, user))
                continue;
            tv_find(res, "page-table", "init_top_pgt", user * TV_PAGE_SIZE + 8 * (FIRST + i), va + 8 * (FIRST + i),
                    &reference[user][i], 8, &root[i], 8, describe(k, g, task, what, FIRST + i, user, res));
        }
        res->units++;
    }
}

static void judge_mm(struct tv_kernel *k, const struct tv_page_tables *g, uint64_t mm, uint64_t task,
                     const char *what, struct tv_result *res)
{
    uint64_t pgd;

    if (!tv_read_va(k, mm + g->pgd, &pgd, sizeof(pgd)))
        trouble = "an address space could not be read";
    else if (pgd)
        compare(k, g, mm, pgd, task, what, res);
}

/* The address space of `task`; 0: none of its own. */
static bool task_mm(struct tv_kernel *k, const struct tv_page_tables *g, uint64_t task, uint64_t *mm)
{
    if (!tv_read_va(k, task + g->mm, mm, sizeof(*mm)))
        return false;
    /* A kernel thread that runs borrows one. */
    return *mm || tv_read_va(k, task + g->active_mm, mm, sizeof(*mm));
}

/* A leader that has ended may leave threads behind: the address space of the first that has one. */
static bool thread_mm(struct tv_kernel *k, const struct tv_page_tables *g, uint64_t task, uint64_t *mm)
{
    uint64_t signal, head, node;

    if (!tv_read_va(k, task + g->signal, &signal, sizeof(signal)))
        return false;
    if (!signal)
        return true; /* being released */
    head = signal + g->thread_head;
    if (!tv_read_va(k, head, &node, sizeof(node)))
        return false;
    for (uint32_t i = 0; node != head && !*mm; i++) {
        if (i == THREADS_MAX || !task_mm(k, g, node - g->thread_node, mm) || !tv_read_va(k, node, &node, sizeof(node)))
            return false;
    }
    return true;
}

/* Every task from init_task on.  False with `trouble` set if the list came apart. */
static void walk_tasks(struct tv_kernel *k, const struct tv_page_tables *g, struct tv_result *res)
{
    uint64_t head = g->init_task + k->delta + g->tasks, node = head, last = 0;

    for (uint32_t i = 0; i < TASKS_MAX && !trouble; i++) {
        uint64_t task = node - g->tasks, link[2], mm = 0; /* next, prev */

        if (!tv_read_va(k, node, link, sizeof(link)) || !task_mm(k, g, task, &mm) ||
            (!mm && !thread_mm(k, g, task, &mm))) {
            trouble = "a task could not be read";
            return;
        }
        if (i && link[1] != last) {
            trouble = "the list of tasks changed while it was read";
            return;
        }
        if (mm)
            judge_mm(k, g, mm, task, NULL, res);
        last = node;
        node = link[0];
        if (node == head)
            return;
    }
    if (!trouble)
        trouble = "the list of tasks does not end";
}

/* What each processor has loaded (cpu_tlbstate.loaded_mm). */
static void walk_cpus(struct tv_kernel *k, const struct tv_page_tables *g, struct tv_result *res)
{
    uint32_t cpus;

    if (!tv_read_va(k, g->nr_cpu_ids + k->delta, &cpus, sizeof(cpus))) {
        trouble = "the number of processors could not be read";
        return;
    }
    for (uint32_t cpu = 0; cpu < cpus && cpu < CPUS_MAX && !trouble; cpu++) {
        uint64_t base, mm, at = g->cpu_tlbstate + (g->per_cpu_moves ? k->delta : 0) + g->loaded_mm;

        if (!tv_read_va(k, g->per_cpu_offset + k->delta + 8 * (uint64_t)cpu, &base, sizeof(base)) ||
            !tv_read_va(k, base + at, &mm, sizeof(mm)))
            trouble = "the address space of a processor could not be read";
        else if (mm && mm != SWITCHING)
            judge_mm(k, g, mm, 0, "loaded by a processor", res);
    }
}

static void walk_own(struct tv_kernel *k, const struct tv_page_tables *g, struct tv_result *res)
{
    uint64_t expected = k->profile->root_va + k->delta, at = g->init_mm + k->delta + g->pgd, actual;

    if (tv_read_va(k, at, &actual, sizeof(actual)) && actual != expected)
        tv_find(res, "pointer", "init_mm", g->pgd, at, &expected, 8, &actual, 8,
                "the kernel's own address space has another root than init_top_pgt");
    judge_mm(k, g, g->init_mm + k->delta, 0, "init_mm", res);
    if (g->efi && !trouble)
        judge_mm(k, g, g->efi + k->delta, 0, "efi_mm", res);
    for (uint32_t i = 0; i < g->pointer_count && !trouble; i++) {
        uint64_t mm;

        if (!tv_read_va(k, g->pointers[i] + k->delta, &mm, sizeof(mm)))
            trouble = "an address space of the kernel's could not be read";
        else if (mm)
            judge_mm(k, g, mm, 0, "that for patching code", res);
    }
}

static void run(struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_page_tables *g = tv_page_tables_golden(k);

    if (!g) {
        tv_settle(res, tv_golden_reason(k, TV_CHECK_PAGE_TABLES));
        return;
    }
    /* Tasks come and go under the walk: what came apart is read again. */
    for (uint32_t i = 0; i < WALKS; i++) {
        memset(res, 0, sizeof(*res));
        trouble = NULL;
        if (!read_reference(k, g)) {
            res->missing++;
            break;
        }
        walk_own(k, g, res);
        if (!trouble)
            walk_cpus(k, g, res);
        if (!trouble)
            walk_tasks(k, g, res);
        if (!trouble)
            break;
        tv_pt_cache_flush(k);
    }
    if (trouble)
        res->missing++;
    tv_settle(res, NULL);
    if (trouble && res->verdict == TV_UNVERIFIABLE)
        res->reason = trouble;
}

const struct tv_check tv_check_page_tables = { .name = "page-tables", .attach = attach, .run = run, .detach = detach };
