/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Numbers and strings as bytes, and back.
 *
 * (1) A decoder that failed stays bad and yields zeros and empty slices;
 *     it never reads past end.
 * (2) One value has one form: a number that could be shorter is refused,
 *     so that checksums and comparisons of bytes compare values.
 */
#include "base/base.h"

#include <endian.h>

void
enc_u8(struct buf *b, uint8_t v)
{
	buf_c(b, (char)v);
}

void
enc_u16(struct buf *b, uint16_t v)
{
	v = htole16(v);
	buf_add(b, &v, sizeof(v));
}

void
enc_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, &v, sizeof(v));
}

void
enc_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_add(b, &v, sizeof(v));
}

void
enc_var(struct buf *b, uint64_t v)
{
	char t[10];
	size_t n = 0;

	while (v >= 0x80) {
		t[n++] = (char)(v | 0x80);
		v >>= 7;
	}
	t[n++] = (char)v;
	buf_add(b, t, n);
}

void
enc_zig(struct buf *b, int64_t v)
{
	enc_var(b, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

void
enc_str(struct buf *b, str s)
{
	enc_var(b, s.n);
	buf_str_add(b, s);
}

void
enc_be32(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	buf_add(b, &v, sizeof(v));
}

void
enc_be64(struct buf *b, uint64_t v)
{
	v = htobe64(v);
	buf_add(b, &v, sizeof(v));
}

/* Copies the next n bytes to out, or marks d bad. */
static bool
fixed(struct dec *d, void *out, size_t n)
{
	if (d->bad || (size_t)(d->end - d->p) < n) {
		d->bad = true;
		return false;
	}
	memcpy(out, d->p, n);
	d->p += n;
	return true;
}

uint8_t
dec_u8(struct dec *d)
{
	uint8_t v;

	return fixed(d, &v, sizeof(v)) ? v : 0;
}

uint16_t
dec_u16(struct dec *d)
{
	uint16_t v;

	return fixed(d, &v, sizeof(v)) ? le16toh(v) : 0;
}

uint32_t
dec_u32(struct dec *d)
{
	uint32_t v;

	return fixed(d, &v, sizeof(v)) ? le32toh(v) : 0;
}

uint64_t
dec_u64(struct dec *d)
{
	uint64_t v;

	return fixed(d, &v, sizeof(v)) ? le64toh(v) : 0;
}

uint64_t
dec_var_long(struct dec *d)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 10 && !d->bad && d->p < d->end; i++) {
		uint8_t c = (uint8_t)*d->p++;

		if ((i == 9 && c > 1) || (i > 0 && c == 0))
			break; /* past 64 bits, or longer than need be: (2) */
		v |= (uint64_t)(c & 0x7f) << (7 * i);
		if (c < 0x80)
			return v;
	}
	d->bad = true;
	return 0;
}

str
dec_str(struct dec *d)
{
	uint64_t n = dec_var(d);

	if (n > SIZE_MAX) {
		d->bad = true;
		return S("");
	}
	return dec_take(d, (size_t)n);
}

str
dec_take(struct dec *d, size_t n)
{
	str s;

	if (d->bad || (size_t)(d->end - d->p) < n) {
		d->bad = true;
		return S("");
	}
	s = (str){d->p, n};
	d->p += n;
	return s;
}

uint32_t
dec_be32(struct dec *d)
{
	uint32_t v;

	return fixed(d, &v, sizeof(v)) ? be32toh(v) : 0;
}

uint64_t
dec_be64(struct dec *d)
{
	uint64_t v;

	return fixed(d, &v, sizeof(v)) ? be64toh(v) : 0;
}
