/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "guest_mem.h"

static int append(struct guest_mem *gm, struct image_range range, size_t *room)
{
    if (gm->nranges == *room) {
        size_t more = *room ? 2 * *room : 16;
        struct image_range *grown = realloc(gm->ranges, more * sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        gm->ranges = grown;
        *room = more;
    }
    gm->ranges[gm->nranges++] = range;
    gm->frames = range.gfn + range.count;
    return 0;
}

int image_raw(struct guest_mem *gm, uint64_t size)
{
    struct image_range all = { .gfn = 0, .count = size / TV_PAGE_SIZE, .offset = 0 };
    size_t room = 0;

    return append(gm, all, &room);
}

int image_map(struct guest_mem *gm, const char *path, uint64_t size)
{
    FILE *f = fopen(path, "re");
    struct image_range r;
    size_t room = 0;
    int got, err = 0;

    if (!f)
        return -errno;
    while (!err && (got = fscanf(f, "%" SCNu64 " %" SCNu64 " %" SCNu64, &r.gfn, &r.count, &r.offset)) == 3) {
        bool valid = r.gfn >= gm->frames && r.count && r.gfn < IMAGE_MAX_GFN &&
                     r.count <= IMAGE_MAX_GFN - r.gfn && r.offset <= size &&
                     r.count <= (size - r.offset) / TV_PAGE_SIZE;

        err = valid ? append(gm, r, &room) : -EINVAL;
    }
    if (!err && (got != EOF || ferror(f) || !gm->nranges))
        err = -EINVAL;
    fclose(f);
    return err;
}
