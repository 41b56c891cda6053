/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Transfer encodings; R59. */
#include "t_mime.h"

static void
test_rows(void **state)
{
	static const struct {
		enum cte e;
		str in, out;
	} rows[] = {
	    {CTE_7BIT, S("a\r\nb"), S("a\r\nb")},
	    {CTE_QP, S("a=3Db"), S("a=b")},
	    {CTE_QP, S("a=\r\nb"), S("ab")},
	    {CTE_QP, S("a=\nb"), S("ab")},
	    {CTE_QP, S("a= \t\r\nb"), S("ab")},
	    {CTE_QP, S("a \t\r\nb"), S("a\r\nb")},
	    {CTE_QP, S("a="), S("a")},
	    {CTE_QP, S("a=4"), S("a=4")},
	    {CTE_QP, S("a=zz=3"), S("a=zz=3")},
	    {CTE_QP, S("=e4=E4"), S("\xe4\xe4")},
	    {CTE_QP, S("a==\r\nb"), S("a=b")},
	    {CTE_QP, S("a_b"), S("a_b")},
	    {CTE_BASE64, S("AAEC"), S("\0\1\2")},
	    {CTE_BASE64, S("YWI="), S("ab")},
	    {CTE_BASE64, S("YQ=="), S("a")},
	    {CTE_BASE64, S("YWI"), S("ab")},
	    {CTE_BASE64, S("YW\r\nJ j\r\n"), S("abc")},
	    {CTE_BASE64, S("YQ==YQ=="), S("aa")},
	    {CTE_BASE64, S("Y"), S("")},
	    {CTE_BASE64, S("=="), S("")},
	    {CTE_BASE64, S("Y*W-J_j!"), S("abc")},
	    {CTE_UU, S("begin 644 x\r\n#86)C\r\n`\r\nend\r\nrest"), S("abc")},
	    {CTE_UU, S("preamble\nbegin 644 x\n!80\nend"), S("a")},
	    {CTE_UU, S("begin 6\r\nM\r\nZab"), S("\x07\x48\x80")},
	    {CTE_UNKNOWN, S("=41"), S("=41")},
	};
	struct buf b = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		buf_reset(&b);
		assert_int_equal(mime_decode(rows[i].in, rows[i].e, &b), OK);
		if (i + 2 != NELEM(rows))
			assert_str(buf_str(&b), rows[i].out);
		else
			assert_true(b.n <= 4);
	}
	buf_free(&b);
}

static void
test_names(void **state)
{
	str t;

	assert_int_equal(mime_cte(S(" Base64 "), &t), CTE_BASE64);
	assert_str(t, S("base64"));
	assert_int_equal(mime_cte(S("(c) 8bit;"), &t), CTE_8BIT);
	assert_int_equal(mime_cte(S("8 bit"), &t), CTE_8BIT);
	assert_int_equal(mime_cte(S("X-Odd"), &t), CTE_UNKNOWN);
	assert_str(t, S("X-Odd"));
	assert_int_equal(mime_cte(S(""), &t), CTE_7BIT);
}

static void
fill(struct rnd *r, struct buf *b, size_t n)
{
	buf_reset(b);
	while (n-- > 0)
		buf_c(b, (char)rnd64(r));
}

static void
test_exact(void **state)
{
	struct rnd r;

	for_seeds(&r, 2000)
	{
		struct buf data = {0}, body = {0}, back = {0}, again = {0};
		uint32_t line = 4 * (1 + (uint32_t)rnd(&r, 30)), got;
		bool tail = rnd(&r, 2) == 1;
		size_t at;

		fill(&r, &data, 1 + rnd(&r, 300));
		mime_base64_lines(buf_str(&data), line, tail, &body);
		seed_true(&r, mime_base64_exact(buf_str(&body), &back, &got));
		seed_true(&r, str_eq(buf_str(&data), buf_str(&back)));
		mime_base64_lines(buf_str(&back), got, tail, &again);
		seed_true(&r, str_eq(buf_str(&body), buf_str(&again)));
		/* Changed anywhere, it is either refused or still exact. */
		at = rnd(&r, body.n);
		body.p[at] = "\r\n= A/-"[rnd(&r, 7)];
		buf_reset(&back);
		buf_reset(&again);
		if (mime_base64_exact(buf_str(&body), &back, &got)) {
			tail = str_ends(buf_str(&body), S("\r\n"));
			mime_base64_lines(buf_str(&back), got, tail, &again);
			seed_true(&r, str_eq(buf_str(&body), buf_str(&again)));
		}
		buf_free(&data);
		buf_free(&body);
		buf_free(&back);
		buf_free(&again);
	}
}

/* What vectors make, against the plain method; the memory around the text is
 * looked at by the sanitizer. */
static void
test_lines(void **state)
{
	static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789+/";
	struct rnd r;

	for_seeds(&r, 3000)
	{
		struct buf data = {0}, want = {0};
		uint32_t line = 4 * (1 + (uint32_t)rnd(&r, 60)), per;
		bool tail = rnd(&r, 2) == 1;
		char *src, *got;
		size_t n = 1 + rnd(&r, 700);

		fill(&r, &data, n);
		per = line / 4 * 3;
		for (size_t i = 0; i < n; i += 3) {
			unsigned char b[3] = {0};
			size_t k = MIN(n - i, 3);
			unsigned v;

			if (i > 0 && i % per == 0)
				buf_s(&want, "\r\n");
			memcpy(b, data.p + i, k);
			v = (unsigned)b[0] << 16 | (unsigned)b[1] << 8 | b[2];
			for (size_t c = 0; c < 4; c++)
				buf_c(&want,
				    c > k ? '=' : abc[v >> (18 - 6 * c) & 63]);
		}
		if (tail)
			buf_s(&want, "\r\n");
		src = x_alloc(n);
		memcpy(src, data.p, n);
		seed_true(&r, mime_base64_lines_size(n, line, tail) == want.n);
		got = x_alloc(want.n);
		seed_true(&r, mime_base64_lines_put(
				  str_of(src, n), line, tail, got) == want.n);
		seed_true(&r, memcmp(got, want.p, want.n) == 0);
		x_free(&src);
		x_free(&got);
		buf_free(&data);
		buf_free(&want);
	}
}

static void
test_not_exact(void **state)
{
	static const str rows[] = {
	    S(""),
	    S("YQ"),
	    S("YR=="),
	    S("YWJ="),
	    S("YWJj\nYWJj"),
	    S("YWJj "),
	    S("YWJj\r\n\r\n"),
	    S("YWJj\r\nYWJjYWJj"),
	    S("YQ==\r\nYWJj"),
	    S("\r\nYWJj"),
	    S("YWJj\r"),
	    S("YWJjYWJj\r\nYWJj\r\nYWJjYWJj"),
	};
	struct buf b = {0};
	uint32_t line;

	for (size_t i = 0; i < NELEM(rows); i++)
		assert_false(mime_base64_exact(rows[i], &b, &line));
	assert_true(mime_base64_exact(S("YWJj\r\nYQ==\r\n"), &b, &line));
	assert_int_equal(line, 4);
	buf_free(&b);
}

/* In pieces it is as it is at once. */
static void
test_pieces(void **state)
{
	struct rnd r;

	for_seeds(&r, 1000)
	{
		struct buf in = {0}, one = {0}, two = {0};
		struct b64 d = {0};
		str rest;

		for (size_t n = rnd(&r, 80); n > 0; n--)
			buf_c(&in, "AZaz09+/=\r\n -"[rnd(&r, 13)]);
		assert_int_equal(
		    mime_decode(buf_str(&in), CTE_BASE64, &one), OK);
		for (rest = buf_str(&in); rest.n > 0;) {
			size_t n = 1 + rnd(&r, rest.n);

			mime_b64_feed(&d, str_head(rest, n), &two);
			rest = str_from(rest, n);
		}
		mime_b64_end(&d, &two);
		seed_true(&r, str_eq(buf_str(&one), buf_str(&two)));
		buf_free(&in);
		buf_free(&one);
		buf_free(&two);
	}
}

int
t_decode(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_exact),
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_not_exact),
	    cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
