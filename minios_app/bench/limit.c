/* SPDX-License-Identifier: MIT */
/*
 * What a domain can reach at best, for `tinyvmi-build bench`: the target's pages
 * are mapped, and then read, compared and digested without any of a check's own
 * work, both in place and from a copy in the domain's own memory.
 * Reported as cost records, of which map_pages is the number of pages.
 *
 * Takes the place of platform/minios/main.c.
 */
#include <mini-os/os.h>
#include <mini-os/hypervisor.h>
#include <mini-os/sched.h>

#include <xen/sched.h>

#include <tinyvmi/digest.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

#include "../platform/minios/base.h"
#include "../platform/minios/guest_mem.h"
#include "../platform/minios/params.h"

#define PAGES_MAX   8192u
#define CHUNK_PAGES 64u /* of the copy, which need not be contiguous */

static struct guest_mem gm;
static struct guest_view view;
static struct tv_digest digest;
static struct tv_costs costs; /* not enabled */
static struct tv_record_writer records;
static uint8_t digest_scratch[TV_DIGEST_SCRATCH];
static uint8_t *copy[PAGES_MAX / CHUNK_PAGES];
static uint32_t round_number, npages;
static volatile uint64_t sink; /* or the compiler would see that the results are not used */

static const uint8_t *shown(uint32_t page)
{
    return view.base + (size_t)page * TV_PAGE_SIZE;
}

static const uint8_t *own(uint32_t page)
{
    return copy[page / CHUNK_PAGES] + (size_t)(page % CHUNK_PAGES) * TV_PAGE_SIZE;
}

static uint64_t sum(const uint8_t *page)
{
    const uint64_t *words = (const uint64_t *)(const void *)page;
    uint64_t total = 0;

    for (uint32_t i = 0; i < TV_PAGE_SIZE / sizeof(*words); i++)
        total += words[i];
    return total;
}

static void read_own(uint32_t page)
{
    sink += sum(own(page));
}

static void read_shown(uint32_t page)
{
    sink += sum(shown(page));
}

static void compare(uint32_t page)
{
    sink += (uint64_t)(memcmp(own(page), shown(page), TV_PAGE_SIZE) != 0);
}

static void report(const char *what, uint64_t ns)
{
    tv_record_begin(&records, "cost");
    tv_record_uint(&records, "scan", round_number);
    tv_record_string(&records, "check", what);
    tv_record_uint(&records, "took_ns", ns);
    tv_record_uint(&records, "map_ns", 0);
    tv_record_uint(&records, "map_pages", npages);
    tv_record_uint(&records, "map_calls", 0);
    tv_record_end(&records);
}

/* Two at a time, as the checks do. */
static void digest_all(const char *what, const uint8_t *(*at)(uint32_t page))
{
    uint64_t start = tv_now_ns();

    for (uint32_t i = 0; i < npages; i += 2) {
        const uint8_t *pair[2] = { at(i), i + 1 < npages ? at(i + 1) : NULL };
        uint8_t digests[2][TV_DIGEST_SIZE];

        tv_digest_pages(&digest, pair, pair[1] ? 2 : 1, digests);
        sink += digests[0][0];
    }
    report(what, tv_now_ns() - start);
}

static void each(const char *what, void (*work)(uint32_t page))
{
    uint64_t start = tv_now_ns();

    for (uint32_t i = 0; i < npages; i++)
        work(i);
    report(what, tv_now_ns() - start);
}

static void map(const char *what)
{
    uint64_t start = tv_now_ns();

    guest_view_map(&gm, &view, 0, npages);
    report(what, tv_now_ns() - start);
}

/* Room for all pages, and what the target holds in them.  False if it cannot be had. */
static bool prepare(uint64_t frame)
{
    if (guest_view_reserve(&gm, &view, npages))
        return false;
    for (uint32_t i = 0; i < npages; i++)
        view.gfn[i] = frame + i;
    guest_view_map(&gm, &view, 0, npages);
    for (uint32_t i = 0; i < npages; i++) {
        if (i % CHUNK_PAGES == 0) {
            copy[i / CHUNK_PAGES] = tv_alloc((size_t)CHUNK_PAGES * TV_PAGE_SIZE);
            if (!copy[i / CHUNK_PAGES])
                return false;
        }
        if (view.err[i])
            return false;
        memcpy(copy[i / CHUNK_PAGES] + (size_t)(i % CHUNK_PAGES) * TV_PAGE_SIZE, shown(i), TV_PAGE_SIZE);
    }
    return true;
}

static void measure(uint64_t frame)
{
    for (uint32_t i = 0; i < npages; i++)
        view.gfn[i] = GFN_NONE;
    map("unmap");
    for (uint32_t i = 0; i < npages; i++)
        view.gfn[i] = frame + i;
    map("map");
    map("revalidate");
    each("read own memory", read_own);
    each("read in place", read_shown);
    each("compare", compare);
    digest_all("digest of own memory", own);
    digest_all("digest in place", shown);
}

static void bench_thread(void *unused)
{
    struct sched_shutdown poweroff = { .reason = SHUTDOWN_poweroff };
    struct tv_run run = { .privilege_timeout_ms = 0 };
    uint64_t frame;

    (void)unused;
    base_start();
    tv_record_writer_init(&records, &(const struct tv_sink){ .write = base_console_write }, &costs);
    params_wait(&run);
    gm.target = (domid_t)run.target;
    frame = params_number("frame", 0, UINT32_MAX, 0);
    npages = params_number("pages", 1, PAGES_MAX, 1);
    if (tv_digest_init(&digest, digest_scratch) && prepare(frame)) {
        for (; round_number < run.scans; round_number++)
            measure(frame);
    } else {
        tv_record_begin(&records, "error");
        tv_record_string(&records, "where", "limit");
        tv_record_string(&records, "what", "the pages cannot be mapped and copied");
        tv_record_end(&records);
    }
    base_stop();
    HYPERVISOR_sched_op(SCHEDOP_shutdown, &poweroff);
}

void monitor_start(void)
{
    create_thread("bench", bench_thread, NULL);
}
