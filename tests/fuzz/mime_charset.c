/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The name of a charset, LF, bytes in it; R59. What comes out is UTF-8
 * and bounded, and of well-formed text the same in pieces as at once. */
#include "fuzz.h"
#include "mime/mime_int.h"

void
fuzz_one(str in)
{
	struct buf one = {0}, two = {0};
	str bytes = in, name = str_cut(&bytes, '\n'), rest;
	struct conv *c;
	enum err e;
	bool known;
	size_t step = bytes.n > 0 ? 1 + (unsigned char)bytes.p[0] % 7 : 1;

	e = mime_to_utf8(name, bytes, &one);
	FUZZ_TRUE(e == OK || e == ERR_INVALID);
	FUZZ_TRUE((e == OK) == mime_charset_known(name));
	FUZZ_TRUE(utf8_valid(buf_str(&one)));
	FUZZ_TRUE(one.n <= bytes.n * 12 + 16);
	c = conv_open(name, &known);
	for (rest = bytes; rest.n > 0; rest = str_from(rest, step))
		conv_feed(c, str_head(rest, step), &two);
	conv_end(&c, &two);
	FUZZ_TRUE(utf8_valid(buf_str(&two)));
	FUZZ_TRUE(two.n <= bytes.n * 12 + 16);
	/* Where iconv finds fault may depend on the pieces. */
	if (str_find(buf_str(&one), S("\xef\xbf\xbd")) == one.n)
		FUZZ_TRUE(str_eq(buf_str(&one), buf_str(&two)));
	buf_free(&one);
	buf_free(&two);
}
