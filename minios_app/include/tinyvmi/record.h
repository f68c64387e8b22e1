/* SPDX-License-Identifier: MIT */
/*
 * The record stream (docs/reference/records.md): one JSON object a
 * line, numbered and protected by a CRC.  A record is built in one buffer and
 * written at once.
 */
#ifndef TINYVMI_RECORD_H
#define TINYVMI_RECORD_H

#include <tinyvmi/types.h>

#define TV_JSON_MAX 2000 /* bytes of the JSON object */

uint32_t tv_crc32(uint32_t crc, const void *data, size_t n); /* IEEE 802.3, as zlib's crc32() */

void tv_rec_begin(const char *type);
void tv_rec_str(const char *key, const char *s); /* trusted or hostile: always escaped */
void tv_rec_uint(const char *key, uint64_t v);
void tv_rec_addr(const char *key, uint64_t v); /* "0x%016x" */
void tv_rec_hex(const char *key, const void *data, size_t n);
void tv_rec_open_array(const char *key);
void tv_rec_open_object(void);
void tv_rec_close_object(void);
void tv_rec_close_array(void);
void tv_rec_end(void);

#endif
