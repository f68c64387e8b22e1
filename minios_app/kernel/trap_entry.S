/* SPDX-License-Identifier: MIT */
/*
 * Where Xen enters for traps and events.  Its bounce frame is rcx, r11, [error
 * code], rip, cs, rflags, rsp, ss, on the interrupted stack.  The way back is
 * always HYPERVISOR_iret: one call restores everything *and* the event mask,
 * so that no event can slip in between (a plain iretq needs a critical region).
 */
#define __ASSEMBLY__ 1
#include <xen/xen.h>

#include "stack_layout.h"

.macro save_all_but_rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %rax
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
.endm

    .text
.macro trap name, vector, has_error=0
    .globl \name
    .type \name, @function
\name:
    popq %rcx
    popq %r11
    .if !\has_error
    pushq $0
    .endif
    pushq %rdi
    movl $\vector, %edi
    jmp trap_common
    .size \name, . - \name
.endm

    trap trap_divide_error, 0
    trap trap_debug, 1
    trap trap_int3, 3
    trap trap_overflow, 4
    trap trap_bounds, 5
    trap trap_invalid_op, 6
    trap trap_no_device, 7
    trap trap_invalid_tss, 10, 1
    trap trap_no_segment, 11, 1
    trap trap_stack_error, 12, 1
    trap trap_gp_fault, 13, 1
    trap trap_page_fault, 14, 1
    trap trap_copro_error, 16
    trap trap_alignment_check, 17, 1
    trap trap_machine_check, 18
    trap trap_simd_error, 19

    .type trap_common, @function
trap_common:
    save_all_but_rdi
    movl %edi, %esi         /* do_trap(regs, vector) */
    movq %rsp, %rdi
    movq %rsp, %rbp
    movq stack_limit, %r12
    movq $0, stack_limit    /* the report may use all of its stack */
    /* On the trap stack already: a trap in the report itself. */
    leaq -8(%rsp), %rax
    subq $trap_stack, %rax
    cmpq $STACK_BYTES, %rax
    jb 1f
    movq $trap_stack_top, %rsp
1:  call do_trap
    jmp return_to_interrupted
    .size trap_common, . - trap_common

    .globl hypervisor_callback
    .type hypervisor_callback, @function
hypervisor_callback:
    popq %rcx
    popq %r11
    pushq $0
    pushq %rdi
    save_all_but_rdi
    movq %rsp, %rdi
    movq %rsp, %rbp
    movq stack_limit, %r12
    movq $irq_stack + STACK_RESERVE, stack_limit
    movq $irq_stack_top, %rsp
    call do_hypervisor_callback
    /* fall through */
    .size hypervisor_callback, . - hypervisor_callback

    .type return_to_interrupted, @function
return_to_interrupted:
    movq %r12, stack_limit
    movq %rbp, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rax
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
    movq $0, (%rsp)         /* in the place of the error code: no VGCF_ flags */
    jmp hypercall_page + __HYPERVISOR_iret * 32
    .size return_to_interrupted, . - return_to_interrupted

/* Xen could not load a segment for us on the way back: nothing of ours does that. */
    .globl failsafe_callback
    .type failsafe_callback, @function
failsafe_callback:
    movq $trap_stack_top, %rsp
    xorl %ebp, %ebp
    call failsafe_report
    ud2
    .size failsafe_callback, . - failsafe_callback

/*
 * Called by the compiler's prologues (-mfentry); changes the flags only.
 * Under PV the trap frame goes to the very stack that ran over, which Xen
 * answers by ending the domain without a word; so overflow is found *before*
 * the guard page is reached, while there is room for a frame.
 */
    .globl __fentry__
    .type __fentry__, @function
__fentry__:
    cmpq stack_limit, %rsp
    jb stack_overflow_trap
    ret
    .globl stack_overflow_trap
stack_overflow_trap:
    ud2
    .size __fentry__, . - __fentry__

/* BUG(): a trap, so that the report has the registers of the caller. */
    .globl do_exit
    .type do_exit, @function
do_exit:
    ud2
    .size do_exit, . - do_exit

    .data
    .globl stack_limit
    .balign 8
stack_limit:
    .quad boot_stack + STACK_RESERVE

    .section .note.GNU-stack, "", @progbits
