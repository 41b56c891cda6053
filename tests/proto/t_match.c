/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * LIST's patterns against the obvious recursive matcher. R15
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

#include "proto/match.h"

static bool
matches(str pattern, str name)
{
	struct arena *a = arena_new(0);
	struct match *m = match_new(a, pattern);
	bool yes = m != NULL && match_name(m, name);

	arena_free(&a);
	return yes;
}

static const struct {
	str pattern, name;
	bool yes;
} rows[] = {
    {S("*"), S("a/b/c"), true},
    {S("%"), S("a"), true},
    {S("%"), S("a/b"), false},
    {S("a/%"), S("a/b"), true},
    {S("a/%"), S("a/"), true},
    {S("a/%"), S("a"), false},
    {S("a/%/c"), S("a/b/c"), true},
    {S("a*"), S("a"), true},
    {S("*%"), S("a/b"), true},
    {S("%*"), S("a/b"), true},
    {S("%/%"), S("a/b"), true},
    {S("%/%"), S("a/b/c"), false},
    {S("inbox"), S("INBOX"), true},
    {S("InBox/%"), S("INBOX/x"), true},
    {S("%box"), S("INBOX"), true},
    {S("sent"), S("Sent"), false},
    {S("inboxes"), S("INBOXES"), false},
    {S(""), S(""), true},
    {S(""), S("a"), false},
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEM(rows); i++)
		assert_int_equal(
		    matches(rows[i].pattern, rows[i].name), rows[i].yes);
}

static bool
naive(str p, str n)
{
	if (p.n == 0)
		return n.n == 0;
	if (p.p[0] == '*' || p.p[0] == '%') {
		if (naive(str_from(p, 1), n))
			return true;
		return n.n > 0 && (p.p[0] == '*' || n.p[0] != '/') &&
		       naive(p, str_from(n, 1));
	}
	return n.n > 0 && p.p[0] == n.p[0] &&
	       naive(str_from(p, 1), str_from(n, 1));
}

static void
test_naive(void **state)
{
	uint32_t x = 12345;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char p[8], n[8];
		size_t pn, nn;

		x = x * 1664525 + 1013904223;
		pn = x >> 28 & 7;
		nn = x >> 24 & 7;
		for (size_t i = 0; i < pn; i++) {
			x = x * 1664525 + 1013904223;
			p[i] = "ab/*%"[(x >> 16) % 5];
		}
		for (size_t i = 0; i < nn; i++) {
			x = x * 1664525 + 1013904223;
			n[i] = "ab/"[(x >> 16) % 3];
		}
		assert_int_equal(matches(str_of(p, pn), str_of(n, nn)),
		    naive(str_of(p, pn), str_of(n, nn)));
	}
}

/* More than a word of bits, and wildcards without end. */
static void
test_long(void **state)
{
	char p[1000], n[1001];
	clock_t from = clock();

	(void)state;
	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = "*a%a"[i % 4];
	memset(n, 'a', sizeof(n));
	n[1000] = 'b';
	for (int i = 0; i < 100; i++)
		assert_false(
		    matches(str_of(p, 999), str_of(n, 1001)) && p[998] != '%');
	memset(p, 'a', sizeof(p));
	assert_true(matches(str_of(p, 1000), str_of(n, 1000)));
	assert_false(matches(str_of(p, 999), str_of(n, 1000)));
	p[500] = '*';
	assert_true(matches(str_of(p, 1000), str_of(n, 1000)));
	p[999] = '*';
	assert_true(matches(str_of(p, 1000), str_of(n, 1001)));
	assert_true(clock() - from < 10 * CLOCKS_PER_SEC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_naive),
	    cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
