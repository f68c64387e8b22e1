/* SPDX-License-Identifier: MIT */
/* The guest-memory interface over a memory image: a file, and which guest frames lie where in it. */
#ifndef TINYVMI_HOST_GUEST_MEM_H
#define TINYVMI_HOST_GUEST_MEM_H

#include <tinyvmi/guest_vcpu.h>

/* `count` frames from `gfn` on lie at byte `offset` of the file, which need not be page-aligned. */
struct image_range {
    uint64_t gfn, count, offset;
};

struct guest_mem {
    int fd;
    bool live; /* the memory of a guest that runs all the time, not an image of it */
    uint64_t frames; /* one more than the highest gfn */
    struct image_range *ranges; /* ascending, disjoint, wholly in the file */
    size_t nranges;
    struct guest_vcpu *vcpus; /* registers that were saved too; those without any are offline */
    uint32_t nvcpus;
};

/* A raw image of `size` bytes: byte N is guest-physical address N.  0 or -errno. */
int image_raw(struct guest_mem *gm, uint64_t size);

/*
 * Ranges from the text file `path`, one a line, three decimal numbers: gfn,
 * count, offset.  0 or -errno; -EINVAL if they are not ascending, disjoint,
 * below IMAGE_MAX_GFN and within the image's `size` bytes.
 */
int image_map(struct guest_mem *gm, const char *path, uint64_t size);

/*
 * Registers from the text file `path`, one a line: number of the vCPU, name (platform/host/vcpu.c),
 * value in hex.  0 or -errno; -EINVAL for a line that is none, or a file without any.
 */
int image_registers(struct guest_mem *gm, const char *path);

#define IMAGE_MAX_GFN (UINT64_C(1) << 34) /* 64 TiB: bounds the search for a kernel */

#endif
