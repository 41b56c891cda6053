/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* ENVELOPE, BODYSTRUCTURE, BODY; R58. */
#include "t_mime.h"

static struct buf stored;

static struct summary
sum(str message)
{
	struct summary s;

	buf_reset(&stored);
	assert_int_equal(mime_summarise(message, &stored), OK);
	assert_int_equal(mime_summary_get(buf_str(&stored), &s), OK);
	return s;
}

static void
test_envelope(void **state)
{
	static const struct {
		str in, out;
	} rows[] = {
	    {S(""), S("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)")},
	    {S("Date: Mon, 2 Jan 2006 15:04:05 -0700\r\n"
	       "Subject: a\r\n b\r\n"
	       "From: A <a@b>\r\n"
	       "To: c@d, e@f\r\n"
	       "In-Reply-To: <x@y>\r\n"
	       "Message-ID: <i@j>\r\n\r\n"),
		S("(\"Mon, 2 Jan 2006 15:04:05 -0700\" \"a b\" "
		  "((\"A\" NIL \"a\" \"b\")) ((\"A\" NIL \"a\" \"b\")) "
		  "((\"A\" NIL \"a\" \"b\")) "
		  "((NIL NIL \"c\" \"d\")(NIL NIL \"e\" \"f\")) NIL NIL "
		  "\"<x@y>\" \"<i@j>\")")},
	    {S("From: a@b\r\nSender: s@t\r\nReply-To: r@u\r\n\r\n"),
		S("(NIL NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"s\" \"t\")) "
		  "((NIL NIL \"r\" \"u\")) NIL NIL NIL NIL NIL)")},
	    /* Present but empty: "" for texts, the default for addresses. */
	    {S("Subject:\r\nFrom: a@b\r\nSender:\r\nReply-To: \r\nTo: \r\n"
	       "Message-ID:\r\n\r\n"),
		S("(NIL \"\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) "
		  "((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL \"\")")},
	    {S("To: g: a@b;\r\nCc: undisclosed:;\r\n\r\n"),
		S("(NIL NIL NIL NIL NIL ((NIL NIL \"g\" NIL)"
		  "(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)) "
		  "((NIL NIL \"undisclosed\" NIL)(NIL NIL NIL NIL)) NIL NIL "
		  "NIL)")},
	    /* Quoting, literals, NUL, encoded words as they are. */
	    {S("Subject: \"q\" \\ =?utf-8?q?=C3=A4?=\r\n\r\n"),
		S("(NIL \"\\\"q\\\" \\\\ =?utf-8?q?=C3=A4?=\" NIL NIL NIL "
		  "NIL NIL NIL NIL NIL)")},
	    {S("Subject: \xc3\xa4\r\n\r\n"),
		S("(NIL {2}\r\n\xc3\xa4 NIL NIL NIL NIL NIL NIL NIL NIL)")},
	    {S("Subject: a\0b\r\n\r\n"), S("(NIL {5}\r\na\xef\xbf\xbd"
					   "b NIL NIL NIL NIL NIL NIL NIL "
					   "NIL)")},
	    {S("Subject: a\rb\r\n\r\n"),
		S("(NIL {3}\r\na\rb NIL NIL NIL NIL NIL NIL NIL NIL)")},
	    /* Several fields of addresses count as one; of others, the
	     * first counts. */
	    {S("To: a@b\r\nSubject: 1\r\nTo: c@d\r\nSubject: 2\r\n\r\n"),
		S("(NIL \"1\" NIL NIL NIL "
		  "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) NIL NIL NIL "
		  "NIL)")},
	};

	for (size_t i = 0; i < NELEM(rows); i++)
		assert_str(sum(rows[i].in).envelope, rows[i].out);
}

static void
test_long(void **state)
{
	struct buf b = {0};
	size_t n;

	for (n = 999; n <= 1000; n++) {
		buf_reset(&b);
		buf_s(&b, "Subject: ");
		for (size_t i = 0; i < n; i++)
			buf_c(&b, 'x');
		buf_s(&b, "\r\n\r\n");
		assert_int_equal(
		    str_starts(sum(buf_str(&b)).envelope, S("(NIL \"x")),
		    n == 999);
		assert_int_equal(str_starts(sum(buf_str(&b)).envelope,
				     S("(NIL {1000}\r\nx")),
		    n == 1000);
	}
	buf_free(&b);
}

static const struct {
	str in, structure, body;
} rows[] = {
    {S("\r\nab\r\nc"),
	S("(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 1 "
	  "NIL NIL NIL NIL)"),
	S("(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 "
	  "1)")},
    {S("Content-Type: TEXT/Html; Charset=X; a=\"b c\"\r\n"
       "Content-Transfer-Encoding: Quoted-Printable\r\n"
       "Content-ID: <i@j>\r\nContent-Description: d\r\n"
       "Content-MD5: m\r\nContent-Language: en, de\r\n"
       "Content-Location: http://x/\r\n"
       "Content-Disposition: Attachment; FileName=\"f.html\"\r\n\r\nx"),
	S("(\"text\" \"html\" (\"charset\" \"X\" \"a\" \"b c\") \"<i@j>\" "
	  "\"d\" \"quoted-printable\" 1 0 \"m\" (\"attachment\" (\"filename\" "
	  "\"f.html\")) (\"en\" \"de\") \"http://x/\")"),
	S("(\"text\" \"html\" (\"charset\" \"X\" \"a\" \"b c\") \"<i@j>\" "
	  "\"d\" \"quoted-printable\" 1 0)")},
    {S("Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n"
       "Content-Disposition: inline\r\n\r\nAAAA"),
	S("(\"image\" \"png\" NIL NIL NIL \"base64\" 4 NIL (\"inline\" NIL) "
	  "NIL NIL)"),
	S("(\"image\" \"png\" NIL NIL NIL \"base64\" 4)")},
    {S("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n"
       "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\n"
       "two\r\n\r\n--b--\r\n"),
	S("((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 "
	  "0 NIL NIL NIL NIL)(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 20 "
	  "(NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" "
	  "(\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 1 NIL NIL NIL NIL) 3 "
	  "NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)"),
	S("((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 "
	  "0)(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 20 "
	  "(NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" "
	  "(\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 1) 3) \"mixed\")")},
    {S("Content-Type: multipart/mixed; boundary=b\r\n\r\nnothing"),
	S("((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 "
	  "0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)"),
	S("((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 "
	  "0) \"mixed\")")},
    {S("Content-Type: a/b; name=\"\xc3\xa4(\\\"\"\r\n\r\n"),
	S("(\"a\" \"b\" (\"name\" {4}\r\n\xc3\xa4(\") NIL NIL \"7bit\" 0 NIL "
	  "NIL NIL NIL)"),
	S("(\"a\" \"b\" (\"name\" {4}\r\n\xc3\xa4(\") NIL NIL \"7bit\" 0)")},
};

static void
test_bodystructure(void **state)
{
	struct buf b = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct summary s = sum(rows[i].in);

		assert_str(s.bodystructure, rows[i].structure);
		buf_reset(&b);
		mime_body_of(s.bodystructure, &b);
		assert_str(buf_str(&b), rows[i].body);
	}
	buf_free(&b);
}

/* What is not of our making gives the least body, and never a crash. */
static void
test_body_of_cut(void **state)
{
	static const str least =
	    S("(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)");
	struct buf b = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		for (size_t n = 0; n < rows[i].structure.n; n++) {
			buf_reset(&b);
			mime_body_of(str_head(rows[i].structure, n), &b);
			assert_str(buf_str(&b), least);
		}
	}
	buf_reset(&b);
	mime_body_of(S("((((((((((((("), &b);
	assert_str(buf_str(&b), least);
	buf_free(&b);
}

static int
done(void **state)
{
	buf_free(&stored);
	return 0;
}

int
t_structure(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_envelope),
	    cmocka_unit_test(test_long),
	    cmocka_unit_test(test_bodystructure),
	    cmocka_unit_test(test_body_of_cut),
	};

	return cmocka_run_group_tests_name("structure", tests, NULL, done);
}
