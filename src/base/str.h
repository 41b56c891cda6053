/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A slice of bytes: pointer and length, owning nothing, never
 * NUL-terminated; NUL is an ordinary byte in it. Passed by value.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <string.h>

typedef struct {
	const char *p;
	size_t n;
} str;

#define S(lit) ((str){(lit), sizeof(lit) - 1})
#define STR_NONE ((str){NULL, 0})
/* for printf: printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).n, (s).p

static inline str
str_of(const void *p, size_t n)
{
	return (str){p, n};
}

/* A slice of a NUL-terminated string; NULL gives the empty slice. */
static inline str
str_c(const char *s)
{
	return (str){s, s == NULL ? 0 : strlen(s)};
}

static inline bool
str_eq(str a, str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* From offset at (clamped) to the end. */
static inline str
str_from(str s, size_t at)
{
	if (at > s.n)
		at = s.n;
	return (str){at == 0 ? s.p : s.p + at, s.n - at};
}

/* The first n bytes (clamped). */
static inline str
str_head(str s, size_t n)
{
	return (str){s.p, n < s.n ? n : s.n};
}

/* Order by bytes, then by length: <0, 0, >0. */
int str_cmp(str a, str b);
/* ASCII case is ignored; other bytes compare as they are. */
bool str_caseeq(str a, str b);
int str_casecmp(str a, str b);
bool str_starts(str s, str prefix);
bool str_casestarts(str s, str prefix);
bool str_ends(str s, str suffix);
/* Index of the first byte c, or s.n when there is none. */
size_t str_chr(str s, char c);
size_t str_rchr(str s, char c); /* last byte c, or s.n */
/* Index of the first occurrence of needle, or s.n. Linear time. */
size_t str_find(str s, str needle);
/* Same, ASCII case ignored. Linear time. */
size_t str_casefind(str s, str needle);
/* Without leading and trailing SP, TAB, CR, LF. */
str str_trim(str s);
/* Cuts *rest at the first byte c: returns what stood before it and moves
 * *rest behind it; without c returns all and leaves *rest empty. */
str str_cut(str *rest, char c);
/* Equal, in time that depends on the lengths only (R34). */
bool str_eq_secret(str a, str b);
/* A whole slice of ASCII digits that fits: true and *out. */
bool str_u64(str s, uint64_t *out);
bool str_u32(str s, uint32_t *out);

#endif
