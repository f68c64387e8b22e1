/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4); the code is generated from templates/c/sha256.c.j2. */
#ifndef TINYVMI_SHA256_H
#define TINYVMI_SHA256_H

#include <tinyvmi/types.h>

#define TV_SHA256_SIZE 32

/* Digest of `n` bytes. */
void tv_sha256(const void *data, size_t n, uint8_t digest[TV_SHA256_SIZE]);

/* Known-answer test; false means that no digest of this run may be trusted. */
bool tv_sha256_self_test(void);

#endif
