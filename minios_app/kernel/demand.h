/* SPDX-License-Identifier: MIT */
#ifndef BASE_DEMAND_H
#define BASE_DEMAND_H

#include <mini-os/types.h>

bool demand_contains(unsigned long va);
void demand_release(unsigned long va, unsigned long n); /* pages */

#endif
