/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Fuzz target: modified UTF-7, sequence sets, patterns of LIST, and IMAP's
 * words; what is read prints back. The first byte chooses. R10, R14, R15,
 * R44
 */
#include "fuzz.h"
#include "proto/imap.h"
#include "proto/imap_print.h"
#include "proto/match.h"
#include "proto/mutf7.h"

static void
fuzz_mutf7(str in)
{
	struct buf a = {0}, b = {0};

	if (mutf7_get(&a, in) == OK) {
		FUZZ_TRUE(utf8_valid(buf_str(&a)));
		FUZZ_TRUE(mutf7_put(&b, buf_str(&a)) == OK);
		FUZZ_TRUE(str_eq(buf_str(&b), in));
	}
	buf_reset(&a);
	buf_reset(&b);
	if (mutf7_put(&a, in) == OK) {
		FUZZ_TRUE(mutf7_get(&b, buf_str(&a)) == OK);
		FUZZ_TRUE(str_eq(buf_str(&b), in));
	}
	buf_free(&a);
	buf_free(&b);
}

static void
fuzz_set(struct arena *ar, str in)
{
	struct scan s = scan_of(in), back;
	struct imap_set set;
	struct ranges r = {0}, r2 = {0};
	struct buf b = {0};

	if (imap_set_get(&s, ar, &set)) {
		FUZZ_TRUE(s.p > in.p && s.p <= s.end);
		imap_set_resolve(&set, 77, ar, &r);
		for (size_t i = 0; i < r.n; i++)
			FUZZ_TRUE(r.v[i].lo >= 1 && r.v[i].lo <= r.v[i].hi);
		ranges_print(&b, &r);
		back = scan_of(buf_str(&b));
		if (r.n > 0) {
			FUZZ_TRUE(imap_set_get(&back, ar, &set));
			imap_set_resolve(&set, 0, ar, &r2);
			FUZZ_TRUE(r2.n == r.n && scan_end(&back));
		}
	} else {
		FUZZ_TRUE(s.p == in.p);
	}
	ranges_free(&r);
	ranges_free(&r2);
	buf_free(&b);
}

static void
fuzz_match(struct arena *ar, str in)
{
	str pattern = str_cut(&in, '\n');
	struct match *m = match_new(ar, pattern);

	if (m == NULL)
		return;
	if (match_all(m))
		FUZZ_TRUE(match_name(m, in));
	FUZZ_TRUE(match_name(m, in) == match_name(m, in));
	if (str_chr(pattern, '*') == pattern.n &&
	    str_chr(pattern, '%') == pattern.n && in.n > 5)
		FUZZ_TRUE(match_name(m, pattern));
}

static void
fuzz_string(struct arena *ar, str in)
{
	struct scan s = scan_of(in);
	struct buf b = {0};
	str v, back;

	if (imap_astring(&s, ar, &v)) {
		imap_put_astring(&b, v, true);
		s = scan_of(buf_str(&b));
		FUZZ_TRUE(imap_astring(&s, ar, &back) && scan_end(&s));
		FUZZ_TRUE(str_eq(v, back));
	}
	buf_free(&b);
}

static void
fuzz_words(struct arena *ar, str in)
{
	struct scan s = scan_of(in);
	struct imap_flags f = {0};
	struct imap_section x;
	struct imap_head h;
	struct imap_lit l;
	struct stamp t;
	struct buf b = {0};
	int64_t day;

	(void)imap_head_get(in, &h);
	(void)imap_lit_end(in, &l);
	FUZZ_TRUE(l.at <= in.n);
	(void)imap_flag_list(&s, ar, &f);
	s = scan_of(in);
	(void)imap_date(&s, &day);
	s = scan_of(in);
	if (imap_section_get(&s, ar, false, &x))
		(void)imap_partial_get(&s, &x);
	s = scan_of(in);
	if (imap_date_time(&s, &t)) {
		struct stamp again;

		imap_put_date_time(&b, t);
		s = scan_of(buf_str(&b));
		FUZZ_TRUE(imap_date_time(&s, &again));
		FUZZ_TRUE(again.sec == t.sec && again.zone_min == t.zone_min);
	}
	imap_put_text(&b, in);
	buf_free(&b);
}

void
fuzz_one(str in)
{
	struct arena *ar = arena_new(0);
	char which = in.n > 0 ? in.p[0] : 'w';

	in = str_from(in, 1);
	switch (which) {
	case 'u':
		fuzz_mutf7(in);
		break;
	case 's':
		fuzz_set(ar, in);
		break;
	case 'm':
		fuzz_match(ar, in);
		break;
	case 'a':
		fuzz_string(ar, in);
		break;
	default:
		fuzz_words(ar, in);
		break;
	}
	arena_free(&ar);
}
