/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Names: one form for all spellings, and what is no name (R41, R18). */
#include "t_auth.h"

static void
test_same(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
	    {"ann", "ann"},
	    {"Ann@Example.ORG", "ann@example.org"},
	    {"ann+Box@example.org", "ann+box@example.org"},
	    {"a%b/c@x", "a%b/c@x"}, /* data, never a path or template */
	    {"$(id)`id`|x", NULL},  /* parentheses would need quotes */
	    {"`id`|x*{}", "`id`|x*{}"},
	    {"-oProxyCommand=x", "-oproxycommand=x"},
	    {"O'Brien", "o'brien"},
	    /* NFC and NFD, fullwidth, final sigma, sharp s, Kelvin sign */
	    {"Andr\xc3\xa9", "andr\xc3\xa9"},
	    {"Andre\xcc\x81", "andr\xc3\xa9"},
	    {"\xef\xbc\xa1\xef\xbd\x8e\xef\xbd\x8e", "ann"},
	    {"\xef\xbc\xa1nn\xef\xbc\xa0x", "ann@x"},
	    {"\xce\xa3\xcf\x82", "\xcf\x83\xcf\x83"},
	    {"stra\xc3\x9f"
	     "e",
		"strasse"},
	    /* a ligature folds into its letters */
	    {"\xef\xac\x81n", "fin"},
	    /* a Cherokee pair: U+AB70 and U+13A0 */
	    {"\xea\xad\xb0", "\xe1\x8e\xa0"},
	    {"\xe1\x8e\xa0", "\xe1\x8e\xa0"},
	    {"\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b.\xe5\xad\x90",
		"\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b.\xe5\xad\x90"},
	    /* no names */
	    {"", NULL},
	    {" ann", NULL},
	    {"ann ", NULL},
	    {"a nn", NULL},
	    {"ann\t", NULL},
	    {"ann\n", NULL},
	    {"ann\r\nx", NULL},
	    {"\x01", NULL},
	    {"\x7f", NULL},
	    {".", NULL},
	    {"..", NULL},
	    {"../x", NULL},
	    {"a..b", NULL},
	    {"ann.", NULL},
	    {".ann", NULL},
	    {"ann@", NULL},
	    {"@x", NULL},
	    {"@", NULL},
	    {"a@b@c", NULL},
	    {"ann@x.", NULL},
	    {"ann@.x", NULL},
	    {"ann@x..y", NULL},
	    {"ann@x/y", NULL},
	    {"ann@[127.0.0.1]", NULL},
	    {"a:b", NULL},
	    {"a,b", NULL},
	    {"a\\b", NULL},
	    {"\"a b\"@x", NULL},
	    {"<a@x>", NULL},
	    /* malformed UTF-8: stray, cut, overlong, surrogate, too large */
	    {"\x80", NULL},
	    {"ann\xff", NULL},
	    {"ann\xc3", NULL},
	    {"\xc1\xa1nn", NULL},
	    {"\xed\xa0\x80", NULL},
	    {"\xf4\x90\x80\x80", NULL},
	    /* invisible, bidirectional, C1, private use, unassigned, emoji,
	     * no-break space, superscript */
	    {"a\xe2\x80\x8bnn", NULL},
	    {"a\xe2\x80\xaenn", NULL},
	    {"a\xc2\xadnn", NULL},
	    {"a\xc2\x85", NULL},
	    {"\xee\x80\x80", NULL},
	    {"\xf0\x9f\x98\x80", NULL},
	    {"a\xc2\xa0", NULL},
	    {"a\xc2\xb2", NULL},
	    {"\xef\xbb\xbfxx", NULL},
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct buf b = {0}, again = {0};
		enum err e = auth_name(&b, str_c(rows[i].in));

		if ((e == OK) != (rows[i].out != NULL))
			fail_msg("%s: %d", rows[i].in, (int)e);
		if (e == OK) {
			assert_str(buf_str(&b), str_c(rows[i].out));
			assert_int_equal(auth_name(&again, buf_str(&b)), OK);
			assert_str(buf_str(&again), buf_str(&b));
		} else {
			assert_int_equal(b.n, 0);
		}
		buf_free(&b);
		buf_free(&again);
	}
}

static void
test_nul(void **state)
{
	struct buf b = {0};

	assert_int_equal(auth_name(&b, S("ann\0x")), ERR_INVALID);
	assert_int_equal(auth_name(&b, S("\0")), ERR_INVALID);
	assert_int_equal(auth_name(&b, STR_NONE), ERR_INVALID);
	buf_free(&b);
}

/* R124: at the limit, and a byte past it; and 64 KiB. */
static void
test_long(void **state)
{
	static char big[65536];
	struct buf b = {0};

	memset(big, 'a', sizeof(big));
	assert_int_equal(auth_name(&b, str_of(big, AUTH_NAME_MAX)), OK);
	assert_int_equal(b.n, AUTH_NAME_MAX);
	assert_int_equal(
	    auth_name(&b, str_of(big, AUTH_NAME_MAX + 1)), ERR_INVALID);
	assert_int_equal(auth_name(&b, str_of(big, sizeof(big))), ERR_INVALID);
	/* What grows in folding: U+0390 becomes three code points, which
	 * compose again; sharp s two bytes for two. */
	for (size_t i = 0; i + 1 < sizeof(big); i += 2)
		memcpy(big + i, "\xc8\xba", 2); /* folds to three bytes */
	buf_reset(&b);
	assert_int_equal(auth_name(&b, str_of(big, 320)), ERR_INVALID);
	assert_int_equal(auth_name(&b, str_of(big, 200)), OK);
	assert_int_equal(b.n, 300);
	buf_free(&b);
}

/* Random bytes: refused, or prepared into what stands still. */
static void
test_random(void **state)
{
	struct rnd r;

	for_seeds(&r, 20000)
	{
		struct buf in = {0}, b = {0}, again = {0};
		size_t n = rnd(&r, 12);

		for (size_t i = 0; i < n; i++) {
			uint64_t k = rnd(&r, 4);
			uint32_t cp = k == 0   ? rnd(&r, 128)
				      : k == 1 ? rnd(&r, 0x800)
				      : k == 2 ? rnd(&r, 0xd800)
					       : 0x10000 + rnd(&r, 0x10000);
			if (rnd(&r, 50) == 0)
				buf_c(&in, (char)rnd(&r, 256));
			else
				utf8_put(&in, cp);
		}
		if (auth_name(&b, buf_str(&in)) == OK) {
			seed_true(&r, utf8_valid(buf_str(&b)));
			seed_true(&r, b.n <= AUTH_NAME_MAX);
			seed_true(&r, auth_name(&again, buf_str(&b)) == OK);
			seed_true(&r, str_eq(buf_str(&again), buf_str(&b)));
		}
		buf_free(&in);
		buf_free(&b);
		buf_free(&again);
	}
}

int
t_name(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same),
	    cmocka_unit_test(test_nul),
	    cmocka_unit_test(test_long),
	    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
