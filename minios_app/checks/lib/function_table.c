/* SPDX-License-Identifier: MIT */
#include "function_table.h"

const uint16_t *tv_function_at(const struct tv_text_code *c, uint32_t offset)
{
    uint32_t page = offset / TV_PAGE_SIZE;

    if (page >= c->npages)
        return NULL;
    for (uint32_t i = c->function_index[page]; i < c->function_index[page + 1]; i++)
        if (c->functions[i] % TV_PAGE_SIZE == offset % TV_PAGE_SIZE)
            return &c->functions[i];
    return NULL;
}
