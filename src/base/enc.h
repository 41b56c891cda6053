/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * How numbers and strings stand on disk and between processes: fixed widths
 * little-endian, variable ones LEB128 (at most 10 bytes, shortest form only),
 * strings as length and bytes; keys of the index big-endian, so that they
 * sort. A reader that runs out or meets a wrong form is marked bad, later
 * gets yield 0 or the empty slice, and dec_end says false: one check at the
 * end is enough.
 */
#ifndef BASE_ENC_H
#define BASE_ENC_H

void enc_u8(struct buf *b, uint8_t v);
void enc_u16(struct buf *b, uint16_t v);
void enc_u32(struct buf *b, uint32_t v);
void enc_u64(struct buf *b, uint64_t v);
void enc_var(struct buf *b, uint64_t v);
void enc_zig(struct buf *b, int64_t v); /* zigzag, then var */
void enc_str(struct buf *b, str s);     /* var length, bytes */
void enc_be32(struct buf *b, uint32_t v);
void enc_be64(struct buf *b, uint64_t v);

struct dec {
	const char *p;
	const char *end;
	bool bad;
};

static inline struct dec
dec_of(str s)
{
	return (struct dec){s.p, s.n == 0 ? s.p : s.p + s.n, false};
}
uint8_t dec_u8(struct dec *d);
uint16_t dec_u16(struct dec *d);
uint32_t dec_u32(struct dec *d);
uint64_t dec_u64(struct dec *d);
uint64_t dec_var_long(struct dec *d); /* dec_var of more than one byte */
/* Most are below 128: no call for those. */
static inline uint64_t
dec_var(struct dec *d)
{
	if (!d->bad && d->p < d->end && (uint8_t)*d->p < 0x80)
		return (uint8_t)*d->p++;
	return dec_var_long(d);
}
static inline int64_t
dec_zig(struct dec *d)
{
	uint64_t v = dec_var(d);

	return (int64_t)((v >> 1) ^ (0 - (v & 1)));
}
str dec_str(struct dec *d); /* a slice of the input */
str dec_take(struct dec *d, size_t n);
uint32_t dec_be32(struct dec *d);
uint64_t dec_be64(struct dec *d);
static inline size_t
dec_left(const struct dec *d)
{
	return d->bad ? 0 : (size_t)(d->end - d->p);
}
/* Nothing went wrong and nothing is left. */
static inline bool
dec_end(const struct dec *d)
{
	return !d->bad && d->p == d->end;
}

#endif
