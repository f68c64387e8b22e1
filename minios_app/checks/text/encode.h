/* SPDX-License-Identifier: MIT */
/* text: how the kernel writes instructions into its code. */
#ifndef CHECKS_TEXT_ENCODE_H
#define CHECKS_TEXT_ENCODE_H

#include "../lib/opcodes.h"
#include "internal.h"

/* A displacement at `at` that leads to `target`. */
static inline void tv_text_put_rel32(uint8_t *out, uint32_t at, uint32_t target)
{
    uint32_t v = target - (at + 4);

    memcpy(out, &v, sizeof(v));
}

/* A jmp or call of five bytes at running address, or offset, `at`. */
static inline void tv_text_put_branch(uint8_t *out, uint8_t opcode, uint64_t at, uint64_t target)
{
    out[0] = opcode;
    tv_text_put_rel32(out + 1, (uint32_t)at + 1, (uint32_t)target);
}

static inline uint32_t tv_text_branch_target(const uint8_t *code, uint32_t at)
{
    uint32_t v;

    memcpy(&v, code + 1, sizeof(v));
    return at + TV_BRANCH_SIZE + v;
}

/* The first byte at which two stretches differ; `size`: none. */
static inline uint32_t tv_text_first_difference(const uint8_t *a, const uint8_t *b, uint32_t size)
{
    uint32_t at = 0;

    while (at < size && a[at] == b[at])
        at++;
    return at;
}

/* NOPs of `n` bytes, and the one instruction of five bytes that run-time patching uses. */
void tv_text_put_nops(const struct tv_text_state *s, uint8_t *out, uint32_t n);
void tv_text_put_nop5(const struct tv_text_state *s, uint8_t *out);

/* A return in its five bytes: patch_return() of what is at an offset from _text. */
extern const uint8_t tv_text_plain_return[TV_BRANCH_SIZE];
void tv_text_put_return(const struct tv_text_state *s, uint32_t offset, uint8_t *out);

/* Where a call of the function at `target` leads, through the call-depth accounting if there is one. */
uint32_t tv_text_called_as(const struct tv_text_state *s, uint32_t target);

/* Where a paravirt call leads; `actual`, if not NULL, are the bytes that stand at `at`. */
uint32_t tv_text_pv_target(const struct tv_text_state *s, uint32_t pointer, const uint8_t *actual,
                           uint32_t at);

/* A template's bytes at `offset`. */
void tv_text_fill(const struct tv_text_state *s, const struct tv_text_area *a,
                  const struct tv_text_template *p, uint32_t offset, uint8_t *out);

#endif
