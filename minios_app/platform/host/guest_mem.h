/* SPDX-License-Identifier: MIT */
/* The guest-memory interface over a raw image: byte N of the file is guest-physical address N. */
#ifndef TINYVMI_HOST_GUEST_MEM_H
#define TINYVMI_HOST_GUEST_MEM_H

#include <tinyvmi/guest_mem.h>

struct guest_mem {
    int fd;
    uint64_t frames; /* whole pages of the file */
};

#endif
