/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Transfer encodings; R59. Base64 that is said to be exact is. */
#include "fuzz.h"
#include "mime/mime_int.h"

void
fuzz_one(str in)
{
	struct buf b = {0}, c = {0};
	struct b64 d = {0};
	uint32_t line;
	str rest, token;
	int e;

	for (e = 0; e <= CTE_UNKNOWN; e++) {
		buf_reset(&b);
		FUZZ_TRUE(mime_decode(in, (enum cte)e, &b) == OK);
		FUZZ_TRUE(b.n <= in.n);
	}
	mime_cte(in, &token);
	buf_reset(&b);
	if (mime_base64_exact(in, &b, &line)) {
		mime_base64_lines(
		    buf_str(&b), line, str_ends(in, S("\r\n")), &c);
		FUZZ_TRUE(str_eq(buf_str(&c), in));
	}
	buf_reset(&b);
	buf_reset(&c);
	FUZZ_TRUE(mime_decode(in, CTE_BASE64, &b) == OK);
	for (rest = in; rest.n > 0; rest = str_from(rest, 3))
		mime_b64_feed(&d, str_head(rest, 3), &c);
	mime_b64_end(&d, &c);
	FUZZ_TRUE(str_eq(buf_str(&b), buf_str(&c)));
	buf_free(&b);
	buf_free(&c);
}
