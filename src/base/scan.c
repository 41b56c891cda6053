/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Scanners over a complete slice. None moves unless it succeeds.
 */
#include "base/base.h"

bool
scan_char(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

bool
scan_lit(struct scan *s, str lit)
{
	if (!str_starts(scan_rest(s), lit))
		return false;
	s->p += lit.n;
	return true;
}

bool
scan_caselit(struct scan *s, str lit)
{
	if (!str_casestarts(scan_rest(s), lit))
		return false;
	s->p += lit.n;
	return true;
}

bool
scan_u64(struct scan *s, uint64_t *out)
{
	const char *p = s->p;
	uint64_t v = 0;

	for (; p < s->end && *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return false;
	}
	if (p == s->p)
		return false;
	s->p = p;
	*out = v;
	return true;
}

bool
scan_u32(struct scan *s, uint32_t *out)
{
	struct scan t = *s;
	uint64_t v;

	if (!scan_u64(&t, &v) || v > UINT32_MAX)
		return false;
	*s = t;
	*out = (uint32_t)v;
	return true;
}

bool
scan_digits(struct scan *s, unsigned n, uint32_t *out)
{
	struct scan t = *s;
	uint64_t v = 0;

	if (n == 0 || scan_left(s) < n)
		return false;
	for (unsigned i = 0; i < n; i++, t.p++) {
		if (*t.p < '0' || *t.p > '9')
			return false;
		v = v * 10 + (uint64_t)(*t.p - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*s = t;
	*out = (uint32_t)v;
	return true;
}

bool
scan_while(struct scan *s, bool (*ok)(unsigned char c), str *out)
{
	const char *p = s->p;

	while (p < s->end && ok((unsigned char)*p))
		p++;
	if (p == s->p)
		return false;
	*out = (str){s->p, (size_t)(p - s->p)};
	s->p = p;
	return true;
}

bool
scan_take(struct scan *s, size_t n, str *out)
{
	if (scan_left(s) < n)
		return false;
	*out = (str){s->p, n};
	s->p += n;
	return true;
}
