/* SPDX-License-Identifier: MIT */
/* CRC-32 (IEEE 802.3), as zlib's crc32(): of records, and of lines of pages.  It finds faults, not attackers. */
#ifndef TINYVMI_CRC32_H
#define TINYVMI_CRC32_H

#include <tinyvmi/types.h>

/* The sum of what `crc` is the sum of (0: nothing), followed by `n` bytes of `data`. */
uint32_t tv_crc32(uint32_t crc, const void *data, size_t n);

#endif
