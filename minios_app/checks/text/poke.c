/* SPDX-License-Identifier: MIT */
/*
 * text: the kernel's account of what it is patching just now.  While it
 * replaces instructions, each begins with INT3, and an array names them all
 * (smp_text_poke_batch_finish(), before 6.16 text_poke_bp_batch()).  It
 * explains why to read again, and never what stands there: whoever can write
 * the array can write the breakpoint.
 */
#include "internal.h"

#define POKES_MAX 256 /* TP_VEC_MAX: PAGE_SIZE / sizeof(struct text_poke_loc) */

bool tv_text_poked(struct tv_text_state *s, struct tv_kernel *k, uint64_t va)
{
    const struct tv_text_poke *p = &s->t->poke;
    uint64_t vector = s->text + p->vector;
    int32_t count = 0, refs = 1;

    if ((p->refs && !guest_read_va(k, s->text + p->refs, &refs, sizeof(refs))) || refs <= 0 ||
        !guest_read_va(k, s->text + p->count, &count, sizeof(count)) ||
        (p->indirect && !guest_read_va(k, vector, &vector, sizeof(vector))))
        return false;
    for (int32_t i = 0; i < count && i < POKES_MAX && tv_text_walk_on(s); i++) {
        int32_t address;

        if (!guest_read_va(k, vector + (uint64_t)i * p->size + p->address, &address, sizeof(address)))
            return false;
        if (s->text + p->base + (uint64_t)(int64_t)address == va)
            return true;
    }
    return false;
}
