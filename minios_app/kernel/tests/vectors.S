/* SPDX-License-Identifier: MIT */
/* All vector registers filled, then a function that may lose them, then stored. */

.macro over_call name, move, prefix, size
/* void name(void (*fn)(void), const void *before, void *after): sixteen registers of `size` bytes. */
    .globl \name
    .type \name, @function
\name:
    pushq %rbx
    movq %rdx, %rbx
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    \move \n * \size(%rsi), %\prefix\n
    .endr
    call *%rdi
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    \move %\prefix\n, \n * \size(%rbx)
    .endr
    popq %rbx
    ret
    .size \name, . - \name
.endm

    .text
    over_call sse_over_call, movdqu, xmm, 16
    over_call avx_over_call, vmovdqu, ymm, 32

    .section .note.GNU-stack, "", @progbits
