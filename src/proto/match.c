/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Bit-parallel matching: see match.h. Bit i of the set means "the first i
 * items of the pattern have been matched"; item i is a byte, "*" or "%".
 * A wildcard item is passed for nothing (step) and stays for every byte it
 * may stand for (loop).
 */
#include "proto/match.h"

struct match {
	size_t words; /* of each set of bits */
	size_t items; /* of the pattern, runs of wildcards joined */
	bool all;     /* "*" alone */
	bool has_wild;
	uint64_t *byte[256]; /* byte[c]: bit i: item i is byte c; or NULL */
	uint64_t *star, *percent; /* bit i: item i is that wildcard */
	uint64_t *now, *next;
};

static bool
bit(const uint64_t *v, size_t i)
{
	return v[i / 64] >> (i % 64) & 1;
}

static void
set_bit(uint64_t *v, size_t i)
{
	v[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool
is_wild(char c)
{
	return c == '*' || c == '%';
}

/* The pattern with each run of wildcards made one: "*" if there is one in
 * it, else "%". */
static str
join_wildcards(struct arena *a, str pattern)
{
	char *p = arena_alloc(a, pattern.n);
	size_t n = 0;

	if (p == NULL)
		return STR_NONE;
	for (size_t i = 0; i < pattern.n; i++) {
		char c = pattern.p[i];

		if (n > 0 && is_wild(c) && is_wild(p[n - 1])) {
			if (c == '*')
				p[n - 1] = '*';
			continue;
		}
		p[n++] = c;
	}
	return (str){p, n};
}

static bool
compile(struct match *m, struct arena *a, str pattern)
{
	for (size_t i = 0; i < pattern.n; i++) {
		unsigned char c = (unsigned char)pattern.p[i];

		if (c == '*' || c == '%') {
			set_bit(c == '*' ? m->star : m->percent, i);
			m->has_wild = true;
			continue;
		}
		if (m->byte[c] == NULL)
			m->byte[c] = arena_array(a, m->words, 8);
		if (m->byte[c] == NULL)
			return false;
		set_bit(m->byte[c], i);
	}
	return true;
}

struct match *
match_new(struct arena *a, str pattern)
{
	struct match *m = arena_new_of(a, struct match);

	if (m == NULL || pattern.n > MATCH_PATTERN_MAX)
		return NULL;
	pattern = join_wildcards(a, pattern);
	if (pattern.p == NULL)
		return NULL;
	m->items = pattern.n;
	m->words = pattern.n / 64 + 1;
	m->all = str_eq(pattern, S("*"));
	m->star = arena_array(a, m->words, 8);
	m->percent = arena_array(a, m->words, 8);
	m->now = arena_array(a, m->words, 8);
	m->next = arena_array(a, m->words, 8);
	if (m->star == NULL || m->percent == NULL || m->now == NULL ||
	    m->next == NULL || !compile(m, a, pattern))
		return NULL;
	return m;
}

/* Passes wildcards for nothing. Runs are joined, so once is enough. */
static void
step_over(struct match *m, uint64_t *v)
{
	uint64_t carry = 0;

	for (size_t w = 0; w < m->words; w++) {
		uint64_t wild = v[w] & (m->star[w] | m->percent[w]);

		v[w] |= wild << 1 | carry;
		carry = wild >> 63;
	}
}

/* One byte of the name; other: the same letter in the other case, or c. */
static bool
advance(struct match *m, unsigned char c, unsigned char other)
{
	const uint64_t *is = m->byte[c];
	const uint64_t *is2 = m->byte[other];
	uint64_t carry = 0;
	uint64_t alive = 0;
	uint64_t *swap = m->now;

	for (size_t w = 0; w < m->words; w++) {
		uint64_t hit =
		    (is == NULL ? 0 : is[w]) | (is2 == NULL ? 0 : is2[w]);
		uint64_t loop = m->star[w] | (c == '/' ? 0 : m->percent[w]);

		hit &= m->now[w];
		m->next[w] = hit << 1 | carry | (m->now[w] & loop);
		carry = hit >> 63;
		alive |= m->next[w];
	}
	m->now = m->next;
	m->next = swap;
	step_over(m, m->now);
	return alive != 0;
}

static bool
inbox_first(str name)
{
	return str_casestarts(name, S("INBOX")) &&
	       (name.n == 5 || name.p[5] == '/');
}

bool
match_name(struct match *m, str name)
{
	size_t fold = inbox_first(name) ? 5 : 0;

	if (m->all)
		return true;
	memset(m->now, 0, m->words * 8);
	set_bit(m->now, 0);
	step_over(m, m->now);
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (!advance(m, c, i < fold ? c ^ 0x20 : c))
			return false;
	}
	return bit(m->now, m->items);
}

bool
match_all(const struct match *m)
{
	return m->all;
}
