/* SPDX-License-Identifier: MIT */
#include "code_owner.h"

#include "function_table.h"

enum tv_code tv_code_entry(struct tv_kernel *k, uint64_t va)
{
    uint64_t offset = va - (k->profile->text_va + k->delta);
    const struct tv_text *text = tv_text_golden(k);

    if (offset >= k->profile->image_size)
        return tv_module_entry(k, va) ? TV_CODE_MODULE : TV_CODE_UNKNOWN;
    if (text && offset < (uint64_t)text->range.npages * TV_PAGE_SIZE &&
        tv_function_at(&text->code, (uint32_t)offset))
        return TV_CODE_KERNEL;
    return TV_CODE_NONE;
}
