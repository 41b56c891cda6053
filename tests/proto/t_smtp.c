/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * proto: SMTP commands, SASL lines, POP3 lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/pop3.h"
#include "proto/sasl.h"
#include "proto/smtp.h"

/* R18, R41, R69, R125: what is an address, and which */
static void
test_paths(void **state)
{
	/* clang-format off */
	static const struct {
		str in;
		const char *address; /* NULL: refused */
	} rows[] = {
		{S("<>"), ""},
		{S("<a@b>"), "a@b"},
		{S("<a>"), "a"},
		{S("<Postmaster>"), "Postmaster"},
		{S("<a.b+c@d.example>"), "a.b+c@d.example"},
		{S("<a.@d>"), "a.@d"},
		{S("<a..b@d>"), "a..b@d"},
		{S("<@x,@y:a@b>"), "a@b"},
		{S("<\"a b\"@c>"), "a b@c"},
		{S("<\"a\\\"b\"@c>"), "a\"b@c"},
		{S("<\"a@b\"@c>"), "a@b@c"},
		{S("<a@[192.0.2.1]>"), "a@[192.0.2.1]"},
		{S("<a@[IPv6:::1]>"), "a@[IPv6:::1]"},
		{S("<\xc3\xa4@b>"), "\xc3\xa4@b"},
		{S("<|cmd@x>"), "|cmd@x"},
		{S("<`id`@x>"), "`id`@x"},
		{S("<$(id)@x>"), NULL},
		{S("<-oProxy@x>"), "-oProxy@x"},
		{S("<\"\"@b>"), NULL},
		{S("<@b>"), NULL},
		{S("<a@>"), NULL},
		{S("<a@.b>"), NULL},
		{S("<a@b..c>"), NULL},
		{S("<a@-b>"), NULL},
		{S("<a b@c>"), NULL},
		{S("<\"a@b>"), NULL},
		{S("<\"a\\"), NULL},
		{S("<\"a\x01\"@b>"), NULL},
		{S("<a@b"), NULL},
		{S("a@b"), NULL},
		{S("<\xc3@b>"), NULL},
		{S("<\xed\xa0\x80@b>"), NULL},
		{S("<@x:>"), NULL},
		{S(""), NULL},
	};
	/* clang-format on */
	struct arena *a = arena_new(1 << 20);

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct scan s = scan_of(rows[i].in);
		struct smtp_path p;
		const char *why = smtp_path(a, &s, &p);

		if (rows[i].address == NULL) {
			assert_non_null(why);
			assert_ptr_equal(s.p, rows[i].in.p);
			continue;
		}
		assert_null(why);
		assert_true(scan_end(&s));
		assert_true(str_eq(p.address, str_c(rows[i].address)));
	}
	arena_free(&a);
}

/* R69, R124: long addresses */
static void
test_long(void **state)
{
	struct arena *a = arena_new(1 << 20);

	for (size_t local = SMTP_LOCAL_MAX - 1; local <= SMTP_LOCAL_MAX + 1;
	     local++) {
		for (size_t domain = SMTP_DOMAIN_MAX - 1;
		     domain <= SMTP_DOMAIN_MAX + 1; domain++) {
			struct buf b = {0};
			struct smtp_path p;
			struct scan s;

			buf_c(&b, '<');
			for (size_t i = 0; i < local; i++)
				buf_c(&b, 'l');
			buf_c(&b, '@');
			for (size_t i = 0; i < domain; i++)
				buf_c(&b, 'd');
			buf_c(&b, '>');
			s = scan_of(buf_str(&b));
			assert_int_equal(smtp_path(a, &s, &p) == NULL,
			    local <= SMTP_LOCAL_MAX &&
				domain <= SMTP_DOMAIN_MAX);
			buf_free(&b);
		}
	}
	arena_free(&a);
}

/* R70 */
static void
test_params(void **state)
{
	static const struct {
		str in;
		const char *code; /* NULL: taken */
	} rows[] = {
	    {S("FROM:<a@b>"), NULL},
	    {S("from: <a@b>  SIZE=1  BODY=8BITMIME"), NULL},
	    {S("FROM:<a@b> SIZE=18446744073709551615"), NULL},
	    {S("FROM:<a@b> SIZE=18446744073709551616"), "501"},
	    {S("FROM:<a@b> SIZE=1 SIZE=2"), "501"},
	    {S("FROM:<a@b> SIZE"), "501"},
	    {S("FROM:<a@b> SMTPUTF8=1"), "501"},
	    {S("FROM:<a@b> AUTH=<>"), "555"},
	    {S("FROM:<a@b> AUTH="), "501"},
	    {S("FROM:<a@b> =x"), "501"},
	    {S("FROM:<a@b>x"), "501"},
	    {S("FROM:<a@b> X=\"y z\""), "555"},
	    {S("FROM:<\xc3\xa4@b>"), "553"},
	    {S("FROM:<\xc3\xa4@b> SMTPUTF8"), NULL},
	    {S("TO:<a@b>"), "501"},
	    {S(""), "501"},
	};
	struct arena *a = arena_new(1 << 20);
	struct smtp_mail m;

	for (size_t i = 0; i < NELEM(rows); i++) {
		const char *why = smtp_mail(a, rows[i].in, &m);

		if (rows[i].code == NULL)
			assert_null(why);
		else
			assert_memory_equal(why, rows[i].code, 3);
	}
	arena_free(&a);
}

static void
test_bdat(void **state)
{
	uint64_t n;
	bool last;

	assert_true(smtp_bdat(S("0"), &n, &last) && n == 0 && !last);
	assert_true(smtp_bdat(S("86 last"), &n, &last) && n == 86 && last);
	assert_false(smtp_bdat(S(""), &n, &last));
	assert_false(smtp_bdat(S("-1"), &n, &last));
	assert_false(smtp_bdat(S("18446744073709551616"), &n, &last));
	assert_false(smtp_bdat(S("1 LAST x"), &n, &last));
	assert_false(smtp_bdat(S("LAST"), &n, &last));
}

static void
test_split(void **state)
{
	str verb, rest;
	bool has;

	assert_true(smtp_split(S("mail  FROM:<a> "), &verb, &rest));
	assert_true(str_eq(verb, S("mail")) && str_eq(rest, S("FROM:<a>")));
	assert_false(smtp_split(S("RCPT\0 x"), &verb, &rest));
	assert_false(smtp_split(S("RCPT TO:<a\rb>"), &verb, &rest));
	assert_false(smtp_split(S(" NOOP"), &verb, &rest));
	assert_false(smtp_split(S("ABCDEFGHIJKLMNOPQ"), &verb, &rest));
	assert_true(pop3_split(S("PASS a  b "), &verb, &rest, &has));
	assert_true(has && str_eq(rest, S("a  b ")));
	assert_true(pop3_split(S("PASS "), &verb, &rest, &has));
	assert_true(has && rest.n == 0);
	assert_true(pop3_split(S("STAT"), &verb, &rest, &has));
	assert_false(has);
	assert_false(pop3_split(S("USER a\0b"), &verb, &rest, &has));
}

/* R19, R73 */
static void
test_numbers(void **state)
{
	uint32_t n;
	int64_t lines;

	assert_true(pop3_number(S("4294967295"), &n));
	assert_false(pop3_number(S("4294967296"), &n));
	assert_false(pop3_number(S("0"), &n));
	assert_true(pop3_count(S("0"), &lines) && lines == 0);
	assert_true(pop3_count(S("4294967296"), &lines) && lines == 4294967296);
	assert_true(pop3_count(S("99999999999999999999999"), &lines));
	assert_true(lines == INT64_MAX);
	assert_false(pop3_count(S("-1"), &lines));
	assert_false(pop3_count(S(""), &lines));
}

/* R36 */
static void
test_sasl(void **state)
{
	struct buf b = {0};
	str got;

	assert_int_equal(sasl_line(S("*"), &b), SASL_CANCEL);
	assert_int_equal(sasl_line(S(""), &b), SASL_DATA);
	assert_int_equal(sasl_line(S("YWI="), &b), SASL_DATA);
	assert_true(str_eq(buf_str(&b), S("ab")));
	assert_int_equal(sasl_line(S("YWJ="), &b), SASL_BAD); /* stray bits */
	assert_int_equal(sasl_line(S("YWI"), &b), SASL_BAD);
	assert_int_equal(sasl_line(S("YW I="), &b), SASL_BAD);
	assert_int_equal(sasl_line(S("=YWI"), &b), SASL_BAD);
	buf_reset(&b);
	assert_int_equal(sasl_initial(S("="), &b), OK);
	assert_int_equal(b.n, 0);
	assert_int_equal(sasl_initial(S(""), &b), ERR_INVALID);
	assert_true(sasl_mech_valid(S("SCRAM-SHA-256-PLUS")));
	assert_false(sasl_mech_valid(S("ABCDEFGHIJKLMNOPQRSTU")));
	assert_false(sasl_mech_valid(S("A B")));
	assert_true(sasl_mech_in(S("PLAIN LOGIN"), S("login"), &got));
	assert_true(str_eq(got, S("LOGIN")));
	assert_false(sasl_mech_in(S("PLAIN LOGIN"), S("LOG"), &got));
	buf_free(&b);
}

static void
test_pass(void **state)
{
	struct pop3_pass in = {true, false, S("PLAIN SCRAM-SHA-256")}, out;
	struct buf b = {0};

	pop3_pass_put(&in, &b);
	assert_true(pop3_pass_get(buf_str(&b), &out));
	assert_true(out.utf8 && !out.user && str_eq(out.mechs, in.mechs));
	for (size_t n = 0; n < b.n; n++)
		assert_false(pop3_pass_get(str_head(buf_str(&b), n), &out));
	buf_c(&b, 'x');
	assert_false(pop3_pass_get(buf_str(&b), &out));
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_long),
	    cmocka_unit_test(test_params),
	    cmocka_unit_test(test_bdat),
	    cmocka_unit_test(test_split),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_sasl),
	    cmocka_unit_test(test_pass),
	};

	limits_default(&limits);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
