/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * UTF-8 (RFC 3629), by utf8proc where Unicode's tables are needed.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

/* Well-formed: no overlong form, no surrogate, <= U+10FFFF. NUL is allowed:
 * grammars that forbid it say so themselves. */
bool utf8_valid(str s);
/* One code point at the start of s: its length in bytes (1..4) and *cp, or
 * 0 when s is empty or malformed there. */
size_t utf8_get(str s, uint32_t *cp);
void utf8_put(struct buf *b, uint32_t cp); /* cp must be a scalar value */
/* Normalisation form C. ERR_INVALID: not well-formed UTF-8. */
enum err utf8_nfc(struct buf *out, str s) MUST_CHECK;
/* For comparing: decomposed, case folded, default-ignorables kept
 * (i;unicode-casemap in spirit, RFC 5051). Malformed bytes pass as they
 * are. ASCII input takes a short way. */
void utf8_fold(struct buf *out, str s);

#endif
