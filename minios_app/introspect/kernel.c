/* SPDX-License-Identifier: MIT */
/* The kernel that was found: its buffers, and how far it has booted. */
#include <tinyvmi/kernel.h>

int tv_kernel_init(struct tv_kernel *k, struct guest_mem *gm)
{
    *k = (struct tv_kernel){
        .gm = gm, .costs = k->costs, .digest = k->digest, .random = k->random, .page_cache = k->page_cache
    };
    if (guest_view_reserve(gm, &k->pt, TV_PT_SLOTS))
        return -TV_ENOMEM;
    tv_pt_cache_flush(k);
    return 0;
}

void tv_kernel_deinit(struct tv_kernel *k)
{
    guest_view_release(k->gm, &k->pt);
}

void tv_kernel_forget(struct tv_kernel *k)
{
    k->profile = NULL;
    k->pv = false;
    k->was_running = false;
    k->stopped = false;
    memset(&k->search, 0, sizeof(k->search));
}

bool tv_kernel_running(struct tv_kernel *k)
{
    uint32_t state;

    if (!k->was_running && guest_read_va(k, k->profile->system_state_va + k->delta, &state, sizeof(state)))
        k->was_running = state >= k->profile->system_running;
    return k->was_running;
}
