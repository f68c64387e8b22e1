/* SPDX-License-Identifier: MIT */
/* Whose code is at an address: for checks that judge where a pointer leads. */
#ifndef CHECKS_CODE_H
#define CHECKS_CODE_H

#include <tinyvmi/kernel.h>

enum tv_code {
    TV_CODE_NONE,    /* not code that anybody owns: in the kernel's image, but no function begins there */
    TV_CODE_KERNEL,  /* a function of .text begins there, whose bytes the check `text` compares */
    TV_CODE_MODULE,  /* a function of a module begins there whose bytes are verified, too */
    TV_CODE_UNKNOWN, /* outside of the kernel's image, and nobody has verified what is there */
};

/* What begins at running address `va`. */
enum tv_code tv_code_entry(struct tv_kernel *k, uint64_t va);

#endif
