/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Header fields; R57. */
#include "t_mime.h"

static void
test_len(void **state)
{
	static const struct {
		str message;
		size_t len;
	} rows[] = {
	    {S(""), 0},
	    {S("\r\n"), 2},
	    {S("\n"), 1},
	    {S("\r\nbody"), 2},
	    {S("A: b\r\n\r\nbody"), 8},
	    {S("A: b\n\nbody"), 6},
	    {S("A: b\r\n"), 6},
	    {S("A: b"), 4},
	    {S("A: b\r\n c\r\n\r\nx"), 12},
	    {S("A: b\r\n \r\n\r\nx"), 11},
	    {S("A: b\r\n\r\r\nbody"), 9},   /* CR CR LF */
	    {S("A: b\rC: d\r\n\r\nx"), 13}, /* a bare CR is no line end */
	    {S("no colon\r\nA: b\r\n\r\nx"), 18},
	};

	for (size_t i = 0; i < NELEM(rows); i++)
		assert_int_equal(mime_header_len(rows[i].message), rows[i].len);
}

/* The bound, one below it and one past it. */
static void
test_len_bound(void **state)
{
	size_t max = (size_t)limits.header_max, line = 100, i;
	struct buf b = {0};

	while (b.n + line <= max - 2) {
		buf_s(&b, "X: ");
		for (i = 0; i < line - 5; i++)
			buf_c(&b, 'x');
		buf_s(&b, "\r\n");
	}
	i = b.n;
	while (b.n < max - 4)
		buf_c(&b, 'y');
	buf_s(&b, "\r\n\r\nbody");
	/* Ends exactly at the bound. */
	assert_int_equal(mime_header_len(buf_str(&b)), max);
	/* One past: cut at the last line. */
	b.n = i;
	while (b.n < max - 3)
		buf_c(&b, 'y');
	buf_s(&b, "\r\n\r\nbody");
	assert_int_equal(mime_header_len(buf_str(&b)), max - 1);
	/* One line without an end: cut anywhere. */
	b.n = 0;
	while (b.n < max + 10)
		buf_c(&b, 'y');
	assert_int_equal(mime_header_len(buf_str(&b)), max);
	buf_free(&b);
}

static void
test_next(void **state)
{
	static const str header = S("From x Thu Jan 1 00:00:00 1970\r\n"
				    " folded\r\n"
				    "Subject: one\r\n"
				    " two\r\n"
				    "\tthree\r\n"
				    "no colon here\r\n"
				    "To : a\r\n"
				    ": nameless\r\n"
				    "Empty:\r\n"
				    "Last: x\n"
				    "\r\n"
				    "Body: y\r\n");
	static const struct {
		str name, value;
	} rows[] = {
	    {S("Subject"), S(" one\r\n two\r\n\tthree")},
	    {S("To"), S(" a")},
	    {S("Empty"), S("")},
	    {S("Last"), S(" x")},
	};
	struct field f;
	size_t at = 0, i;

	for (i = 0; mime_field_next(header, &at, &f); i++) {
		assert_true(i < NELEM(rows));
		assert_str(f.name, rows[i].name);
		assert_str(f.value, rows[i].value);
		assert_true(f.whole.p[f.whole.n - 1] == '\n');
	}
	assert_int_equal(i, NELEM(rows));
	assert_false(mime_field_next(header, &at, &f));
	assert_true(mime_field_find(header, S("LAST"), &f));
	assert_false(mime_field_find(header, S("Body"), &f));
}

static void
test_unfold(void **state)
{
	static const struct {
		str in, out;
	} rows[] = {
	    {S(" a\r\n b"), S("a b")},
	    {S("a\n\tb\r\n"), S("a\tb")},
	    {S("\r\n a"), S("a")},
	    {S("a\r\n  \r\n b"), S("a   b")},
	    {S("a\rb"), S("a\rb")},
	    {S("a\nb"), S("a\nb")},
	    {S(""), S("")},
	    {S(" \t "), S("")},
	};
	struct buf b = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		buf_reset(&b);
		mime_unfold(rows[i].in, &b);
		assert_str(buf_str(&b), rows[i].out);
	}
	buf_free(&b);
}

static void
test_pick(void **state)
{
	static const str h =
	    S("A: 1\r\nB: 2\r\n x\r\nbad\r\na: 3\r\nC: 4\r\n\r\n");
	static const str names[] = {S("a"), S("C"), S("nothing"), S("A")};
	struct buf b = {0};
	str many[500];
	struct arena *a = arena_new(0);

	mime_header_fields(h, names, NELEM(names), false, &b);
	assert_str(buf_str(&b), S("A: 1\r\na: 3\r\nC: 4\r\n\r\n"));
	buf_reset(&b);
	mime_header_fields(h, names, NELEM(names), true, &b);
	assert_str(buf_str(&b), S("B: 2\r\n x\r\n\r\n"));
	buf_reset(&b);
	mime_header_fields(h, NULL, 0, false, &b);
	assert_str(buf_str(&b), S("\r\n"));
	buf_reset(&b);
	mime_header_fields(S("A: 1"), names, 1, false, &b);
	assert_str(buf_str(&b), S("A: 1\r\n\r\n"));
	/* R16: many names. */
	for (size_t i = 0; i < NELEM(many); i++)
		many[i] = arena_f(a, "%070zu-name", i);
	many[77] = S("b");
	buf_reset(&b);
	mime_header_fields(h, many, NELEM(many), false, &b);
	assert_str(buf_str(&b), S("B: 2\r\n x\r\n\r\n"));
	arena_free(&a);
	buf_free(&b);
}

static void
test_kept(void **state)
{
	assert_true(mime_field_kept(S("SUBJECT")));
	assert_true(mime_field_kept(S("List-Id")));
	assert_false(mime_field_kept(S("Received")));
	/* What a delivery puts before the message is in no summary. */
	assert_false(mime_field_kept(S("Return-Path")));
	assert_false(mime_field_kept(S("Delivered-To")));
	assert_false(mime_field_kept(S("")));
	assert_int_equal(mime_field_id(S("content-ID")), F_ID);
}

int
t_header(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_len),
	    cmocka_unit_test(test_len_bound),
	    cmocka_unit_test(test_next),
	    cmocka_unit_test(test_unfold),
	    cmocka_unit_test(test_pick),
	    cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
