/* SPDX-License-Identifier: MIT */
/*
 * Fixed work in the target, for `tinyvmi-build bench`: `work cpu|memory|fork N`
 * does N pieces of it and prints how long that took, in microseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (16u << 20) /* bytes: more than a cache holds */

static volatile unsigned long sink;

/* A million dependent steps of a linear congruential generator (Knuth's MMIX). */
static void cpu(void)
{
    unsigned long x = sink;

    for (int i = 0; i < 1000000; i++)
        x = x * 6364136223846793005ul + 1442695040888963407ul;
    sink = x;
}

/* Read the whole buffer, write every second cache line. */
static void memory(void)
{
    static unsigned long *words;
    unsigned long total = 0;

    if (!words && !(words = calloc(1, BUFFER)))
        exit(1);
    for (size_t i = 0; i < BUFFER / sizeof(*words); i++)
        total += words[i];
    for (size_t i = 0; i < BUFFER / sizeof(*words); i += 16)
        words[i] = total;
    sink = total;
}

/* A child that ends at once. */
static void process(void)
{
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    if (child < 0 || waitpid(child, NULL, 0) != child)
        exit(1);
}

static const struct {
    const char *name;
    void (*work)(void);
} kinds[] = { { "cpu", cpu }, { "memory", memory }, { "fork", process } };

int main(int argc, char **argv)
{
    struct timespec start, end;

    for (size_t k = 0; argc == 3 && k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        long pieces = strtol(argv[2], NULL, 10);

        if (strcmp(argv[1], kinds[k].name) != 0)
            continue;
        kinds[k].work(); /* what is done once is done before */
        clock_gettime(CLOCK_MONOTONIC, &start);
        while (pieces-- > 0)
            kinds[k].work();
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%ld\n", (end.tv_sec - start.tv_sec) * 1000000 + (end.tv_nsec - start.tv_nsec) / 1000);
        return 0;
    }
    fprintf(stderr, "usage: work cpu|memory|fork PIECES\n");
    return 2;
}
