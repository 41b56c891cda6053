/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Modified UTF-7, the spelling of mailbox names in IMAP4rev1 (RFC 3501
 * 5.1.3), to and from UTF-8.
 *
 * (1) Strict: a name has exactly one spelling. What another encoder might
 *     have written (ASCII in base64, two adjacent shifts, stray bits,
 *     padding, lone surrogates, raw octets outside 0x20..0x7e) is refused,
 *     so mutf7_put(mutf7_get(x)) is x (R44, R45).
 */
#ifndef PROTO_MUTF7_H
#define PROTO_MUTF7_H

#include "base/base.h"

/* Appends the UTF-8. ERR_INVALID: (1); out is then as it was. */
enum err mutf7_get(struct buf *out, str name) MUST_CHECK;
/* Appends the modified UTF-7. ERR_INVALID: not UTF-8; out as it was. */
enum err mutf7_put(struct buf *out, str utf8) MUST_CHECK;

#endif
