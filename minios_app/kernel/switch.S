/* SPDX-License-Identifier: MIT */
/* From thread to thread: only what a C function must keep is saved. */
    .text
    .globl arch_switch_threads
    .type arch_switch_threads, @function
arch_switch_threads: /* (struct thread *prev, struct thread *next) */
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)       /* thread.sp */
    movq (%rsi), %rsp
    movq 8(%rsi), %rax      /* thread.stack_limit */
    movq %rax, stack_limit
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size arch_switch_threads, . - arch_switch_threads

/* The first return address on a new stack. */
    .globl thread_starter
    .type thread_starter, @function
thread_starter:
    xorl %ebp, %ebp
    call thread_main
    ud2
    .size thread_starter, . - thread_starter

    .section .note.GNU-stack, "", @progbits
