/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * How the text of a message, a header or a body, stands in the log, and how
 * it is read again: in frames, each with its own checksum, so that a part in
 * the middle of a large body costs no more than its frames.
 *
 * The encoded form (docs/format-text.md):
 *
 *   u8   1             version of this form
 *   u8   dictionary    the zstd dictionary of compressed frames; 0: none
 *   u8   frame bits    a frame is 1 << bits octets of the coded text
 *   u8   0
 *   u32  length of the head, with its checksum
 *   var  size          octets of the text
 *   var  segments      0: the coded text is the text
 *        each          var length << 1 | base64; length in the coded text
 *                      base64: var line << 1 | tail
 *   for each frame     var length as stored; u64 XXH3 of those bytes, seeded
 *                      with the frame's number
 *   u64  XXH3 of the head so far
 *   the frames
 *
 * (1) A frame whose stored length is its length stands as it is; otherwise
 *     it is one zstd frame.
 * (2) The coded text is the text, but for base64 segments, which stand
 *     decoded: lines of `line` characters and CR LF, the last line with
 *     CR LF only when tail is set. The encoder has compared.
 * (3) Bytes from disk are input: every number is checked, every frame's
 *     checksum is compared before it is used. ERR_CORRUPT.
 */
#ifndef STORE_BODY_H
#define STORE_BODY_H

#include "base/base.h"
#include "mime/mime.h"

/* Appends the encoded form of text to out. ERR_NOMEM. */
enum err body_encode(str text, struct buf *out) MUST_CHECK;
/* The same for the body of a message whose parts s describes: base64 parts
 * are decoded where that is exact. base: where text begins in the
 * coordinates of s. s may come from a peer; a wrong one costs space only. */
enum err body_encode_parts(
    str text, const struct summary *s, size_t base, struct buf *out) MUST_CHECK;
/* SHA-256, by which a body is known within its account. */
void body_hash(str text, uint8_t hash[32]);

/* Where an encoded text stands. The descriptor stays the caller's. */
struct body_ref {
	int fd;
	uint64_t at, n;
};
struct body;
/* Reads the head. ERR_IO, ERR_CORRUPT. */
enum err body_open(const struct body_ref *ref, struct body **b) MUST_CHECK;
/* The same for encoded bytes in memory, which outlive it. */
enum err body_open_mem(str encoded, struct body **b) MUST_CHECK;
uint64_t body_size(const struct body *b);
/* Exactly n octets of the text from at on, within its size. */
enum err body_read(struct body *b, uint64_t at, void *p, size_t n) MUST_CHECK;
void body_free(struct body **b);
/* Appends the whole text to out. */
enum err body_decode(str encoded, struct buf *out) MUST_CHECK;
/* The same; ERR_CORRUPT when the text has not n octets. */
enum err body_decode_n(str encoded, size_t n, struct buf *out) MUST_CHECK;
/* The whole text, in the arena. ERR_NOMEM when the arena is full. */
enum err
body_load(const struct body_ref *ref, struct arena *ar, str *text) MUST_CHECK;

/* A message, header and then body, to be read in pieces; header.n or body.n
 * may be 0: nothing there. When the last reference goes, and also when this
 * fails, release(arg) is called: it lets go of what holds the descriptors. */
enum err body_source(const struct body_ref *header, const struct body_ref *body,
    void (*release)(void *arg), void *arg, struct source **src) MUST_CHECK;

/* The dictionaries: dict_v1.c was made by make-dict.py and never changes. */
extern const unsigned char body_dict_v1[];
extern const size_t body_dict_v1_len;
/* Of summaries (summary.c): dict_v1_summary.c. */
extern const unsigned char summary_dict_1[];
extern const size_t summary_dict_1_len;

#endif
