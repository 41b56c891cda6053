/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Base 64 (RFC 4648 section 4), strict: for protocols. (What mail calls
 * base64 is decoded leniently, in mime.)
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

void base64_put(struct buf *out, str s);
/* Whole input, padded, no white space, no stray bits (R36).
 * ERR_INVALID otherwise; out is then as it was. */
enum err base64_get(struct buf *out, str s) MUST_CHECK;
void hex_put(struct buf *out, str s); /* lower case */
enum err hex_get(struct buf *out, str s) MUST_CHECK;

#endif
