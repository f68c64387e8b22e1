/* SPDX-License-Identifier: MIT */
/* First bytes of the x86-64 instructions that the kernel writes into its own code. */
#ifndef CHECKS_OPCODES_H
#define CHECKS_OPCODES_H

#define TV_OP_NOP    0x90
#define TV_OP_RET    0xc3
#define TV_OP_INT3   0xcc
#define TV_OP_CALL   0xe8 /* rel32 */
#define TV_OP_JMP32  0xe9
#define TV_OP_JMP8   0xeb
#define TV_OP_LOCK   0xf0 /* prefix */
#define TV_OP_GROUP5 0xff /* indirect call and jmp, by the ModRM byte */
#define TV_OP_CS     0x2e /* prefix */
#define TV_OP_DS     0x3e /* prefix: what LOCK becomes with one processor */
#define TV_OP_REX_B  0x41 /* prefix: the register is r8 or above */

#define TV_BRANCH_SIZE 5 /* bytes of a call or jmp with rel32 */

#endif
