/* SPDX-License-Identifier: MIT */
/*
 * The record stream (docs/reference/records.md): one JSON object a line, numbered and protected
 * by a CRC.  A record is built in one buffer and written at once, to the sink that the writer was given.
 */
#ifndef TINYVMI_RECORD_H
#define TINYVMI_RECORD_H

#include <tinyvmi/cost.h>

#define TV_JSON_MAX 2000 /* bytes of the JSON object */
#define TV_LINE_MAX (6 + 10 + 1 + 8 + 1 + TV_JSON_MAX + 1) /* "TVMI1 " seq " " crc " " json "\n" */

/* Where lines go.  It blocks until all `n` bytes are taken, so that a record is never torn. */
struct tv_sink {
    void (*write)(void *context, const char *line, size_t n);
    void *context;
};

struct tv_record_writer {
    struct tv_sink sink;
    struct tv_costs *costs; /* the time that writing takes is counted there */
    uint64_t began;
    uint32_t next_sequence;
    bool overflow; /* something did not fit: the record is replaced by an error */
    bool comma;    /* a value stands before: the next one needs a comma */
    size_t used;   /* of `json` */
    char json[TV_JSON_MAX + 1];
    char line[TV_LINE_MAX];
};

void tv_record_writer_init(struct tv_record_writer *w, const struct tv_sink *sink, struct tv_costs *costs);

void tv_record_begin(struct tv_record_writer *w, const char *type);
void tv_record_string(struct tv_record_writer *w, const char *key,
                      const char *s); /* always escaped: it may be the guest's */
void tv_record_uint(struct tv_record_writer *w, const char *key, uint64_t v);
void tv_record_address(struct tv_record_writer *w, const char *key, uint64_t v); /* "0x%016x" */
void tv_record_hex(struct tv_record_writer *w, const char *key, const void *data, size_t n);
void tv_record_open_array(struct tv_record_writer *w, const char *key);
void tv_record_open_object(struct tv_record_writer *w);
void tv_record_close_object(struct tv_record_writer *w);
void tv_record_close_array(struct tv_record_writer *w);
void tv_record_end(struct tv_record_writer *w);

#endif
