/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Base64 in lines, as attachments have it. Those that stand decoded in the
 * store are encoded again whenever they are read, so this is the inner loop
 * of sending mail: with vectors where the processor has them, which is seen
 * when the program runs.
 *
 * (1) Vectors are loaded and stored whole, and may reach over the end of a
 *     line; what they leave there is written over by what follows. So they
 *     are used only while SPARE octets follow the line: nothing is read
 *     behind the source's end or written behind the text's.
 * (2) Without vectors the octets are the same; the tests compare.
 */
#include "mime/mime_int.h"

static const char alphabet[64] = {"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789+/"};

struct text {
	const unsigned char *s;
	size_t left; /* of s */
	char *o;
};

static char *
encode(const unsigned char *s, size_t n, char *o)
{
	for (; n >= 3; n -= 3, s += 3, o += 4) {
		o[0] = alphabet[s[0] >> 2];
		o[1] = alphabet[(s[0] & 3) << 4 | s[1] >> 4];
		o[2] = alphabet[(s[1] & 15) << 2 | s[2] >> 6];
		o[3] = alphabet[s[2] & 63];
	}
	if (n > 0) {
		unsigned b = n > 1 ? s[1] : 0;

		o[0] = alphabet[s[0] >> 2];
		o[1] = alphabet[(s[0] & 3) << 4 | b >> 4];
		o[2] = n > 1 ? alphabet[(b & 15) << 2] : '=';
		o[3] = '=';
		o += 4;
	}
	return o;
}

#if defined(__x86_64__)
#include <immintrin.h>

/* (1): the widest load begins within a line and has 28 octets; the same
 * octets encoded are more than what a store reaches over. */
#define SPARE 32

/* Twelve octets, of the sixteen loaded, to sixteen characters. The method
 * is Wojciech Mula's: bits to their places by two multiplications, and the
 * distance from value to character from a table of 16. */
__attribute__((target("ssse3"))) static inline __m128i
encode12(__m128i in)
{
	const __m128i order =
	    _mm_set_epi8(10, 11, 9, 10, 7, 8, 6, 7, 4, 5, 3, 4, 1, 2, 0, 1);
	const __m128i shift = _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52,
	    '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
	    '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
	__m128i hi, lo, v, row;

	in = _mm_shuffle_epi8(in, order);
	hi = _mm_mulhi_epu16(_mm_and_si128(in, _mm_set1_epi32(0x0fc0fc00)),
	    _mm_set1_epi32(0x04000040));
	lo = _mm_mullo_epi16(_mm_and_si128(in, _mm_set1_epi32(0x003f03f0)),
	    _mm_set1_epi32(0x01000010));
	v = _mm_or_si128(hi, lo);
	row = _mm_subs_epu8(v, _mm_set1_epi8(51));
	row = _mm_or_si128(
	    row, _mm_and_si128(
		     _mm_cmpgt_epi8(_mm_set1_epi8(26), v), _mm_set1_epi8(13)));
	return _mm_add_epi8(_mm_shuffle_epi8(shift, row), v);
}

/* The same for two times twelve. */
__attribute__((target("avx2"))) static inline __m256i
encode24(__m256i in)
{
	const __m256i order = _mm256_broadcastsi128_si256(
	    _mm_set_epi8(10, 11, 9, 10, 7, 8, 6, 7, 4, 5, 3, 4, 1, 2, 0, 1));
	const __m256i shift =
	    _mm256_broadcastsi128_si256(_mm_setr_epi8('a' - 26, '0' - 52,
		'0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
		'0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0));
	__m256i hi, lo, v, row;

	in = _mm256_shuffle_epi8(in, order);
	hi = _mm256_mulhi_epu16(
	    _mm256_and_si256(in, _mm256_set1_epi32(0x0fc0fc00)),
	    _mm256_set1_epi32(0x04000040));
	lo = _mm256_mullo_epi16(
	    _mm256_and_si256(in, _mm256_set1_epi32(0x003f03f0)),
	    _mm256_set1_epi32(0x01000010));
	v = _mm256_or_si256(hi, lo);
	row = _mm256_subs_epu8(v, _mm256_set1_epi8(51));
	row = _mm256_or_si256(
	    row, _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(26), v),
		     _mm256_set1_epi8(13)));
	return _mm256_add_epi8(_mm256_shuffle_epi8(shift, row), v);
}

__attribute__((target("ssse3"))) static void
lines_ssse3(struct text *t, size_t per)
{
	for (; t->left >= per + SPARE; t->left -= per) {
		char *o = t->o;

		for (size_t k = 0; k < per; k += 12, o += 16)
			_mm_storeu_si128((__m128i *)(void *)o,
			    encode12(_mm_loadu_si128(
				(const __m128i *)(const void *)(t->s + k))));
		t->s += per;
		t->o += per / 3 * 4;
		*t->o++ = '\r';
		*t->o++ = '\n';
	}
}

__attribute__((target("avx2"))) static void
lines_avx2(struct text *t, size_t per)
{
	for (; t->left >= per + SPARE; t->left -= per) {
		char *o = t->o;
		size_t k = 0;

		for (; k + 24 <= per; k += 24, o += 32) {
			const __m128i *p =
			    (const __m128i *)(const void *)(t->s + k);
			const __m128i *q =
			    (const __m128i *)(const void *)(t->s + k + 12);

			_mm256_storeu_si256((__m256i *)(void *)o,
			    encode24(_mm256_set_m128i(
				_mm_loadu_si128(q), _mm_loadu_si128(p))));
		}
		for (; k < per; k += 12, o += 16)
			_mm_storeu_si128((__m128i *)(void *)o,
			    encode12(_mm_loadu_si128(
				(const __m128i *)(const void *)(t->s + k))));
		t->s += per;
		t->o += per / 3 * 4;
		*t->o++ = '\r';
		*t->o++ = '\n';
	}
}

static void
lines_quick(struct text *t, size_t per)
{
	if (__builtin_cpu_supports("avx2"))
		lines_avx2(t, per);
	else if (__builtin_cpu_supports("ssse3"))
		lines_ssse3(t, per);
}
#else
static void
lines_quick(struct text *t, size_t per)
{
	/* One after the other, below. */
}
#endif

size_t
mime_base64_lines_size(size_t n, uint32_t line, bool tail)
{
	size_t per = MAX(line / 4, 1) * 3;

	return (n + 2) / 3 * 4 + (n == 0 ? 0 : (n - 1) / per + tail) * 2;
}

size_t
mime_base64_lines_put(str decoded, uint32_t line, bool tail, char *p)
{
	struct text t = {(const unsigned char *)decoded.p, decoded.n, p};
	size_t per = MAX(line / 4, 1) * 3, n;

	if (decoded.n == 0)
		return 0;
	lines_quick(&t, per);
	while (t.left > 0) {
		n = MIN(per, t.left);
		t.o = encode(t.s, n, t.o);
		t.s += n;
		t.left -= n;
		if (t.left > 0 || tail) {
			*t.o++ = '\r';
			*t.o++ = '\n';
		}
	}
	return (size_t)(t.o - p);
}

void
mime_base64_lines(str decoded, uint32_t line, bool tail, struct buf *out)
{
	size_t n = mime_base64_lines_size(decoded.n, line, tail);
	char *p = n == 0 ? NULL : buf_room(out, n);

	if (p != NULL)
		out->n += mime_base64_lines_put(decoded, line, tail, p);
}
