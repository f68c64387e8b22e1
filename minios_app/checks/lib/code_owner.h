/* SPDX-License-Identifier: MIT */
/* Whose code is at an address: for checks of where a pointer leads. */
#ifndef CHECKS_CODE_OWNER_H
#define CHECKS_CODE_OWNER_H

#include <tinyvmi/kernel.h>

enum tv_code {
    TV_CODE_NONE,    /* no code: in the kernel's image, but no function begins there */
    TV_CODE_KERNEL,  /* a function of .text begins there, whose bytes the check `text` compares */
    TV_CODE_MODULE,  /* a function of a module begins there whose bytes are verified, too */
    TV_CODE_UNKNOWN, /* outside of the kernel's image, and nothing has verified what is there */
};

/* What begins at running address `va`. */
enum tv_code tv_code_entry(struct tv_kernel *k, uint64_t va);

#endif
