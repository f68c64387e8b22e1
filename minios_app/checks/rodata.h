/* SPDX-License-Identifier: MIT */
/*
 * rodata: golden values.
 */
#ifndef CHECKS_RODATA_H
#define CHECKS_RODATA_H

#include "lib/digest_range.h"

TV_GOLDEN(tv_rodata_golden, struct tv_digest_range, TV_CHECK_RODATA)

#endif
