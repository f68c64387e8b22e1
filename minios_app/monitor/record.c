/* SPDX-License-Identifier: MIT */
#include <tinyvmi/cost.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

static char json[TV_JSON_MAX + 1];
static size_t used;
static bool full;  /* something did not fit: the record is replaced by an error */
static bool comma; /* a value stands before: the next one needs a comma */
static uint32_t next_seq;
static uint64_t began; /* for cost.h */

uint32_t tv_crc32(uint32_t crc, const void *data, size_t n)
{
    const uint8_t *p = data;

    crc = ~crc;
    while (n--) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
    }
    return ~crc;
}

static void put(const char *s, size_t n)
{
    if (n > TV_JSON_MAX - used) {
        full = true;
        return;
    }
    memcpy(json + used, s, n);
    used += n;
}

static void put_text(const char *s)
{
    put(s, strlen(s));
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
static void put_quoted(const char *s)
{
    put("\"", 1);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c >= 0x20 && c <= 0x7e && c != '"' && c != '\\') {
            put(s, 1);
        } else {
            char escape[6] = { '\\', 'u', '0', '0', hex_digit(c >> 4), hex_digit(c) };

            put(escape, sizeof(escape));
        }
    }
    put("\"", 1);
}

static void put_key(const char *key)
{
    if (comma)
        put(",", 1);
    put_quoted(key);
    put(":", 1);
    comma = true;
}

void tv_rec_begin(const char *type)
{
    began = tv_cost_begin();
    used = 0;
    full = false;
    comma = false;
    put("{", 1);
    tv_rec_str("type", type);
}

void tv_rec_str(const char *key, const char *s)
{
    put_key(key);
    put_quoted(s);
}

void tv_rec_uint(const char *key, uint64_t v)
{
    char digits[20];

    put_key(key);
    put(digits, decimal(v, digits));
}

void tv_rec_addr(const char *key, uint64_t v)
{
    char text[18] = "0x";

    for (int i = 0; i < 16; i++)
        text[2 + i] = hex_digit((unsigned int)(v >> (60 - 4 * i)));
    put_key(key);
    put("\"", 1);
    put(text, sizeof(text));
    put("\"", 1);
}

void tv_rec_hex(const char *key, const void *data, size_t n)
{
    const uint8_t *p = data;

    put_key(key);
    put("\"", 1);
    for (; n; n--, p++) {
        char pair[2] = { hex_digit(*p >> 4), hex_digit(*p) };

        put(pair, 2);
    }
    put("\"", 1);
}

void tv_rec_open_array(const char *key)
{
    put_key(key);
    put("[", 1);
    comma = false;
}

void tv_rec_open_object(void)
{
    if (comma)
        put(",", 1);
    put("{", 1);
    comma = false;
}

void tv_rec_close_object(void)
{
    put("}", 1);
    comma = true;
}

void tv_rec_close_array(void)
{
    put("]", 1);
    comma = true;
}

void tv_rec_end(void)
{
    /* "TVMI1 " + seq + " " + crc + " " + json + "\n" */
    static char line[6 + 10 + 1 + 8 + 1 + TV_JSON_MAX + 1];
    char seq[20];
    size_t seq_size = decimal(next_seq, seq), n = 0;
    uint32_t crc;

    put("}", 1);
    if (full) {
        used = 0;
        put_text("{\"type\":\"error\",\"where\":\"record\",\"what\":\"a record was longer than its bound\"}");
    }
    crc = tv_crc32(tv_crc32(tv_crc32(0, seq, seq_size), " ", 1), json, used);
    memcpy(line, "TVMI1 ", 6);
    n = 6;
    memcpy(line + n, seq, seq_size);
    n += seq_size;
    line[n++] = ' ';
    for (int i = 0; i < 8; i++)
        line[n++] = hex_digit(crc >> (28 - 4 * i));
    line[n++] = ' ';
    memcpy(line + n, json, used);
    n += used;
    line[n++] = '\n';
    next_seq++;
    tv_console_write(line, n);
    tv_cost_end(TV_REPORTING, began);
}
