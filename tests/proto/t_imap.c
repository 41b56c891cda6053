/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * IMAP's words: what is taken, what is refused, and that what is printed
 * reads back. R01, R04, R09, R10, R19
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proto/imap.h"
#include "proto/imap_caps.h"
#include "proto/imap_print.h"

static struct arena *ar;

static int
setup(void **state)
{
	(void)state;
	ar = arena_new(0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(&ar);
	return 0;
}

static void
test_head(void **state)
{
	struct imap_head h;

	(void)state;
	assert_true(imap_head_get(S("a1 noop"), &h));
	assert_true(str_eq(h.tag, S("a1")) && str_eq(h.name, S("noop")));
	assert_true(scan_end(&h.args));
	assert_true(imap_head_get(S("a1 LOGIN x y"), &h));
	assert_true(str_eq(scan_rest(&h.args), S(" x y")));
	assert_false(imap_head_get(S("a1"), &h));
	assert_true(str_eq(h.tag, S("a1")));
	assert_false(imap_head_get(S(""), &h));
	assert_false(imap_head_get(S("+ NOOP"), &h));
	assert_int_equal(h.tag.n, 0);
	assert_false(imap_head_get(S("a*b NOOP"), &h));
	assert_false(imap_head_get(S("a\0b NOOP"), &h));
	assert_false(imap_head_get(S(" NOOP"), &h));
}

static const struct {
	str line;
	enum imap_lit_kind kind;
	uint64_t n;
	bool nonsync, is8;
} lits[] = {
    {S("a LOGIN {5}"), IMAP_LIT_OK, 5, false, false},
    {S("a LOGIN {5+}"), IMAP_LIT_OK, 5, true, false},
    {S("a APPEND x ~{0}"), IMAP_LIT_OK, 0, false, true},
    {S("a APPEND x UTF8 (~{10+}"), IMAP_LIT_OK, 10, true, true},
    {S("a LOGIN {00000001}"), IMAP_LIT_BAD, 0, false, false},
    {S("a LOGIN {18446744073709551616}"), IMAP_LIT_BAD, 0, false, false},
    {S("a LOGIN {9223372036854775808+}"), IMAP_LIT_BAD, 0, true, false},
    {S("a LOGIN {4294967295}"), IMAP_LIT_OK, 4294967295, false, false},
    {S("a LOGIN {-1}"), IMAP_LIT_NONE, 0, false, false},
    {S("a LOGIN {}"), IMAP_LIT_NONE, 0, false, false},
    {S("a LOGIN x{5}"), IMAP_LIT_NONE, 0, false, false},
    {S("{5}"), IMAP_LIT_NONE, 0, false, false},
    {S("5}"), IMAP_LIT_NONE, 0, false, false},
    {S("}"), IMAP_LIT_NONE, 0, false, false},
    {S(""), IMAP_LIT_NONE, 0, false, false},
};

static void
test_lit(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEM(lits); i++) {
		struct imap_lit l;

		assert_int_equal(imap_lit_end(lits[i].line, &l), lits[i].kind);
		if (lits[i].kind != IMAP_LIT_OK)
			continue;
		assert_int_equal(l.n, lits[i].n);
		assert_int_equal(l.nonsync, lits[i].nonsync);
		assert_int_equal(l.is8, lits[i].is8);
	}
}

static const struct {
	str in;
	bool ok;
	str out;
} strings[] = {
    {S("atom"), true, S("atom")},
    {S("a]b"), true, S("a]b")},
    {S("\"q\""), true, S("q")},
    {S("\"\""), true, S("")},
    {S("\"a\\\"b\\\\c\""), true, S("a\"b\\c")},
    {S("\"caf\xc3\xa9\""), true, S("caf\xc3\xa9")},
    {S("{3}\r\na b"), true, S("a b")},
    {S("{0}\r\n"), true, S("")},
    {S("{4+}\r\n\r\n\r\n"), true, S("\r\n\r\n")},
    {S("\"a\\b\""), false, S("")},
    {S("\"a"), false, S("")},
    {S("\"a\\"), false, S("")},
    {S("\"\xc3\""), false, S("")},
    {S("\"\xc0\xaf\""), false, S("")},
    {S("\"a\0b\""), false, S("")},
    {S("\"a\rb\""), false, S("")},
    {S("{3}\r\nab"), false, S("")},
    {S("{3}\r\na\0b"), false, S("")},
    {S("{03}\r\nabc"), false, S("")},
    {S("{3}\nabc"), false, S("")},
    {S("~{3}\r\nabc"), false, S("")},
    {S("{18446744073709551615}\r\nabc"), false, S("")},
    {S("\xc3\xa9"), false, S("")},
    {S("("), false, S("")},
    {S(""), false, S("")},
};

static void
test_strings(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEM(strings); i++) {
		struct scan s = scan_of(strings[i].in);
		str out = STR_NONE;
		bool ok = imap_astring(&s, ar, &out) && scan_end(&s);

		assert_int_equal(ok, strings[i].ok);
		if (ok)
			assert_true(str_eq(out, strings[i].out));
	}
}

/* Whatever a string holds, it is printed so that it reads back. */
static void
test_print_back(void **state)
{
	static const str values[] = {S("a"), S(""), S("NIL"), S("a b"),
	    S("a\"b\\"), S("a\r\nb"), S("\xc3\xa9"), S("\xff"), S("*"),
	    S("{3}"), S("]")};

	(void)state;
	for (size_t i = 0; i < NELEM(values); i++) {
		for (int utf8 = 0; utf8 < 2; utf8++) {
			struct buf b = {0};
			struct scan s;
			str back;

			imap_put_astring(&b, values[i], utf8);
			s = scan_of(buf_str(&b));
			assert_true(imap_astring(&s, ar, &back));
			assert_true(scan_end(&s));
			assert_true(str_eq(back, values[i]));
			buf_reset(&b);
			imap_put_nstring(&b, values[i], utf8);
			s = scan_of(buf_str(&b));
			assert_true(imap_nstring(&s, ar, &back));
			assert_true(str_eq(back, values[i]));
			buf_free(&b);
		}
	}
}

static void
set_is(str in, uint32_t max, const char *want)
{
	struct scan s = scan_of(in);
	struct imap_set set;
	struct ranges r = {0};
	struct buf b = {0};

	assert_true(imap_set_get(&s, ar, &set) && scan_end(&s));
	imap_set_resolve(&set, max, ar, &r);
	ranges_print(&b, &r);
	assert_true(str_eq(buf_str(&b), str_c(want)));
	buf_free(&b);
	ranges_free(&r);
}

static void
test_sets(void **state)
{
	static const str bad[] = {S(""), S("0"), S("1:0"), S("1,"), S(",1"),
	    S("1:"), S("a"), S("4294967296"), S("1:2:3"), S("-1"), S("1 ")};
	struct imap_set set;

	(void)state;
	set_is(S("1"), 5, "1");
	set_is(S("5:1"), 5, "1:5");
	set_is(S("3,1,2"), 5, "1:3");
	set_is(S("*"), 5, "5");
	set_is(S("7:*"), 5, "5:7");
	set_is(S("1:*,*:1"), 5, "1:5");
	set_is(S("*"), 0, "");
	set_is(S("1:*"), 0, "");
	set_is(S("1:4294967295"), 1, "1:4294967295");
	for (size_t i = 0; i < NELEM(bad); i++) {
		struct scan s = scan_of(bad[i]);

		assert_false(imap_set_get(&s, ar, &set) && scan_end(&s));
	}
	{
		struct scan s = scan_of(S("$"));

		assert_true(imap_set_get(&s, ar, &set));
		assert_true(set.saved && set.n == 0);
	}
}

/* At the bound of ranges, and one past it: R10, R124. */
static void
test_set_limit(void **state)
{
	uint64_t was = limits.set_ranges_max;
	struct imap_set set;
	struct scan s;

	(void)state;
	limits.set_ranges_max = 3;
	s = scan_of(S("1,3,5"));
	assert_true(imap_set_get(&s, ar, &set));
	s = scan_of(S("1,3,5,7"));
	assert_false(imap_set_get(&s, ar, &set));
	limits.set_ranges_max = was;
}

static void
test_flags(void **state)
{
	struct imap_flags f = {0};
	struct scan s = scan_of(S("(\\Seen \\DELETED $Forwarded x X)"));

	(void)state;
	assert_true(imap_flag_list(&s, ar, &f) && scan_end(&s));
	assert_int_equal(f.system, IMAP_SEEN | IMAP_DELETED);
	assert_int_equal(f.nkeywords, 2);
	s = scan_of(S("()"));
	assert_true(imap_flag_list(&s, ar, &f));
	s = scan_of(S("(\\Recent)"));
	assert_false(imap_flag_list(&s, ar, &f));
	s = scan_of(S("(\\*)"));
	assert_false(imap_flag_list(&s, ar, &f));
	s = scan_of(S("(a b"));
	assert_false(imap_flag_list(&s, ar, &f));
}

static void
test_dates(void **state)
{
	static const str bad[] = {S("\"31-Feb-2024 00:00:00 +0000\""),
	    S("\"01-Jan-2024 24:00:00 +0000\""),
	    S("\"01-Jan-2024 00:00:00 0000\""),
	    S("\"01-Jan-2024 00:00:00 +0060\""), S("01-Jan-2024"),
	    S("\"01-Jan-24 00:00:00 +0000\"")};
	struct scan s = scan_of(S("\" 7-Jul-1996 02:44:25 -0700\""));
	struct buf b = {0};
	struct stamp t;
	int64_t day;

	(void)state;
	assert_true(imap_date_time(&s, &t) && scan_end(&s));
	assert_int_equal(t.zone_min, -420);
	imap_put_date_time(&b, t);
	assert_true(str_eq(buf_str(&b), S("\"07-Jul-1996 02:44:25 -0700\"")));
	s = scan_of(buf_str(&b));
	assert_true(imap_date_time(&s, &t));
	buf_free(&b);
	for (size_t i = 0; i < NELEM(bad); i++) {
		s = scan_of(bad[i]);
		assert_false(imap_date_time(&s, &t));
	}
	s = scan_of(S("1-feb-1994"));
	assert_true(imap_date(&s, &day) && scan_end(&s));
	assert_int_equal(day, civil_day(1994, 2, 1));
	s = scan_of(S("\"01-Feb-1994\""));
	assert_true(imap_date(&s, &day) && scan_end(&s));
	s = scan_of(S("30-Feb-1994"));
	assert_false(imap_date(&s, &day));
}

static bool
section(str in, bool binary, struct imap_section *x)
{
	struct scan s = scan_of(in);

	return imap_section_get(&s, ar, binary, x) && imap_partial_get(&s, x) &&
	       scan_end(&s);
}

static void
test_sections(void **state)
{
	static const str bad[] = {S("["), S("[1."), S("[1.]"), S("[.1]"),
	    S("[0]"), S("[MIME]"), S("[HEADER.FIELDS]"),
	    S("[HEADER.FIELDS ()]"), S("[HEADER.FIELDS (a]"), S("[x]"),
	    S("[1.x]"), S("[]<0.0>"), S("[]<0>"), S("[]<-1.1>"),
	    S("[]<9223372036854775808.1>"), S("[1.2"), S("[4294967296]")};
	struct imap_section x;

	(void)state;
	assert_true(section(S("[]"), false, &x) && x.text == SECTION_ALL);
	assert_true(section(S("[1.2.3]<0.10>"), false, &x));
	assert_int_equal(x.nparts, 3);
	assert_true(x.partial && x.from == 0 && x.len == 10);
	assert_true(section(S("[4.mime]"), false, &x));
	assert_int_equal(x.text, SECTION_MIME);
	assert_true(section(S("[header.fields (a \"b\" {1}\r\nc)]"), 0, &x));
	assert_int_equal(x.nnames, 3);
	assert_true(section(S("[1.HEADER.FIELDS.NOT (a)]"), false, &x));
	assert_int_equal(x.text, SECTION_FIELDS_NOT);
	assert_true(section(S("[]<4294967295.4294967295>"), false, &x));
	assert_int_equal(x.from, 4294967295);
	assert_true(section(S("[1]"), true, &x));
	assert_false(section(S("[1.MIME]"), true, &x));
	assert_false(section(S("[TEXT]"), true, &x));
	for (size_t i = 0; i < NELEM(bad); i++)
		assert_false(section(bad[i], false, &x));
}

static void
test_caps(void **state)
{
	struct imap_caps_facts f = {.when = IMAP_CAPS_CLEAR,
	    .starttls = true,
	    .login_disabled = true,
	    .mechanisms = S("SCRAM-SHA-256")};
	struct buf b = {0};

	(void)state;
	imap_caps_put(&b, &f);
	assert_true(str_starts(buf_str(&b), S("IMAP4rev1 ")));
	assert_true(str_ends(
	    buf_str(&b), S(" STARTTLS LOGINDISABLED AUTH=SCRAM-SHA-256")));
	buf_reset(&b);
	f.when = IMAP_CAPS_IN;
	imap_caps_put(&b, &f);
	assert_true(str_ends(buf_str(&b), S(" APPENDLIMIT=52428800")));
	assert_true(str_find(buf_str(&b), S("SASL-IR")) == b.n);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    T(test_head),
	    T(test_lit),
	    T(test_strings),
	    T(test_print_back),
	    T(test_sets),
	    T(test_set_limit),
	    T(test_flags),
	    T(test_dates),
	    T(test_sections),
	    T(test_caps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
