/* SPDX-License-Identifier: MIT */
/* text: how the kernel's memory is mapped. */
#include "internal.h"

static void report(const struct tv_text_mapped *m, uint64_t va, const char *note, struct tv_result *res)
{
    tv_report_finding(res, &(struct tv_finding_args){ .kind = TV_KIND_MAPPING,
                                                      .symbol = m->symbol,
                                                      .offset = va - m->base,
                                                      .address = va,
                                                      .note = note });
}

void tv_text_check_rights(struct tv_kernel *k, const struct tv_text_mapped *m, struct tv_result *res)
{
    struct tv_translation tr;

    for (uint64_t va = m->va, end = va + m->size; va < end;) {
        if (tv_translate(k, va, &tr)) {
            va += TV_PAGE_SIZE; /* not there: who reads it reports that */
            continue;
        }
        if (tr.writable)
            report(m, va, "read-only memory of the kernel is mapped writable", res);
        else if (tr.executable && !m->executable)
            report(m, va, "memory that holds no code is mapped executable", res);
        else if (!tr.executable && m->executable)
            report(m, va, "the kernel's code is mapped without execution", res);
        va += tr.size - (va & (tr.size - 1));
    }
}
