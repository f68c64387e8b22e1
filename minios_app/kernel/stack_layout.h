/* SPDX-License-Identifier: MIT */
/* Sizes of stacks, for C and assembly. */
#ifndef BASE_STACK_LAYOUT_H
#define BASE_STACK_LAYOUT_H

#define STACK_BYTES 32768 /* STACK_SIZE of mini-os/mm.h */

/*
 * A function may be entered only while so many bytes are left: enough for its
 * own frame (the build allows 3,072 bytes, -Wframe-larger-than) and then for a
 * trap's or an event's frame (168 bytes).
 */
#define STACK_RESERVE 4096

#endif
