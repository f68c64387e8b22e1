/* SPDX-License-Identifier: MIT */
    .text
/* bool catch_call(void (*fn)(void *), void *arg, unsigned long *sp): true if it came back by catch_resume. */
    .globl catch_call
    .type catch_call, @function
catch_call:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdx)
    movq %rdi, %rax
    movq %rsi, %rdi
    call *%rax
    xorl %eax, %eax
    jmp 1f
    .globl catch_resume
catch_resume:
    movl $1, %eax
1:  popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size catch_call, . - catch_call

    .section .note.GNU-stack, "", @progbits
