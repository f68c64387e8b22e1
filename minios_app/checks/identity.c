/* SPDX-License-Identifier: MIT */
/*
 * identity: the build-id and banner of the kernel that was found are still in
 * their places, and its page tables still map the image where it was found.
 */
#include <tinyvmi/check.h>

#define BANNER_MAX 512 /* linux_banner is about 200 bytes */

static int attach(struct tv_kernel *k)
{
    (void)k;
    return 0;
}

static void detach(struct tv_kernel *k)
{
    (void)k;
}

static void compare(struct tv_kernel *k, struct tv_result *res, const char *symbol, uint64_t link_va,
                    const void *expected, size_t n)
{
    uint8_t actual[BANNER_MAX];

    if (n > sizeof(actual))
        n = sizeof(actual);
    if (!tv_read_va(k, link_va + k->delta, actual, n)) {
        res->missing++;
        return;
    }
    res->units++;
    if (memcmp(actual, expected, n) == 0)
        return;

    /* Show the bytes around the first difference. */
    size_t at = 0;
    const uint8_t *want = expected;

    while (actual[at] == want[at])
        at++;
    size_t show = n - at < 16 ? n - at : 16;

    tv_find(res, "string", symbol, at, link_va + k->delta + at, want + at, show, actual + at, show, NULL);
}

static void mapping(struct tv_kernel *k, struct tv_result *res, const char *symbol, uint64_t link_va)
{
    uint64_t expected = k->text_pa + (link_va - k->profile->text_va);
    struct tv_translation t;
    int err = tv_translate(k, link_va + k->delta, &t);

    if (err == -TV_EIO) {
        res->missing++;
        return;
    }
    res->units++;
    t.pa = err ? 0 : tv_guest_physical(k, t.pa);
    if (t.pa != expected)
        tv_find(res, "mapping", symbol, 0, link_va + k->delta, &expected, sizeof(expected), &t.pa, sizeof(t.pa),
                err ? "the page tables do not map it" : "the page tables map it to another frame");
}

static void run(struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_kernel_profile *p = k->profile;

    mapping(k, res, "_text", p->text_va);
    mapping(k, res, "init_top_pgt", p->root_va);
    mapping(k, res, "linux_banner", p->banner_va);
    compare(k, res, "build-id", p->build_id_va, p->build_id, TV_BUILD_ID_SIZE);
    compare(k, res, "linux_banner", p->banner_va, p->banner, strlen(p->banner) + 1);
    tv_settle(res, "nothing of the kernel's identity could be read");
}

const struct tv_check tv_check_identity = { .name = "identity", .attach = attach, .run = run, .detach = detach };
