/* SPDX-License-Identifier: MIT */
/*
 * A domain with a pattern of its own in all vector registers, that gives its processor away and checks
 * them again.  Command line: a digit, which makes the pattern.  A line a second: `KEEPER sse|avx2 ROUNDS
 * LOST`: after how many absences registers were looked at, and after how many one had changed.
 */
#include <mini-os/hypervisor.h>
#include <mini-os/kernel.h>
#include <mini-os/lib.h>
#include <mini-os/sched.h>
#include <mini-os/time.h>
#include <mini-os/vector.h>

#include <xen/sched.h>

#define REGISTERS 16
#define SPIN_NS   200000 /* with the registers full, so that some absences are Xen's own wish */

static uint8_t before[32 * REGISTERS], after[32 * REGISTERS];
static bool avx;

/* All C here is compiled for general registers only: what is loaded stays until something else runs. */
#define EACH(m)      m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15)
#define LOAD_AVX(n)  __asm__ volatile("vmovdqu %0, %%ymm" #n : : "m"(*(uint8_t (*)[32])(before + 32 * n)));
#define STORE_AVX(n) __asm__ volatile("vmovdqu %%ymm" #n ", %0" : "=m"(*(uint8_t (*)[32])(after + 32 * n)));
#define LOAD_SSE(n)  __asm__ volatile("movdqu %0, %%xmm" #n : : "m"(*(uint8_t (*)[16])(before + 32 * n)));
#define STORE_SSE(n) __asm__ volatile("movdqu %%xmm" #n ", %0" : "=m"(*(uint8_t (*)[16])(after + 32 * n)));

static void fill(uint8_t seed, uint64_t round)
{
    for (uint32_t i = 0; i < sizeof(before); i++)
        before[i] = (uint8_t)((i * 37 + round) * seed + seed);
}

/* Three ways to be away: taken off by Xen, given up, asleep. */
static void be_away(uint64_t round)
{
    uint64_t until = (uint64_t)NOW() + SPIN_NS;

    while ((uint64_t)NOW() < until)
        ;
    if (round % 3 == 1)
        HYPERVISOR_sched_op(SCHEDOP_yield, NULL);
    else if (round % 3 == 2)
        msleep(1);
}

static bool intact(uint64_t round)
{
    memset(after, 0, sizeof(after));
    if (avx) {
        EACH(LOAD_AVX)
        be_away(round);
        EACH(STORE_AVX)
        return !memcmp(before, after, sizeof(before));
    }
    EACH(LOAD_SSE)
    be_away(round);
    EACH(STORE_SSE)
    for (uint32_t n = 0; n < REGISTERS; n++)
        if (memcmp(before + 32 * n, after + 32 * n, 16))
            return false;
    return true;
}

static void misbehave(void *unused)
{
    uint64_t lost = 0, reported = (uint64_t)NOW();

    (void)unused;
    avx = vector_enable() & VECTOR_AVX2;
    for (uint64_t round = 1;; round++) {
        fill((uint8_t)cmdline[0], round);
        lost += !intact(round);
        if ((uint64_t)NOW() - reported < 1000000000)
            continue;
        reported = (uint64_t)NOW();
        printk("KEEPER %s %lu %lu\n", avx ? "avx2" : "sse", round, lost);
    }
}

int app_main(start_info_t *si);
int app_main(start_info_t *si)
{
    (void)si;
    create_thread("misbehave", misbehave, NULL);
    return 0;
}
