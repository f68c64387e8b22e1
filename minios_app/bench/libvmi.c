/* SPDX-License-Identifier: MIT */
/*
 * What LibVMI needs to read pages of a guest, for `tinyvmi-build bench --libvmi`:
 * PROGRAM DOMAIN ADDRESS PAGES ROUNDS reads PAGES pages from physical ADDRESS on, ROUNDS times,
 * and prints a line "read ROUND NS PAGES" for each.  Each page is summed, as limit.c does.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <libvmi/libvmi.h>

#define PAGE 4096

static volatile uint64_t sink;

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
    static uint64_t page[PAGE / sizeof(uint64_t)];
    vmi_instance_t vmi = NULL;
    vmi_init_error_t error = VMI_INIT_ERROR_NONE;

    if (argc != 5) {
        fprintf(stderr, "usage: %s DOMAIN ADDRESS PAGES ROUNDS\n", argv[0]);
        return 2;
    }
    uint64_t address = strtoull(argv[2], NULL, 0), pages = strtoull(argv[3], NULL, 0);
    unsigned long rounds = strtoul(argv[4], NULL, 0);

    if (vmi_init(&vmi, VMI_XEN, argv[1], VMI_INIT_DOMAINNAME, NULL, &error) == VMI_FAILURE) {
        fprintf(stderr, "error: LibVMI does not open domain %s (%d)\n", argv[1], (int)error);
        return 4;
    }
    for (unsigned long round = 0; round < rounds; round++) {
        uint64_t start = now();

        for (uint64_t i = 0; i < pages; i++) {
            size_t got = 0;

            if (vmi_read_pa(vmi, address + i * PAGE, PAGE, page, &got) == VMI_FAILURE || got != PAGE) {
                fprintf(stderr, "error: page %" PRIu64 " cannot be read\n", i);
                return 4;
            }
            for (size_t w = 0; w < PAGE / sizeof(page[0]); w++)
                sink += page[w];
        }
        printf("read %lu %" PRIu64 " %" PRIu64 "\n", round, now() - start, pages);
        fflush(stdout);
    }
    vmi_destroy(vmi);
    return 0;
}
