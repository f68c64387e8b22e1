/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_TYPES_H
#define MINIOS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef long ssize_t;
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* update_va_mapping takes the whole entry; a structure keeps it apart from an address. */
typedef struct {
    unsigned long pte;
} pte_t;

#define __pte(x) ((pte_t){ (x) })

#endif
