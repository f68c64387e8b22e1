/* SPDX-License-Identifier: MIT */
/* Lengths and fields of x86-64 instructions, for code that the kernel has copied elsewhere. */
#ifndef CHECKS_INSN_H
#define CHECKS_INSN_H

#include <tinyvmi/types.h>

#define TV_INSN_MAX 15 /* bytes of an instruction */

struct tv_insn {
    uint8_t length;
    uint8_t disp_at, disp_size; /* displacement of the memory operand */
    uint8_t imm_at, imm_size;
    bool rip_relative;
    bool branches; /* a direct jump or call: the immediate is its displacement */
};

/*
 * Decode the instruction at `code`, of which `room` bytes may be read.  False
 * if it is none that a kernel has, or is cut short.
 */
bool tv_insn_decode(const uint8_t *code, uint32_t room, struct tv_insn *insn);

/*
 * `code`, `size` bytes that were copied from address `from` to `to`: what is
 * relative and leads out of the copied range is moved.  False if it does not
 * end with an instruction.
 */
bool tv_insn_move(uint8_t *code, uint32_t size, uint64_t from, uint64_t to);

#endif
