/* SPDX-License-Identifier: MIT */
/*
 * Vector registers.  The base never touches them: what interrupts a thread leaves them as they are, and
 * Xen keeps them while another domain runs.  Threads share them: none may wait while it needs one.
 * The Xen Project's Mini-OS has nothing of the kind.
 */
#ifndef MINIOS_VECTOR_H
#define MINIOS_VECTOR_H

#define VECTOR_SSE41 1u
#define VECTOR_AVX2  2u
#define VECTOR_SHA   4u /* and SSE4.1 */

/* Ask Xen for the use of what the processor has.  The bits of what may be used from now on. */
unsigned int vector_enable(void);

#endif
