/* SPDX-License-Identifier: MIT */
/* What Xen's domain builders read and enter: ELF notes (public elfnote.h), hypercall page, first instruction. */
#define __ASSEMBLY__ 1
#include <xen/elfnote.h>

#include "stack_layout.h"

#define PAGE_SIZE 4096

.macro xen_note type, data:vararg
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 2f - 1f, 4f - 3f, \type
1:  .asciz "Xen"
2:  .balign 4
3:  \data
4:  .balign 4
    .popsection
.endm

    xen_note XEN_ELFNOTE_GUEST_OS,       .asciz "TinyVMI"
    xen_note XEN_ELFNOTE_GUEST_VERSION,  .asciz "1"
    xen_note XEN_ELFNOTE_XEN_VERSION,    .asciz "xen-3.0"
    xen_note XEN_ELFNOTE_LOADER,         .asciz "generic"
    xen_note XEN_ELFNOTE_FEATURES,       .asciz "pae_pgdir_above_4gb"
    xen_note XEN_ELFNOTE_VIRT_BASE,      .quad 0
    xen_note XEN_ELFNOTE_PADDR_OFFSET,   .quad 0
    xen_note XEN_ELFNOTE_ENTRY,          .quad _start
    xen_note XEN_ELFNOTE_HYPERCALL_PAGE, .quad hypercall_page

    .section .text.entry, "ax", @progbits
    .globl _start
    .type _start, @function
_start: /* rsi: start_info */
    cld
    movq $boot_stack_top, %rsp
    xorl %ebp, %ebp
    movq %rsi, %rdi
    call start_kernel
    ud2
    .size _start, . - _start

    .balign PAGE_SIZE
    .globl hypercall_page
    .type hypercall_page, @function
hypercall_page:
    .skip PAGE_SIZE
    .size hypercall_page, . - hypercall_page

/* Each stack grows down to a page that arch_init_mm() takes away. */
.macro stack name, size
    .balign PAGE_SIZE
    .globl \name\()_guard, \name, \name\()_top
\name\()_guard:
    .skip PAGE_SIZE
\name:
    .skip \size
\name\()_top:
.endm

    .section .stacks, "aw", @nobits
    stack boot_stack, STACK_BYTES
    stack irq_stack, STACK_BYTES
    stack trap_stack, STACK_BYTES

    /* Xen's shared page is mapped over this one. */
    .balign PAGE_SIZE
    .globl shared_info_page
shared_info_page:
    .skip PAGE_SIZE

    .section .note.GNU-stack, "", @progbits
