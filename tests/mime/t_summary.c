/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The stored summary: what is in it, and that nothing wrong is believed. */
#include "t_mime.h"

static const str mail =
    S("Received: from a\r\n by b\r\n"
      "Date: Mon, 2 Jan 2006 15:04:05 -0700\r\n"
      "Subject: Re: [x] =?utf-8?q?=C3=84pfel?=\r\n"
      "From: \"Ann, B.\" <Ann@Example.org>, bob@b\r\n"
      "To: list: c@d;\r\n"
      "Message-ID: <i@j>\r\n"
      "In-Reply-To: <p@q>\r\n"
      "References: <o@p>\r\n <p@q>\r\n"
      "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
      "--b\r\n\r\none\r\n"
      "--b\r\nContent-Type: message/rfc822\r\n\r\n"
      "Content-Type: multipart/alternative; boundary=c\r\n\r\n"
      "--c\r\n\r\ntwo\r\n--c\r\nContent-Type: text/html\r\n\r\nthree\r\n"
      "--c--\r\n"
      "--b\r\nContent-Type: message/rfc822\r\n\r\n\r\nplain\r\n"
      "--b--\r\n");

static void
test_values(void **state)
{
	struct buf b = {0};
	str v[3];
	struct summary s;
	struct part p;

	assert_int_equal(mime_summarise(mail, &b), OK);
	assert_int_equal(mime_summary_get(buf_str(&b), &s), OK);
	assert_int_equal(s.size, mail.n);
	assert_int_equal(s.header_size, mime_header_len(mail));
	assert_false(s.has_nul);
	assert_true(s.has_date);
	assert_int_equal(s.date.sec, 1136239445);
	assert_int_equal(s.date.zone_min, -420);
	assert_true(mime_summary_head(buf_str(&b), &v[0], &v[1], &v[2]));
	assert_str(v[0], s.envelope);
	assert_str(v[1], s.bodystructure);
	assert_str(v[2], s.fields);
	assert_true(mime_summary_head(
	    str_head(buf_str(&b), s.fields.p - b.p), &v[0], &v[1], NULL));
	assert_false(mime_summary_head(
	    str_head(buf_str(&b), s.fields.p - b.p), &v[0], &v[1], &v[2]));
	assert_str(s.message_id, S("i@j"));
	assert_str(s.in_reply_to, S("p@q"));
	assert_str(s.references, S("o@p\0p@q"));
	assert_true(str_starts(s.fields, S("Date: Mon")));
	assert_str(s.text[SUM_SUBJECT], S("re: [x] a\xcc\x88pfel"));
	assert_str(s.text[SUM_BASE_SUBJECT], S("a\xcc\x88pfel"));
	assert_str(s.text[SUM_FROM], S("ann, b. <ann@example.org>, bob@b"));
	assert_str(s.text[SUM_FROM_MAILBOX], S("ann"));
	assert_str(s.text[SUM_FROM_DISPLAY], S("ann, b."));
	assert_str(s.text[SUM_TO], S("list: c@d;"));
	assert_str(s.text[SUM_TO_MAILBOX], S("list"));
	assert_str(s.text[SUM_TO_DISPLAY], S("list"));
	assert_int_equal(s.text[SUM_CC].n, 0);
	assert_int_equal(s.parts, 8);
	assert_true(mime_part(&s, 7, &p));
	assert_false(mime_part(&s, 8, &p));
	buf_free(&b);
}

static void
test_find(void **state)
{
	static const struct {
		uint32_t v[4];
		size_t n;
		int index; /* -1: there is none */
	} rows[] = {
	    {{0}, 0, 0},
	    {{1}, 1, 1},
	    {{2}, 1, 2},
	    {{2, 1}, 2, 4},
	    {{2, 2}, 2, 5},
	    {{3}, 1, 6},
	    {{3, 1}, 2, 7},
	    {{4}, 1, -1},
	    {{0}, 1, -1},
	    {{1, 1}, 2, -1},
	    {{2, 3}, 2, -1},
	    {{3, 2}, 2, -1},
	    {{3, 1, 1}, 3, -1},
	    {{2, 1, 1}, 3, -1},
	};
	static const uint32_t one[] = {1, 1};
	struct buf b = {0};
	struct summary s;
	struct part p;
	uint32_t index;

	assert_int_equal(mime_summarise(mail, &b), OK);
	assert_int_equal(mime_summary_get(buf_str(&b), &s), OK);
	for (size_t i = 0; i < NELEM(rows); i++) {
		bool found =
		    mime_part_find(&s, rows[i].v, rows[i].n, &p, &index);

		assert_int_equal(found, rows[i].index >= 0);
		if (found)
			assert_int_equal(index, rows[i].index);
	}
	/* A message that is no multipart has the part 1: its body. */
	buf_reset(&b);
	assert_int_equal(mime_summarise(S("\r\nx"), &b), OK);
	assert_int_equal(mime_summary_get(buf_str(&b), &s), OK);
	assert_true(mime_part_find(&s, one, 1, &p, &index));
	assert_int_equal(index, 0);
	assert_false(mime_part_find(&s, one, 2, &p, &index));
	/* And when it is a message itself, that one's parts follow. */
	buf_reset(&b);
	assert_int_equal(
	    mime_summarise(S("Content-Type: message/rfc822\r\n\r\n\r\nx"), &b),
	    OK);
	assert_int_equal(mime_summary_get(buf_str(&b), &s), OK);
	assert_true(mime_part_find(&s, one, 2, &p, &index));
	assert_int_equal(index, 1);
	buf_free(&b);
}

/* Whatever is read, what mime_summary_get takes can be used. */
static void
use(str stored)
{
	struct summary s;
	struct part p, up;
	uint32_t i, index, section[] = {1, 1, 2};
	str v[3];

	/* What stands first can be had alone, of the beginning too. */
	for (size_t n = stored.n; n > 0 && n + 2 > stored.n; n--) {
		if (mime_summary_head(str_head(stored, n), &v[0], &v[1], &v[2]))
			for (i = 0; i < 3; i++)
				assert_true(v[i].p >= stored.p &&
					    v[i].p + v[i].n <= stored.p + n);
	}
	if (mime_summary_get(stored, &s) != OK)
		return;
	if (mime_summary_head(stored, &v[0], &v[1], &v[2])) {
		assert_str(v[0], s.envelope);
		assert_str(v[1], s.bodystructure);
		assert_str(v[2], s.fields);
	}
	for (i = 0; mime_part(&s, i, &p); i++) {
		assert_true((uint64_t)p.body_at + p.body_len <= s.size);
		assert_true(p.header_at + p.header_len == p.body_at);
		mime_part(&s, p.parent, &up);
		assert_true(
		    i == 0 || (p.parent < i && p.header_at >= up.body_at));
	}
	mime_part_find(&s, section, 3, &p, &index);
	for (i = 0; i < SUM_TEXT_MAX; i++)
		assert_true(s.text[i].n == 0 || (s.text[i].p >= stored.p &&
						    s.text[i].p + s.text[i].n <=
							stored.p + stored.n));
}

static void
test_damaged(void **state)
{
	struct buf b = {0};
	struct summary s;
	struct rnd r;

	assert_int_equal(mime_summarise(mail, &b), OK);
	for (size_t n = 0; n < b.n; n++) {
		char *copy = x_try(n + 1);

		memcpy(copy, b.p, n);
		use(str_of(copy, n));
		x_free(&copy);
	}
	for_seeds(&r, 20000)
	{
		size_t at = rnd(&r, b.n), two = rnd(&r, b.n);
		char old = b.p[at], old2 = b.p[two];

		b.p[at] = (char)rnd64(&r);
		b.p[two] = (char)rnd_bits(&r);
		use(buf_str(&b));
		b.p[two] = old2;
		b.p[at] = old;
	}
	b.p[0] = 2; /* a later version */
	assert_int_equal(mime_summary_get(buf_str(&b), &s), ERR_CORRUPT);
	b.p[0] = 1;
	/* A field that a later version adds is passed over. */
	enc_u8(&b, 99);
	enc_str(&b, S("later"));
	assert_int_equal(mime_summary_get(buf_str(&b), &s), OK);
	buf_free(&b);
}

static void
test_big(void **state)
{
	struct buf b = {0};

	assert_int_equal(
	    mime_summarise(str_of("", (size_t)INT32_MAX + 1), &b), ERR_TOOBIG);
	assert_int_equal(b.n, 0);
}

/* R56: many addresses are cut, not multiplied. */
static void
test_addresses(void **state)
{
	struct buf m = {0}, b = {0};
	struct summary s;

	buf_s(&m, "From: ");
	while (m.n < 1000000)
		buf_s(&m, "a,");
	buf_s(&m, "\r\n\r\n");
	assert_int_equal(mime_summarise(buf_str(&m), &b), OK);
	assert_int_equal(mime_summary_get(buf_str(&b), &s), OK);
	assert_true(s.envelope.n < ADDRESSES_MAX * 20);
	buf_free(&m);
	buf_free(&b);
}

int
t_summary(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_big),
	    cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests_name("summary", tests, NULL, NULL);
}
