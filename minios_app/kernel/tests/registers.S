/* SPDX-License-Identifier: MIT */
/* Registers filled with a pattern, then something that may lose them. */
#define __ASSEMBLY__ 1
#include <xen/xen.h>

.macro save_kept
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
.endm

/* eax: 1 if the pattern of r8 (in the stack's top word) is still in the preserved registers, else 0. */
.macro check_kept
    popq %rcx
    xorl %eax, %eax
    leaq 1(%rcx), %rsi
    cmpq %rsi, %rbx
    jne 9f
    leaq 2(%rcx), %rsi
    cmpq %rsi, %rbp
    jne 9f
    leaq 3(%rcx), %rsi
    cmpq %rsi, %r12
    jne 9f
    leaq 4(%rcx), %rsi
    cmpq %rsi, %r13
    jne 9f
    leaq 5(%rcx), %rsi
    cmpq %rsi, %r14
    jne 9f
    leaq 6(%rcx), %rsi
    cmpq %rsi, %r15
    jne 9f
    movl $1, %eax
9:  popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.endm

.macro fill_kept pattern
    leaq 1(\pattern), %rbx
    leaq 2(\pattern), %rbp
    leaq 3(\pattern), %r12
    leaq 4(\pattern), %r13
    leaq 5(\pattern), %r14
    leaq 6(\pattern), %r15
.endm

    .text
/* bool preserved_over_call(void (*fn)(void), unsigned long pattern): what a C function must keep. */
    .globl preserved_over_call
    .type preserved_over_call, @function
preserved_over_call:
    save_kept
    pushq %rsi
    fill_kept %rsi
    call *%rdi
    check_kept
    .size preserved_over_call, . - preserved_over_call

/*
 * bool preserved_over_event(unsigned long pattern): with an event pending, a hypercall, behind which Xen delivers it.
 * A hypercall itself changes rax, rcx and r11 only.
 */
    .globl preserved_over_event
    .type preserved_over_event, @function
preserved_over_event:
    save_kept
    pushq %rdi
    fill_kept %rdi
    leaq 7(%rdi), %rdx
    leaq 8(%rdi), %r8
    leaq 9(%rdi), %r9
    leaq 10(%rdi), %r10
    xorl %edi, %edi         /* XENVER_version, NULL */
    xorl %esi, %esi
    call hypercall_page + __HYPERVISOR_xen_version * 32
    orq %rsi, %rdi
    jnz 1f
    movq (%rsp), %rdi
    subq %rdi, %rdx
    subq %rdi, %r8
    subq %rdi, %r9
    subq %rdi, %r10
    cmpq $7, %rdx
    jne 1f
    cmpq $8, %r8
    jne 1f
    cmpq $9, %r9
    jne 1f
    cmpq $10, %r10
    jne 1f
    jmp 2f
1:  movq $0, (%rsp)         /* then the pattern is wrong too */
2:  check_kept
    .size preserved_over_event, . - preserved_over_event

    .section .note.GNU-stack, "", @progbits
