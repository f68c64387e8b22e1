/* SPDX-License-Identifier: MIT */
#ifndef CHECKS_TEXT_DYNAMIC_H
#define CHECKS_TEXT_DYNAMIC_H

#include "internal.h"

/* Does a name from the guest, of TV_OWNER_MAX bytes, begin so? */
static inline bool tv_text_starts_with(const char *name, const char *with)
{
    return memcmp(name, with, strlen(with)) == 0;
}

#endif
