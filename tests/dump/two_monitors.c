/* SPDX-License-Identifier: MIT */
/*
 * two_monitors IMAGE OUTPUT [IMAGE OUTPUT]: a monitor for each image, all at once in one process, each with a sink
 * of its own: the file OUTPUT.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/monitor.h"
#include "platform/host/arguments.h"
#include "platform/host/guest_mem.h"

#define RUNS 2

struct one {
    const char *image;
    FILE *output;
    struct guest_mem gm;
    struct tv_run run;
    struct monitor *monitor;
    pthread_t thread;
};

static void write_to_file(void *context, const char *s, size_t n)
{
    if (fwrite(s, 1, n, context) != n)
        abort();
}

static void *run(void *context)
{
    struct one *one = context;

    tv_monitor(one->monitor, &one->gm, &one->run);
    return NULL;
}

static void prepare(struct one *one, const char *image, const char *output)
{
    static char *const arguments[] = { "0123456789abcdef", "4", "10" }; /* nonce, scans, period */
    struct stat st;

    one->gm.fd = open(image, O_RDONLY | O_CLOEXEC);
    one->output = fopen(output, "we");
    one->monitor = malloc(sizeof(*one->monitor));
    if (one->gm.fd < 0 || !one->output || !one->monitor || fstat(one->gm.fd, &st) ||
        image_raw(&one->gm, (uint64_t)st.st_size))
        exit(2);
    one->run = run_of_arguments(3, (char **)arguments);
    one->run.sink = (struct tv_sink){ .write = write_to_file, .context = one->output };
}

int main(int argc, char **argv)
{
    static struct one ones[RUNS];
    int count = (argc - 1) / 2;

    for (int i = 0; i < count && i < RUNS; i++)
        prepare(&ones[i], argv[1 + 2 * i], argv[2 + 2 * i]);
    for (int i = 0; i < count && i < RUNS; i++)
        if (pthread_create(&ones[i].thread, NULL, run, &ones[i]))
            return 2;
    for (int i = 0; i < count && i < RUNS; i++) {
        pthread_join(ones[i].thread, NULL);
        fclose(ones[i].output);
    }
    return 0;
}
