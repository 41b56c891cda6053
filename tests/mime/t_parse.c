/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The tree of parts; R54, R55. */
#include "t_mime.h"

/* "multipart/mixed(text/plain:3,...)": the tree with the lengths of leaves,
 * "*" for what was invented, "!" for what is beyond a bound. */
static void
show(str message, struct buf *b)
{
	struct tree t = {0};
	size_t i;
	uint32_t k, next;

	buf_reset(b);
	mime_tree(message, &t);
	for (i = 0; i < t.n; i++) {
		struct node *n = &t.v[i];

		if (i > 0 && n->part.number > 1)
			buf_c(b, ',');
		if (n->invented)
			buf_c(b, '*');
		if (n->unread)
			buf_c(b, '!');
		buf_f(b, "%.*s/%.*s", STR_ARG(n->type), STR_ARG(n->subtype));
		next = i + 1 < t.n ? t.v[i + 1].part.parent : UINT32_MAX;
		if (next == i) {
			buf_c(b, '(');
			continue;
		}
		buf_f(b, ":%u", n->part.body_len);
		for (k = n->part.parent; (uint32_t)i != 0;) {
			if (k == next)
				break;
			buf_c(b, ')');
			if (k == 0)
				break;
			k = t.v[k].part.parent;
		}
	}
	tree_free(&t);
}

#define MULTI(b) "Content-Type: multipart/mixed; boundary=" b "\r\n\r\n"

static void
test_rows(void **state)
{
	static const struct {
		str in, out;
	} rows[] = {
	    {S(""), S("text/plain:0")},
	    {S("\r\nx"), S("text/plain:1")},
	    {S("Content-Type: text/html\r\n\r\nabc"), S("text/html:3")},
	    {S(MULTI("b") "--b\r\n\r\none\r\n--b\r\n\r\ntwo!\r\n--b--\r\n"),
		S("multipart/mixed(text/plain:3,text/plain:4)")},
	    /* bare LF */
	    {S("Content-Type: multipart/mixed; boundary=b\n\n"
	       "--b\n\none\n--b--\n"),
		S("multipart/mixed(text/plain:3)")},
	    /* preamble, epilogue, white space behind, text in front */
	    {S(MULTI("b") "pre\r\n --b\r\nx--b\r\n--b \t\r\n\r\none\r\n"
			  "--b-- \r\nepilogue\r\n--b\r\n\r\nno\r\n"),
		S("multipart/mixed(text/plain:3)")},
	    /* R55: a boundary that is the prefix of another */
	    {S(MULTI("ab") "--ab\r\n" MULTI(
		 "abc") "--abc\r\n\r\none\r\n"
			"--abc--\r\n--ab\r\n\r\ntwo\r\n--ab--\r\n"),
		S("multipart/mixed(multipart/mixed(text/plain:3),"
		  "text/plain:3)")},
	    {S(MULTI("a") "--a\r\n" MULTI(
		 "a--") "--a--\r\n\r\none\r\n"
			"--a----\r\n--a\r\n\r\ntwo\r\n--a--\r\n"),
		S("multipart/mixed(multipart/mixed(text/plain:3),"
		  "text/plain:3)")},
	    /* the same boundary twice: the inner one is meant */
	    {S(MULTI("b") "--b\r\n" MULTI("b") "--b\r\n\r\none\r\n--b--\r\n"
					       "--b\r\n\r\ntwo\r\n--b--\r\n"),
		S("multipart/mixed(multipart/mixed(text/plain:3),"
		  "text/plain:3)")},
	    /* an outer delimiter ends the inner multiparts */
	    {S(MULTI("a") "--a\r\n" MULTI("b") "--b\r\n\r\none\r\n"
					       "--a\r\n\r\ntwo\r\n--a--\r\n"),
		S("multipart/mixed(multipart/mixed(text/plain:3),"
		  "text/plain:3)")},
	    /* empty boundary; none */
	    {S(MULTI("\"\"") "--\r\n\r\none\r\n----\r\n"),
		S("multipart/mixed(text/plain:3)")},
	    {S("Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nx\r\n--b--"),
		S("multipart/mixed(*text/plain:0)")},
	    {S(MULTI("b") "never"), S("multipart/mixed(*text/plain:0)")},
	    {S(MULTI("b") "--b--\r\n"), S("multipart/mixed(*text/plain:0)")},
	    {S(MULTI("b")), S("multipart/mixed(*text/plain:0)")},
	    /* parts without a body, or without all of a header */
	    {S(MULTI("b") "--b\r\n--b\r\nX: y\r\n--b\r\n\r\n--b--"),
		S("multipart/mixed(text/plain:0,text/plain:0,text/plain:0)")},
	    {S(MULTI("b") "--b"), S("multipart/mixed(text/plain:0)")},
	    /* messages */
	    {S("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nbody"),
		S("message/rfc822(text/plain:4)")},
	    {S("Content-Type: message/global\r\n\r\nSubject: x\r\n\r\nbody"),
		S("message/global(text/plain:4)")},
	    {S("Content-Type: message/partial; id=x\r\n\r\nA: b\r\n\r\nbody"),
		S("message/partial:12")},
	    {S("Content-Type: message/external-body\r\n\r\nA: b\r\n\r\nx"),
		S("message/external-body:9")},
	    {S("Content-Type: multipart/digest; boundary=b\r\n\r\n"
	       "--b\r\n\r\nSubject: x\r\n\r\none\r\n"
	       "--b\r\nContent-Type: text/plain\r\n\r\ntwo\r\n--b--"),
		S("multipart/digest(message/rfc822(text/plain:3),"
		  "text/plain:3)")},
	    {S(MULTI("b") "--b\r\nContent-Type: message/rfc822\r\n\r\n"
			  "Subject: x\r\n--b\r\n\r\ny\r\n--b--"),
		S("multipart/mixed(message/rfc822(text/plain:0),"
		  "text/plain:1)")},
	    /* damaged types */
	    {S("Content-Type: text\r\n\r\nx"), S("text/plain:1")},
	    {S("Content-Type: ; a=b\r\n\r\nx"), S("text/plain:1")},
	    {S("Content-Type: /\r\n\r\nx"), S("text/plain:1")},
	    {S("Content-Type: text / (c) html\r\n\r\nx"), S("text/html:1")},
	    {S("Content-Type: Multipart/MIXED; Boundary=\"b\"\r\n\r\n"
	       "--b\r\n\r\nx\r\n--b--"),
		S("Multipart/MIXED(text/plain:1)")},
	};
	struct buf b = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		show(rows[i].in, &b);
		assert_str(buf_str(&b), rows[i].out);
	}
	buf_free(&b);
}

enum last { LAST_TEXT, LAST_MESSAGE, LAST_DIGEST };

/* levels of multiparts or messages, then a leaf of "x". */
static void
nest(struct buf *b, size_t levels, bool messages, enum last last)
{
	size_t i;

	buf_reset(b);
	for (i = 0; i < levels; i++) {
		if (messages) {
			buf_s(b, "Content-Type: message/rfc822\r\n\r\n");
			continue;
		}
		if (i + 1 == levels && last == LAST_MESSAGE)
			buf_s(b, "Content-Type: message/rfc822\r\n\r\n");
		else if (i + 1 == levels && last == LAST_DIGEST)
			buf_f(b,
			    "Content-Type: multipart/digest; boundary=b%zu"
			    "\r\n\r\n--b%zu\r\n",
			    i, i);
		else
			buf_f(b,
			    "Content-Type: multipart/mixed; boundary=b%zu"
			    "\r\n\r\n--b%zu\r\n",
			    i, i);
	}
	buf_s(b, "\r\nx\r\n");
	while (!messages && i-- > 0)
		buf_f(b, "--b%zu--\r\n", i);
}

static uint32_t
check(str message, uint32_t *levels)
{
	struct buf stored = {0};
	struct summary s;
	struct part p;
	uint32_t i, n, up;

	assert_int_equal(mime_summarise(message, &stored), OK);
	assert_int_equal(mime_summary_get(buf_str(&stored), &s), OK);
	*levels = 0;
	for (i = 0; mime_part(&s, i, &p); i++) {
		uint32_t depth = 0;

		for (up = i; up != 0 && depth < 20000; depth++) {
			struct part q;

			mime_part(&s, up, &q);
			up = q.parent;
		}
		*levels = MAX(*levels, depth);
		if (i > 300)
			break;
	}
	n = s.parts;
	buf_free(&stored);
	return n;
}

/* R54: nesting at the bound, one below, one past, and far past. */
static void
test_depth(void **state)
{
	size_t max = (size_t)limits.mime_depth_max, n;
	struct buf b = {0};
	uint32_t levels;

	for (int messages = 0; messages < 2; messages++) {
		for (int last = 0; last < (messages ? 1 : 3); last++) {
			for (n = max - 1; n <= max + 1; n++) {
				nest(&b, n, messages, (enum last)last);
				check(buf_str(&b), &levels);
				assert_true(levels <= max);
				assert_true(levels + 1 >= MIN(n, max));
			}
			nest(&b, 100000, messages, (enum last)last);
			assert_true(check(buf_str(&b), &levels) <= max + 1);
			assert_int_equal(levels, max);
		}
	}
	buf_free(&b);
}

static void
many(struct buf *b, size_t parts, bool digest, bool message_last)
{
	size_t i;

	buf_reset(b);
	buf_f(b, "Content-Type: multipart/%s; boundary=b\r\n\r\n",
	    digest ? "digest" : "mixed");
	for (i = 0; i < parts; i++) {
		buf_s(b, "--b\r\n");
		if (i + 1 == parts && message_last)
			buf_s(b, "Content-Type: message/rfc822\r\n");
		buf_s(b, "\r\nx\r\n");
	}
	buf_s(b, "--b--\r\n");
}

/* R54: as many parts as the bound, one less, one more, and 10^6. */
static void
test_parts(void **state)
{
	size_t max = (size_t)limits.mime_parts_max, n;
	struct buf b = {0};
	uint32_t levels;

	for (n = max - 2; n <= max; n++) {
		many(&b, n, false, false);
		assert_int_equal(check(buf_str(&b), &levels), MIN(n + 1, max));
		many(&b, n, false, true);
		assert_true(check(buf_str(&b), &levels) <= max);
		many(&b, n, true, false);
		assert_true(check(buf_str(&b), &levels) <= max);
	}
	many(&b, 1000000, false, true);
	assert_int_equal(check(buf_str(&b), &levels), max);
	many(&b, 1000000, true, true);
	assert_int_equal(check(buf_str(&b), &levels), max);
	buf_free(&b);
}

/* R57: the headers of parts are bounded in sum. */
static void
test_part_headers(void **state)
{
	size_t each = (size_t)limits.header_max / 2, n = 12, i;
	struct buf b = {0};
	uint32_t levels, got;

	buf_s(&b, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	while (n-- > 0) {
		buf_s(&b, "--b\r\nSubject: ");
		for (i = 0; i < each; i++)
			buf_c(&b, 's');
		buf_s(&b, "\r\n\r\nx\r\n");
	}
	got = check(buf_str(&b), &levels);
	assert_true(got >= PART_HEADERS_FACTOR * 2);
	assert_true(got <= PART_HEADERS_FACTOR * 2 + 2);
	buf_free(&b);
}

/* Random trees of lines: parts are within their parents, siblings do not
 * overlap, the same message gives the same bytes. */
static void
test_random(void **state)
{
	static const char *const lines[] = {"--a", "--a--", "--b", "--b--",
	    "--ab", "", "", "x", "--",
	    "Content-Type: multipart/mixed;boundary=a",
	    "Content-Type: multipart/digest; boundary=b",
	    "Content-Type: message/rfc822", "Content-Type: text/html",
	    "Content-Type: multipart/alternative; boundary=\"ab\"", " fold"};
	struct rnd r;

	for_seeds(&r, 4000)
	{
		struct buf m = {0}, one = {0}, two = {0}, body = {0};
		struct summary s;
		struct part p, q;
		uint32_t i, k;

		for (size_t n = rnd(&r, 40); n > 0; n--) {
			buf_str_add(&m, str_c(lines[rnd(&r, NELEM(lines))]));
			buf_s(&m, "\r\n");
		}
		seed_true(&r, mime_summarise(buf_str(&m), &one) == OK);
		seed_true(&r, mime_summarise(buf_str(&m), &two) == OK);
		seed_true(&r, str_eq(buf_str(&one), buf_str(&two)));
		seed_true(&r, mime_summary_get(buf_str(&one), &s) == OK);
		seed_true(&r, s.size == m.n);
		for (i = 1; mime_part(&s, i, &p); i++) {
			for (k = 1; k < i; k++) {
				mime_part(&s, k, &q);
				if (q.parent == p.parent)
					seed_true(&r, q.body_at + q.body_len <=
							  p.header_at);
			}
		}
		mime_body_of(s.bodystructure, &body);
		seed_true(&r, body.n > 0 && body.p[0] == '(');
		seed_true(&r, body.n <= s.bodystructure.n);
		buf_free(&m);
		buf_free(&one);
		buf_free(&two);
		buf_free(&body);
	}
}

int
t_parse(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_depth),
	    cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_part_headers),
	    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
