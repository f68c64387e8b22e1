/* SPDX-License-Identifier: MIT */
#include <tinyvmi/crc32.h>
#include <tinyvmi/record.h>

void tv_record_writer_init(struct tv_record_writer *w, const struct tv_sink *sink, struct tv_costs *costs)
{
    w->sink = *sink;
    w->costs = costs;
    w->next_sequence = 0;
    w->used = 0;
    w->overflow = w->comma = false;
}

static void put(struct tv_record_writer *w, const char *s, size_t n)
{
    if (n > TV_JSON_MAX - w->used) {
        w->overflow = true;
        return;
    }
    memcpy(w->json + w->used, s, n);
    w->used += n;
}

static void put_text(struct tv_record_writer *w, const char *s)
{
    put(w, s, strlen(s));
}

static char hex_digit(unsigned int v)
{
    return "0123456789abcdef"[v & 15];
}

/* Decimal digits of `v` in `out` (20 at most); their number. */
static size_t decimal(uint64_t v, char out[20])
{
    char reversed[20];
    size_t n = 0;

    do
        reversed[n++] = (char)('0' + v % 10);
    while (v /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    return n;
}

/* Hostile text: nothing but printable ASCII without quotes goes out as it is. */
static void put_quoted(struct tv_record_writer *w, const char *s)
{
    put(w, "\"", 1);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c >= 0x20 && c <= 0x7e && c != '"' && c != '\\') {
            put(w, s, 1);
        } else {
            char escape[6] = { '\\', 'u', '0', '0', hex_digit(c >> 4), hex_digit(c) };

            put(w, escape, sizeof(escape));
        }
    }
    put(w, "\"", 1);
}

static void put_key(struct tv_record_writer *w, const char *key)
{
    if (w->comma)
        put(w, ",", 1);
    put_quoted(w, key);
    put(w, ":", 1);
    w->comma = true;
}

void tv_record_begin(struct tv_record_writer *w, const char *type)
{
    w->began = tv_cost_begin(w->costs);
    w->used = 0;
    w->overflow = w->comma = false;
    put(w, "{", 1);
    tv_record_string(w, "type", type);
}

void tv_record_string(struct tv_record_writer *w, const char *key, const char *s)
{
    put_key(w, key);
    put_quoted(w, s);
}

void tv_record_uint(struct tv_record_writer *w, const char *key, uint64_t v)
{
    char digits[20];

    put_key(w, key);
    put(w, digits, decimal(v, digits));
}

void tv_record_address(struct tv_record_writer *w, const char *key, uint64_t v)
{
    char text[18] = "0x";

    for (int i = 0; i < 16; i++)
        text[2 + i] = hex_digit((unsigned int)(v >> (60 - 4 * i)));
    put_key(w, key);
    put(w, "\"", 1);
    put(w, text, sizeof(text));
    put(w, "\"", 1);
}

void tv_record_hex(struct tv_record_writer *w, const char *key, const void *data, size_t n)
{
    const uint8_t *p = data;

    put_key(w, key);
    put(w, "\"", 1);
    for (; n; n--, p++) {
        char pair[2] = { hex_digit(*p >> 4), hex_digit(*p) };

        put(w, pair, 2);
    }
    put(w, "\"", 1);
}

void tv_record_open_array(struct tv_record_writer *w, const char *key)
{
    put_key(w, key);
    put(w, "[", 1);
    w->comma = false;
}

void tv_record_open_object(struct tv_record_writer *w)
{
    if (w->comma)
        put(w, ",", 1);
    put(w, "{", 1);
    w->comma = false;
}

void tv_record_close_object(struct tv_record_writer *w)
{
    put(w, "}", 1);
    w->comma = true;
}

void tv_record_close_array(struct tv_record_writer *w)
{
    put(w, "]", 1);
    w->comma = true;
}

void tv_record_end(struct tv_record_writer *w)
{
    char *line = w->line;
    char seq[20];
    size_t seq_size = decimal(w->next_sequence, seq), n = 0;
    uint32_t crc;

    put(w, "}", 1);
    if (w->overflow) {
        w->used = 0;
        put_text(w,
                 "{\"type\":\"error\",\"where\":\"record\",\"what\":\"a record was longer than its bound\"}");
    }
    crc = tv_crc32(tv_crc32(tv_crc32(0, seq, seq_size), " ", 1), w->json, w->used);
    memcpy(line, "TVMI1 ", 6);
    n = 6;
    memcpy(line + n, seq, seq_size);
    n += seq_size;
    line[n++] = ' ';
    for (int i = 0; i < 8; i++)
        line[n++] = hex_digit(crc >> (28 - 4 * i));
    line[n++] = ' ';
    memcpy(line + n, w->json, w->used);
    n += w->used;
    line[n++] = '\n';
    w->next_sequence++;
    TV_ASSERT(n <= sizeof(w->line));
    w->sink.write(w->sink.context, line, n);
    tv_cost_end(w->costs, TV_PHASE_REPORTING, w->began);
}
