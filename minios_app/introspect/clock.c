/* SPDX-License-Identifier: MIT */
/* What an image in memory has of its kernel: its clock, and whether that has ended. */
#include "internal.h"

/* A PV guest's frames lie here and there: it is read through its root. */
bool tv_read_image(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t text_pa, uint64_t link_va,
                   void *dst, size_t n)
{
    return k->pv ? guest_read_va(k, link_va, dst, n)
                 : guest_read_pa(k, text_pa + (link_va - p->text_va), dst, n);
}

void tv_clock_read(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t text_pa,
                   struct tv_clock *clock)
{
    memset(clock, 0, sizeof(*clock));
    if (p->clock_va &&
        (!tv_read_image(k, p, text_pa, p->clock_va + p->clock_source, &clock->source,
                        sizeof(clock->source)) ||
         !tv_read_image(k, p, text_pa, p->clock_va + p->clock_cycle, &clock->cycle, sizeof(clock->cycle)) ||
         !tv_read_image(k, p, text_pa, p->clock_va + p->clock_real, &clock->real, sizeof(clock->real))))
        memset(clock, 0, sizeof(*clock));
}

bool tv_clock_moved(const struct tv_clock *then, const struct tv_clock *now)
{
    return then->source && then->source == now->source && then->cycle != now->cycle;
}

bool tv_has_ended(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t text_pa)
{
    uint32_t state;

    return tv_read_image(k, p, text_pa, p->system_state_va, &state, sizeof(state)) &&
           state > p->system_running && state < p->system_suspend;
}
