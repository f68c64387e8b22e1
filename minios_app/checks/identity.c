/* SPDX-License-Identifier: MIT */
/*
 * identity: the build-id and banner of the kernel that was found are still in
 * their places, and its page tables still map the image where it was found.
 */
#include <tinyvmi/check.h>

#define BANNER_MAX 512 /* linux_banner is about 200 bytes */

static void compare(struct tv_kernel *k, struct tv_result *res, const char *symbol, uint64_t link_va,
                    const void *expected, size_t n)
{
    uint8_t actual[BANNER_MAX];

    if (n > sizeof(actual))
        n = sizeof(actual);
    if (!guest_read_va(k, link_va + k->delta, actual, n)) {
        res->missing++;
        return;
    }
    res->items++;
    if (memcmp(actual, expected, n) == 0)
        return;

    /* Show the bytes around the first difference. */
    size_t at = 0;
    const uint8_t *want = expected;

    while (actual[at] == want[at])
        at++;
    size_t show = n - at < 16 ? n - at : 16;

    tv_report_finding(res, &(struct tv_finding_args){ .kind = TV_KIND_STRING,
                                                      .symbol = symbol,
                                                      .offset = at,
                                                      .address = link_va + k->delta + at,
                                                      .expected = want + at,
                                                      .expected_size = show,
                                                      .actual = actual + at,
                                                      .actual_size = show });
}

static void compare_mapping(struct tv_kernel *k, struct tv_result *res, const char *symbol, uint64_t link_va)
{
    uint64_t expected = k->text_pa + (link_va - k->profile->text_va);
    struct tv_translation t;
    int err = tv_translate(k, link_va + k->delta, &t);

    if (err == -TV_EIO) {
        res->missing++;
        return;
    }
    res->items++;
    t.pa = err ? 0 : tv_guest_physical(k, t.pa);
    if (t.pa != expected)
        tv_report_finding(res, &(struct tv_finding_args){
                                   .kind = TV_KIND_MAPPING,
                                   .symbol = symbol,
                                   .address = link_va + k->delta,
                                   .expected = &expected,
                                   .expected_size = sizeof(expected),
                                   .actual = &t.pa,
                                   .actual_size = sizeof(t.pa),
                                   .note = err ? "the page tables do not map it"
                                               : "the page tables map it to another frame",
                               });
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    const struct tv_kernel_profile *p = k->profile;

    (void)context;
    (void)budget;

    compare_mapping(k, res, "_text", p->text_va);
    compare_mapping(k, res, "init_top_pgt", p->root_va);
    compare_mapping(k, res, "linux_banner", p->banner_va);
    compare(k, res, "build-id", p->build_id_va, p->build_id, TV_BUILD_ID_SIZE);
    compare(k, res, "linux_banner", p->banner_va, p->banner, strlen(p->banner) + 1);
    tv_result_finalize(res, "nothing of the kernel's identity could be read");
    return TV_STEP_DONE;
}

const struct tv_check tv_check_identity = { .name = "identity", .id = TV_CHECK_IDENTITY, .step = step };
