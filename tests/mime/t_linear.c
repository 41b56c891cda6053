/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Work grows as the input does, whatever the input; R54, R55, R56, R57, R59.
 * Counted are blocks of code and bytes given to memchr and the like, in mime
 * and base both, so that the result is the same on every machine: twice the
 * input may cost little more than twice the work, and no byte more than
 * some hundred steps.
 */
#include "mime/mime_int.h"
#include "seeds.h"

unsigned long long work;

void __sanitizer_cov_trace_pc(void);
void
__sanitizer_cov_trace_pc(void)
{
	work++;
}

/* ---- inputs of some n bytes ---- */

static void
again(struct buf *b, const char *s, size_t n)
{
	size_t k = strlen(s);

	for (; n > 0; n -= MIN(n, k))
		buf_add(b, s, k);
}

#define REPEAT(name, before, unit, after)         \
	static void name(struct buf *b, size_t n) \
	{                                         \
		buf_s(b, before);                 \
		again(b, unit, n);                \
		buf_s(b, after);                  \
	}

#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"

REPEAT(one_line, "\r\n", "xxxxxxxxxx", "")
REPEAT(header_line, "Subject: ", "xxxxxxxxxx", "\r\n\r\n")
REPEAT(header_lines, "", "X: y\r\n", "\r\n")
REPEAT(header_folds, "Subject: x", "\r\n y", "\r\n\r\n")
REPEAT(header_junk, "", "no colon\r\n", "\r\n")
REPEAT(header_cr, "", "\r", "\n")
REPEAT(empty_lines, "X: y\r\n\r\n", "\r\n", "")
REPEAT(cr_lines, "X: y\r\n", " \r\r\r\r\n", "")
REPEAT(parts, MIXED, "--b\r\n\r\nx\r\n", "--b--\r\n")
REPEAT(empty_parts, MIXED, "--b\r\n", "")
REPEAT(closes, MIXED, "--b--\r\n", "")
REPEAT(dashes, MIXED, "--", "\r\n")
REPEAT(dash_lines, MIXED, "--\r\n", "")
REPEAT(dash_spaces, MIXED "--b", " \t", "x\r\n")
REPEAT(boundaries_in_line, MIXED, "--b", "\r\n")
REPEAT(digest, "Content-Type: multipart/digest; boundary=b\r\n\r\n",
    "--b\r\n\r\nSubject: x\r\n\r\ny\r\n", "--b--")
REPEAT(messages, "", "Content-Type: message/rfc822\r\n\r\n", "x")
REPEAT(from_fields, "", "From: a@b\r\n", "\r\n")
REPEAT(to_fields, "", "To: Ann <a@b>\r\n", "\r\n")
REPEAT(addresses, "To: ", "a@b,", "\r\n\r\n")
REPEAT(from_commas, "From: ", ",", "\r\n\r\n")
REPEAT(groups, "To: ", "g:a;", "\r\n\r\n")
REPEAT(semicolons, "From: ", ";", "\r\n\r\n")
REPEAT(colons, "From: ", ":", "\r\n\r\n")
REPEAT(angles, "From: ", "<", "\r\n\r\n")
REPEAT(angle_pairs, "From: ", "<>", "\r\n\r\n")
REPEAT(routes, "From: ", "<@", "\r\n\r\n")
REPEAT(ats, "From: ", "@", "\r\n\r\n")
REPEAT(at_spaces, "From: a@", "b ", "\r\n\r\n")
REPEAT(at_brackets, "From: ", "@[", "\r\n\r\n")
REPEAT(words_only, "From: ", "w ", "\r\n\r\n")
REPEAT(dots, "From: ", ". ", "\r\n\r\n")
REPEAT(comments, "From: ", "(", "\\")
REPEAT(comment_pairs, "From: ", "()", "\r\n\r\n")
REPEAT(comments_closed, "From: ", "(\\)", ")\r\n\r\n")
REPEAT(quotes, "From: ", "\"", "\\")
REPEAT(quoted_at, "From: ", "\"\"@", "\r\n\r\n")
REPEAT(backslashes, "From: \"", "\\", "\r\n\r\n")
REPEAT(params, "Content-Type: text/plain", "; a=b", "\r\n\r\n")
REPEAT(params_2231, "Content-Type: text/plain", "; a*0*=b", "\r\n\r\n")
REPEAT(params_quotes, "Content-Type: text/plain;", "a=\"", "\r\n\r\n")
REPEAT(params_semi, "Content-Type: text/plain", ";", "\r\n\r\n")
REPEAT(params_comment, "Content-Type: text/plain;", "(", "\r\n\r\n")
REPEAT(params_equals, "Content-Type: text/plain;", "=", "\r\n\r\n")
REPEAT(params_names, "Content-Type: text/plain;", "a ", "\r\n\r\n")
REPEAT(params_boundary, "Content-Type: multipart/mixed", "; boundary=x",
    "\r\n\r\n--x\r\n")
REPEAT(word_starts, "Subject: ", "=?", "\r\n\r\n")
REPEAT(word_halves, "Subject: ", "=?utf-8?q?", "\r\n\r\n")
REPEAT(word_bomb, "Subject: ", "=?utf-8?b?w6Q=?= ", "\r\n\r\n")
REPEAT(word_charsets,
    "Subject: ", "=?iso-2022-jp?b?GyRC?= =?koi8-r?q?=C1?= ", "\r\n\r\n")
REPEAT(word_q, "Subject: =?utf-8?q?", "_=41", "?=\r\n\r\n")
REPEAT(word_raw, "Subject: ", "\xe4=?x?q?y?=", "\r\n\r\n")
REPEAT(subject_re, "Subject: ", "Re: ", "\r\n\r\n")
REPEAT(subject_blobs, "Subject: ", "[a]", "\r\n\r\n")
REPEAT(subject_open, "Subject: ", "[", "\r\n\r\n")
REPEAT(subject_fwd, "Subject: ", "[fwd:", "x\r\n\r\n")
REPEAT(subject_fwds, "Subject: x", " (fwd)", "\r\n\r\n")
REPEAT(subject_re_open, "Subject: ", "re [", "\r\n\r\n")
REPEAT(references, "References: ", "<a@b> ", "\r\n\r\n")
REPEAT(references_open, "References: ", "<", "\r\n\r\n")
REPEAT(references_bare, "References: ", "a ", "\r\n\r\n")
REPEAT(date_long, "Date: ", "1 ", "\r\n\r\n")
REPEAT(date_comments, "Date: ", "(", "\r\n\r\n")
REPEAT(languages, "Content-Language: ", "(", "\r\n\r\n")
REPEAT(dispositions, "Content-Disposition: ", "(\\", "\r\n\r\n")
REPEAT(
    utf8_bad, "Content-Type: text/plain; charset=utf-8\r\n\r\n", "\xe2\x82", "")
REPEAT(
    latin, "Content-Type: text/plain; charset=iso-8859-1\r\n\r\n", "\xe4", "")
REPEAT(qp_equals,
    "Content-Type: text/plain\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
    "=", "")
REPEAT(qp_spaces,
    "Content-Type: text/plain\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
    " ", "\r\n")
REPEAT(base64_junk,
    "Content-Type: text/plain\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\n",
    "A*=", "")
REPEAT(state_bomb, "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n",
    "\x1b$B\x1b(B", "")
REPEAT(utf7, "Content-Type: text/plain; charset=utf-7\r\n\r\n", "+", "")
REPEAT(utf7_pairs, "Content-Type: text/plain; charset=utf-7\r\n\r\n", "+-", "")

/* Multiparts to the bound, boundaries alike, lines that nearly match. */
static void
deep(struct buf *b, size_t n)
{
	size_t i, k;

	for (i = 0; i < 90; i++) {
		buf_s(b, "Content-Type: multipart/mixed; boundary=");
		again(b, "xxxxxxxxxx", 60);
		buf_f(b, "%02zu\r\n\r\n--", i);
		again(b, "xxxxxxxxxx", 60);
		buf_f(b, "%02zu\r\n", i);
	}
	for (k = b->n; b->n < k + n;) {
		buf_s(b, "--");
		again(b, "xxxxxxxxxx", 60);
		buf_s(b, "99\r\n");
	}
}

static void
nested(struct buf *b, size_t n)
{
	for (size_t i = 0; b->n < n; i++)
		buf_f(b,
		    "Content-Type: multipart/mixed; boundary=b%zu\r\n\r\n"
		    "--b%zu\r\n",
		    i, i);
}

/* 2231 pieces from the last to the first. */
static void
params_back(struct buf *b, size_t n)
{
	buf_s(b, "Content-Type: text/plain");
	for (size_t i = n / 10; i > 0; i--)
		buf_f(b, "; a*%zu=b", i);
	buf_s(b, "\r\n\r\n");
}

static bool
never(void *ctx, str folded)
{
	return true;
}

static unsigned long long
cost(void (*make)(struct buf *b, size_t n), size_t n, size_t *bytes)
{
	struct buf m = {0}, b = {0}, body = {0};
	struct summary s;
	static const str names[] = {S("x"), S("subject"), S("to")};
	unsigned long long spent;

	make(&m, n);
	work = 0;
	assert_int_equal(mime_summarise(buf_str(&m), &b), OK);
	assert_int_equal(mime_summary_get(buf_str(&b), &s), OK);
	mime_body_of(s.bodystructure, &body);
	mime_header_fields(buf_str(&m), names, 3, false, &body);
	mime_text(buf_str(&m), &s, MIME_IN_TEXT, 20, never, NULL);
	spent = work;
	*bytes = m.n;
	buf_free(&m);
	buf_free(&b);
	buf_free(&body);
	return spent;
}

#define ROW(f)        \
	{             \
#f, f \
	}
static const struct {
	const char *name;
	void (*make)(struct buf *b, size_t n);
} rows[] = {ROW(one_line), ROW(header_line), ROW(header_lines),
    ROW(header_folds), ROW(header_junk), ROW(header_cr), ROW(empty_lines),
    ROW(cr_lines), ROW(parts), ROW(empty_parts), ROW(closes), ROW(dashes),
    ROW(dash_lines), ROW(dash_spaces), ROW(boundaries_in_line), ROW(digest),
    ROW(messages), ROW(from_fields), ROW(to_fields), ROW(addresses),
    ROW(from_commas), ROW(groups), ROW(semicolons), ROW(colons), ROW(angles),
    ROW(angle_pairs), ROW(routes), ROW(ats), ROW(at_spaces), ROW(at_brackets),
    ROW(words_only), ROW(dots), ROW(comments), ROW(comment_pairs),
    ROW(comments_closed), ROW(quotes), ROW(quoted_at), ROW(backslashes),
    ROW(params), ROW(params_2231), ROW(params_quotes), ROW(params_semi),
    ROW(params_comment), ROW(params_equals), ROW(params_names),
    ROW(params_boundary), ROW(word_starts), ROW(word_halves), ROW(word_bomb),
    ROW(word_charsets), ROW(word_q), ROW(word_raw), ROW(subject_re),
    ROW(subject_blobs), ROW(subject_open), ROW(subject_fwd), ROW(subject_fwds),
    ROW(subject_re_open), ROW(references), ROW(references_open),
    ROW(references_bare), ROW(date_long), ROW(date_comments), ROW(languages),
    ROW(dispositions), ROW(utf8_bad), ROW(latin), ROW(qp_equals),
    ROW(qp_spaces), ROW(base64_junk), ROW(state_bomb), ROW(utf7),
    ROW(utf7_pairs), ROW(deep), ROW(nested), ROW(params_back)};

#define SMALL 120000
#define TIMES 8

static void
test_linear(void **state)
{
	size_t bytes, more, wrong = 0;
	unsigned long long one, eight;

	/* Headers are looked at whole here, so that no bound hides work. */
	limits.header_max = 1 << 26;
	for (size_t i = 0; i < NELEM(rows); i++) {
		one = cost(rows[i].make, SMALL, &bytes);
		eight = cost(rows[i].make, SMALL * TIMES, &more);
		if (getenv("SHOW") != NULL)
			print_message("%-20s %6.1f a byte, x%.1f\n",
			    rows[i].name, (double)one / (double)bytes,
			    (double)eight / (double)one);
		if (eight > one * (TIMES * 5 / 4) || one / bytes > 2000) {
			print_message("%s: %.1f a byte, x%.1f\n", rows[i].name,
			    (double)one / (double)bytes,
			    (double)eight / (double)one);
			wrong++;
		}
	}
	limits_default(&limits);
	assert_int_equal(wrong, 0);
}

/* R56, R57: 50 MB of it, by the default bounds. */
static void
test_large(void **state)
{
	static void (*const makes[])(struct buf * b, size_t n) = {one_line,
	    header_line, header_lines, from_fields, addresses, semicolons,
	    params_2231, word_bomb, parts, nested, messages};
	size_t bytes;

	for (size_t i = 0; i < NELEM(makes); i++) {
		unsigned long long each = cost(makes[i], 10000000, &bytes);

		each /= bytes; /* not in one expression with the call */
		if (each >= 300)
			fail_msg("row %zu: %llu a byte", i, each);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_linear),
	    cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
