/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Parameters, RFC 2231; R57. */
#include "t_mime.h"

static void
show(str value, bool raw, struct buf *b)
{
	struct arena *a = arena_new(0);
	struct param *v;
	size_t n, i;
	str type;

	buf_reset(b);
	assert_int_equal(raw ? mime_params_raw(a, value, &type, &v, &n)
			     : mime_params(a, value, &type, &v, &n),
	    OK);
	buf_str_add(b, type);
	for (i = 0; i < n; i++)
		buf_f(
		    b, " %.*s=[%.*s]", STR_ARG(v[i].name), STR_ARG(v[i].value));
	arena_free(&a);
}

static void
test_rows(void **state)
{
	static const struct {
		str in, raw, decoded;
	} rows[] = {
	    {S("text/plain"), S("text/plain"), S("text/plain")},
	    {S(" text/plain ; charset=UTF-8"), S("text/plain charset=[UTF-8]"),
		S("text/plain charset=[UTF-8]")},
	    {S("t/p; A=\"b;c\"; d=e"), S("t/p a=[b;c] d=[e]"),
		S("t/p a=[b;c] d=[e]")},
	    {S("t/p; a=\"x\\\"y\""), S("t/p a=[x\"y]"), S("t/p a=[x\"y]")},
	    {S("t/p; a=x (comment; b=c); d=e"), S("t/p a=[x] d=[e]"),
		S("t/p a=[x] d=[e]")},
	    {S("t/p; a=not quoted here; b=c"),
		S("t/p a=[not quoted here] b=[c]"),
		S("t/p a=[not quoted here] b=[c]")},
	    {S("t/p; a=\"no end; b=c"), S("t/p a=[no end] b=[c]"),
		S("t/p a=[no end] b=[c]")},
	    {S("t/p;;; ;a=b;"), S("t/p a=[b]"), S("t/p a=[b]")},
	    {S("t/p; novalue; a=b"), S("t/p a=[b]"), S("t/p a=[b]")},
	    {S("t/p; a=; b=\"\""), S("t/p a=[] b=[]"), S("t/p a=[] b=[]")},
	    {S("t/p; f*=utf-8''%C3%A4x"), S("t/p f*=[utf-8''%C3%A4x]"),
		S("t/p f=[\xc3\xa4x]")},
	    {S("t/p; f*0=a; f*1=b; f*2=c"), S("t/p f=[abc]"), S("t/p f=[abc]")},
	    {S("t/p; f*2=c; x=y; f*0=a; f*1=b"), S("t/p f=[abc] x=[y]"),
		S("t/p x=[y] f=[abc]")},
	    {S("t/p; f*0*=iso-8859-1'de'%E4; f*1=\"%b\""),
		S("t/p f*=[iso-8859-1'de'%E4%25b]"), S("t/p f=[\xc3\xa4%b]")},
	    {S("t/p; f*0=a; f*2=c"), S("t/p f=[a]"), S("t/p f=[a]")},
	    {S("t/p; f*1=b"), S("t/p f=[b]"), S("t/p f=[b]")},
	    {S("t/p; f*=%41"), S("t/p f*=[%41]"), S("t/p f=[A]")},
	    {S("t/p; f==?utf-8?q?=C3=A4?="), S("t/p f=[=?utf-8?q?=C3=A4?=]"),
		S("t/p f=[\xc3\xa4]")},
	    {S("t/p; f=a; f=b"), S("t/p f=[a] f=[b]"), S("t/p f=[a] f=[b]")},
	    {S("; a=b"), S(" a=[b]"), S(" a=[b]")},
	    {S(""), S(""), S("")},
	};
	struct buf b = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		show(rows[i].in, true, &b);
		if (i != 12) /* the order of its pieces is the next test */
			assert_str(buf_str(&b), rows[i].raw);
		show(rows[i].in, false, &b);
		if (i != 12)
			assert_str(buf_str(&b), rows[i].decoded);
	}
	/* A joined value stands where its first piece stood. */
	show(rows[12].in, true, &b);
	assert_str(buf_str(&b), S("t/p x=[y] f=[abc]"));
	buf_free(&b);
}

static void
test_charset(void **state)
{
	struct arena *a = arena_new(0);

	assert_str(mime_charset_of(a, S("text/plain; charset=\"x\"")), S("x"));
	assert_int_equal(mime_charset_of(a, S("text/plain")).n, 0);
	arena_free(&a);
}

int
t_param(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_charset),
	};

	return cmocka_run_group_tests_name("param", tests, NULL, NULL);
}
