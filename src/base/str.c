/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Slices: comparing, finding, cutting.
 *
 * (1) Finding takes linear time whatever the bytes are: memmem promises it,
 *     and str_casefind feeds memmem with lower-cased windows.
 */
#include "base/base.h"

enum { WINDOW = 8192 };

static inline unsigned char
lower(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 'A' && u <= 'Z' ? u | 0x20 : u;
}

int
str_cmp(str a, str b)
{
	size_t n = MIN(a.n, b.n);
	int r = n == 0 ? 0 : memcmp(a.p, b.p, n);

	if (r != 0)
		return r;
	return (a.n > b.n) - (a.n < b.n);
}

bool
str_caseeq(str a, str b)
{
	return a.n == b.n && str_casecmp(a, b) == 0;
}

int
str_casecmp(str a, str b)
{
	size_t n = MIN(a.n, b.n);

	for (size_t i = 0; i < n; i++) {
		int d = lower(a.p[i]) - lower(b.p[i]);

		if (d != 0)
			return d;
	}
	return (a.n > b.n) - (a.n < b.n);
}

bool
str_starts(str s, str prefix)
{
	return s.n >= prefix.n && str_eq(str_head(s, prefix.n), prefix);
}

bool
str_casestarts(str s, str prefix)
{
	return s.n >= prefix.n && str_caseeq(str_head(s, prefix.n), prefix);
}

bool
str_ends(str s, str suffix)
{
	return s.n >= suffix.n && str_eq(str_from(s, s.n - suffix.n), suffix);
}

size_t
str_chr(str s, char c)
{
	const char *p = s.n == 0 ? NULL : memchr(s.p, c, s.n);

	return p == NULL ? s.n : (size_t)(p - s.p);
}

size_t
str_rchr(str s, char c)
{
	const char *p = s.n == 0 ? NULL : memrchr(s.p, c, s.n);

	return p == NULL ? s.n : (size_t)(p - s.p);
}

#ifdef __SSE2__
#include <emmintrin.h>

/* Looks for the needle's first and last octet together, sixteen places at a
 * time; places where both stand are compared. Those cost at most as many
 * octets as s has: then *at is where memmem shall go on, which is linear
 * whatever the text. True: *at is the place. */
static bool
find_pair(str s, str needle, size_t *at)
{
	const __m128i first = _mm_set1_epi8(needle.p[0]);
	const __m128i last = _mm_set1_epi8(needle.p[needle.n - 1]);
	size_t i = 0, spent = 0, end = s.n - needle.n + 1;

	for (; i + 16 <= end && spent <= s.n; i += 16) {
		const char *p = s.p + i;
		__m128i a = _mm_loadu_si128((const void *)p);
		__m128i b = _mm_loadu_si128((const void *)(p + needle.n - 1));
		unsigned both = (unsigned)_mm_movemask_epi8(_mm_and_si128(
		    _mm_cmpeq_epi8(a, first), _mm_cmpeq_epi8(b, last)));

		for (; both != 0; both &= both - 1) {
			size_t k = (size_t)__builtin_ctz(both);

			spent += needle.n;
			if (memcmp(p + k, needle.p, needle.n) == 0) {
				*at = i + k;
				return true;
			}
		}
	}
	*at = i;
	return false;
}
#else
static bool
find_pair(str s, str needle, size_t *at)
{
	*at = 0;
	return false;
}
#endif

size_t
str_find(str s, str needle)
{
	const char *p;
	size_t at;

	if (needle.n == 0)
		return 0;
	if (needle.n > s.n)
		return s.n;
	if (find_pair(s, needle, &at))
		return at;
	p = memmem(s.p + at, s.n - at, needle.p, needle.n);
	return p == NULL ? s.n : (size_t)(p - s.p);
}

static void
lower_to(char *to, const char *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char)lower(from[i]);
}

/* Lower-cases s window by window into w (windows overlap by the needle's
 * length less one), and lets memmem look. */
static size_t
casefind_in(str s, const char *needle, size_t nn, char *w, size_t wn)
{
	for (size_t at = 0; at + nn <= s.n; at += wn - nn + 1) {
		size_t n = MIN(wn, s.n - at);
		const char *p;

		lower_to(w, s.p + at, n);
		p = memmem(w, n, needle, nn);
		if (p != NULL)
			return at + (size_t)(p - w);
	}
	return s.n;
}

size_t
str_casefind(str s, str needle)
{
	char w[WINDOW];
	size_t at;

	if (needle.n == 0)
		return 0;
	if (needle.n > s.n)
		return s.n;
	if (needle.n <= WINDOW / 8) {
		char low[WINDOW / 8];

		lower_to(low, needle.p, needle.n);
		return casefind_in(s, low, needle.n, w, sizeof(w));
	}
	char *big = x_array(needle.n, 5);

	lower_to(big, needle.p, needle.n);
	at = casefind_in(s, big, needle.n, big + needle.n, needle.n * 4);
	x_free(&big);
	return at;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

str
str_trim(str s)
{
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	while (s.n > 0 && is_blank(s.p[0]))
		s = str_from(s, 1);
	return s;
}

str
str_cut(str *rest, char c)
{
	size_t at = str_chr(*rest, c);
	str head = str_head(*rest, at);

	*rest = str_from(*rest, at + 1);
	return head;
}

bool
str_eq_secret(str a, str b)
{
	volatile unsigned char d = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		d |= (unsigned char)(a.p[i] ^ b.p[i]);
	return d == 0;
}

bool
str_u64(str s, uint64_t *out)
{
	struct scan sc = scan_of(s);
	uint64_t v;

	if (!scan_u64(&sc, &v) || !scan_end(&sc))
		return false;
	*out = v;
	return true;
}

bool
str_u32(str s, uint32_t *out)
{
	uint64_t v;

	if (!str_u64(s, &v) || v > UINT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}
