/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_COMPILER_H
#define MINIOS_COMPILER_H

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier()   __asm__ __volatile__("" ::: "memory")

#define mb()  __asm__ __volatile__("mfence" ::: "memory")
#define rmb() barrier() /* x86 keeps loads in order, and stores in order */
#define wmb() barrier()

#define READ_ONCE(x)     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#endif
