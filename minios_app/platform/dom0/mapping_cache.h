/* SPDX-License-Identifier: MIT */
/* Frames that stay mapped one by one, for views that show now this and now that page: walks, lists. */
#ifndef TINYVMI_DOM0_MAPPING_CACHE_H
#define TINYVMI_DOM0_MAPPING_CACHE_H

#include "guest_mem.h"

/* Where frame `gfn` is mapped, from now on; NULL with *err, a negative errno, if it cannot be. */
const uint8_t *cached_frame(struct guest_mem *gm, uint64_t gfn, int *err);

#endif
