/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Base subjects. */
#include "t_mime.h"

static void
test_rows(void **state)
{
	static const struct {
		str in, out;
		bool reply;
	} rows[] = {
	    {S("hello"), S("hello"), false},
	    {S("Re: hello"), S("hello"), true},
	    {S("RE:hello"), S("hello"), true},
	    {S("re: Re: fwd: FW: hello"), S("hello"), true},
	    {S("Re[2]: hello"), S("hello"), true},
	    {S("Re : hello"), S("hello"), true},
	    {S("[list] hello"), S("hello"), false},
	    {S("[list] Re: [list] hello"), S("hello"), true},
	    {S("[a][b] [c] hello"), S("hello"), false},
	    {S("[only]"), S("[only]"), false},
	    {S("[a] [only]"), S("[only]"), false},
	    {S("hello (fwd)"), S("hello"), true},
	    {S("hello (fwd) (FWD)  "), S("hello"), true},
	    {S("[fwd: hello]"), S("hello"), true},
	    {S("[Fwd: Re: [x] hello (fwd)]"), S("hello"), true},
	    {S("  a \t b  "), S("a b"), false},
	    {S("Re:"), S(""), true},
	    {S("Re: (fwd)"), S(""), true},
	    {S(""), S(""), false},
	    {S("reply"), S("reply"), false},
	    {S("Re"), S("Re"), false},
	    {S("[unclosed hello"), S("[unclosed hello"), false},
	    {S("hello [x]"), S("hello [x]"), false},
	    {S("Re [a]: [b] Fwd [c] : x"), S("x"), true},
	    {S("[[x]] y"), S("[[x]] y"), false},
	};
	struct buf b = {0};
	bool reply;

	for (size_t i = 0; i < NELEM(rows); i++) {
		buf_reset(&b);
		mime_base_subject(rows[i].in, &b, &reply);
		assert_str(buf_str(&b), rows[i].out);
		assert_int_equal(reply, rows[i].reply);
	}
	buf_free(&b);
}

/* The base of a base is itself. */
static void
test_stable(void **state)
{
	static const char *const bits[] = {"re", ":", "[", "]", "fwd", "fw",
	    "(fwd)", " ", "x", "[a]", "Re: ", "[fwd:", "\t", "(", ")"};
	struct rnd r;

	for_seeds(&r, 20000)
	{
		struct buf in = {0}, one = {0}, two = {0};
		bool reply;

		for (size_t k = rnd(&r, 12); k > 0; k--)
			buf_str_add(&in, str_c(bits[rnd(&r, NELEM(bits))]));
		mime_base_subject(buf_str(&in), &one, &reply);
		mime_base_subject(buf_str(&one), &two, &reply);
		seed_true(&r, str_eq(buf_str(&one), buf_str(&two)));
		buf_free(&in);
		buf_free(&one);
		buf_free(&two);
	}
}

int
t_subject(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_stable),
	};

	return cmocka_run_group_tests_name("subject", tests, NULL, NULL);
}
