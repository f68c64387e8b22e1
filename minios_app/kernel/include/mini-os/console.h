/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_CONSOLE_H
#define MINIOS_CONSOLE_H

#include <mini-os/types.h>
#include <stdarg.h>

void init_console(void);

/* One call is one uninterrupted piece of output, up to 1,024 characters (the rest is cut). */
void printk(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, straight to Xen's own console; shown only if Xen lets the guest. */
void xprintk(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Write `n` bytes as one uninterrupted piece.  Waits until the console has
 * taken all of them: a thread sleeps, everything else polls.
 */
void console_write(const char *s, size_t n);

/*
 * Write what there is room for now, as it is (no CR before LF), and return
 * how many bytes that was.  `dev` is NULL: the one console.
 */
struct consfront_dev;
int xencons_ring_send(struct consfront_dev *dev, const char *data, unsigned int len);

/* The domain is about to end: write without regard to who holds the console. */
void console_enter_crash(void);

/* Wait until the reader has taken what was written, at most `timeout_ms`. */
void console_flush(unsigned int timeout_ms);

#endif
