/* SPDX-License-Identifier: MIT */
/* GB/s of each variant that is named: the median, by processor time, of ROUNDS passes over PAGES pages, the variants in turn. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blake3.h"
#include "sha256.h"

#define PAGES  4096
#define ROUNDS 15

static const struct {
    const char *name;
    tv_sha256_code *sha256;
    tv_blake3_code *blake3;
    bool pairs; /* of pages */
} known[] = {
    { "sha256_portable", tv_sha256_portable, NULL, false },
    { "sha256_sha_ni", tv_sha256_sha_ni, NULL, false },
    { "blake3_portable", NULL, tv_blake3_portable, true },
    { "blake3_sse41", NULL, tv_blake3_sse41, true },
    { "blake3_avx2", NULL, tv_blake3_avx2, true },
    { "blake3_avx2_one_by_one", NULL, tv_blake3_avx2, false },
};
#define KNOWN (sizeof(known) / sizeof(known[0]))

static int compare(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

int main(int argc, char **argv)
{
    static double seconds[KNOWN][ROUNDS];
    uint8_t *memory = malloc((size_t)PAGES * TV_PAGE_SIZE), digest[2][32];

    if (!memory)
        return 1;
    for (size_t i = 0; i < (size_t)PAGES * TV_PAGE_SIZE; i++)
        memory[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 1; i < argc; i++) {
            struct timespec from, to;
            size_t k = 0;

            while (strcmp(known[k].name, argv[i]))
                k++;
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
            for (size_t p = 0; p < PAGES; p += 2) {
                const uint8_t *const two[] = { memory + p * TV_PAGE_SIZE, memory + (p + 1) * TV_PAGE_SIZE };

                if (known[k].sha256)
                    tv_sha256_pages(known[k].sha256, two, 2, digest);
                else if (known[k].pairs)
                    tv_blake3_pages(known[k].blake3, two, 2, digest);
                else
                    for (int j = 0; j < 2; j++)
                        tv_blake3(known[k].blake3, two[j], TV_PAGE_SIZE, digest[j]);
                memory[p * TV_PAGE_SIZE] ^= digest[0][0] ^ digest[1][0]; /* nothing may be left out */
            }
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
            seconds[i - 1][round] =
                (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
        }
    }
    for (int i = 1; i < argc; i++) {
        qsort(seconds[i - 1], ROUNDS, sizeof(double), compare);
        printf("%s %.3f\n", argv[i], PAGES * (double)TV_PAGE_SIZE / seconds[i - 1][ROUNDS / 2] / 1e9);
    }
    return 0;
}
