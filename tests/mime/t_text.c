/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Searchable text; R59. */
#include "t_mime.h"

struct seek {
	str needle;
	bool found;
	size_t pieces, longest;
};

static bool
seek(void *ctx, str folded)
{
	struct seek *s = ctx;

	s->pieces++;
	s->longest = MAX(s->longest, folded.n);
	if (str_find(folded, s->needle) < folded.n)
		s->found = true;
	return !s->found;
}

static bool
has(str message, enum mime_where where, str needle)
{
	struct buf b = {0}, folded = {0};
	struct summary sum;
	struct seek s = {0};

	utf8_fold(&folded, needle);
	s.needle = buf_str(&folded);
	assert_int_equal(mime_summarise(message, &b), OK);
	assert_int_equal(mime_summary_get(buf_str(&b), &sum), OK);
	mime_text(message, &sum, where, s.needle.n, seek, &s);
	buf_free(&b);
	buf_free(&folded);
	return s.found;
}

static const str mail =
    S("Subject: =?utf-8?q?B=C3=84ume?=\r\n"
      "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
      "preamble\r\n"
      "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
      "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
      "Gr=F6=\r\n=DFe zuerst\r\n"
      "--b\r\nContent-Type: text/plain; charset=koi8-r\r\n"
      "Content-Transfer-Encoding: base64\r\n\r\n8NLJ18XU\r\n"
      "--b\r\nContent-Type: application/octet-stream\r\n\r\nbinary\r\n"
      "--b\r\nContent-Type: message/rfc822\r\n\r\n"
      "Subject: inner\r\n =?utf-8?q?=C3=A9?=\r\n\r\nenclosed\r\n"
      "--b--\r\n");

static void
test_find(void **state)
{
	assert_true(has(mail, MIME_IN_TEXT, S("b\xc3\xa4UME")));
	assert_false(has(mail, MIME_IN_BODY, S("b\xc3\xa4ume")));
	assert_true(has(mail, MIME_IN_BODY, S("GR\xc3\x96SSE ZU")));
	assert_true(has(mail, MIME_IN_BODY,
	    S("\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82")));
	assert_false(has(mail, MIME_IN_BODY, S("binary")));
	assert_false(has(mail, MIME_IN_BODY, S("preamble")));
	assert_true(has(mail, MIME_IN_BODY, S("inner \xc3\x89")));
	assert_true(has(mail, MIME_IN_BODY, S("enclosed")));
	/* No match spans two parts. */
	assert_false(has(mail, MIME_IN_BODY, S("zuerst\xd0\xbf")));
}

/* A word is found wherever in a large part it stands. */
static void
test_large(void **state)
{
	static const str word = S("N\xc3\x84"
				  "DEL");
	struct rnd r;

	for_seeds(&r, 40)
	{
		struct buf text = {0}, m = {0};
		size_t n = 30000 + rnd(&r, 40000);
		unsigned kind = (unsigned)rnd(&r, 3);

		while (text.n < n) {
			buf_s(&text, "\xe6\xbc\xa2\xc3\xa9\xcc\x81 ab");
			if (rnd(&r, 10) == 0)
				buf_s(&text, "\r\n");
		}
		buf_str_add(&text, word);
		while (text.n < 80000)
			buf_s(&text, "\xc3\xa9");
		buf_s(&m, "Content-Type: text/plain; charset=utf-8\r\n");
		if (kind == 1) {
			buf_s(&m, "Content-Transfer-Encoding: base64\r\n\r\n");
			mime_base64_lines(buf_str(&text), 76, true, &m);
		} else if (kind == 2) {
			buf_s(&m, "Content-Transfer-Encoding: "
				  "quoted-printable\r\n\r\n");
			for (size_t i = 0; i < text.n; i++)
				buf_f(&m, "=%02X", (unsigned char)text.p[i]);
		} else {
			buf_s(&m, "\r\n");
			buf_str_add(&m, buf_str(&text));
		}
		seed_true(&r, has(buf_str(&m), MIME_IN_BODY, word));
		seed_true(&r, !has(buf_str(&m), MIME_IN_BODY, S("absent")));
		buf_free(&text);
		buf_free(&m);
	}
}

/* The pieces stay small. */
static void
test_bounded(void **state)
{
	struct buf m = {0}, b = {0};
	struct summary sum;
	struct seek s = {.needle = S("not there")};

	buf_s(&m, "\r\n");
	while (m.n < 10000000)
		buf_s(&m, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	assert_int_equal(mime_summarise(buf_str(&m), &b), OK);
	assert_int_equal(mime_summary_get(buf_str(&b), &sum), OK);
	mime_text(buf_str(&m), &sum, MIME_IN_BODY, 100, seek, &s);
	assert_true(s.pieces > 100);
	assert_true(s.longest < 300000);
	buf_free(&m);
	buf_free(&b);
}

static void
test_header(void **state)
{
	struct seek s = {.needle = S("a\xcc\x88")};

	mime_header_text(
	    S("X: b\r\nx: =?utf-8?q?=C3=84?=\r\n"), S("X"), seek, &s);
	assert_true(s.found);
	assert_int_equal(s.pieces, 2);
}

int
t_text(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_bounded),
	    cmocka_unit_test(test_header),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
