/* SPDX-License-Identifier: MIT */
#include "code_owner.h"

#include "../text/internal.h"

enum tv_code tv_code_entry(struct tv_kernel *k, uint64_t va)
{
    uint64_t offset = va - (k->profile->text_va + k->delta);

    if (offset >= k->profile->image_size)
        return tv_module_entry(k, va) ? TV_CODE_MODULE : TV_CODE_UNKNOWN;
    if (tv_text_golden(k) && offset < (uint64_t)tv_text_golden(k)->range.npages * TV_PAGE_SIZE &&
        tv_text_is_function(tv_text_golden(k), (uint32_t)offset))
        return TV_CODE_KERNEL;
    return TV_CODE_NONE;
}
