/* SPDX-License-Identifier: MIT */
/* Where functions begin: the table of a stretch of code, the kernel's .text or a module's. */
#ifndef CHECKS_FUNCTION_TABLE_H
#define CHECKS_FUNCTION_TABLE_H

#include "../text/golden.h"

/* The entry of `functions` for the function that begins `offset` bytes into the code, or NULL. */
const uint16_t *tv_function_at(const struct tv_text_code *c, uint32_t offset);

#endif
