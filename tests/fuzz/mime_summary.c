/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Bytes that claim to be a stored summary, from another process or the
 * disk: what is taken can be used without further care. */
#include "fuzz.h"
#include "mime/mime_int.h"

static bool
text(void *ctx, str folded)
{
	return true;
}

void
fuzz_one(str in)
{
	static const str names[] = {S("from"), S("to")};
	static char message[4096];
	struct summary s;
	struct part p, up;
	uint32_t i, index, section[] = {1, 2, 1, 1};
	struct buf b = {0};
	size_t n;

	if (mime_summary_get(in, &s) != OK)
		return;
	for (i = 0; mime_part(&s, i, &p); i++) {
		FUZZ_TRUE((uint64_t)p.body_at + p.body_len <= s.size);
		FUZZ_TRUE(mime_part(&s, p.parent, &up));
		FUZZ_TRUE(i == 0 || p.parent < i);
	}
	for (n = 0; n <= 4; n++)
		mime_part_find(&s, section, n, &p, &index);
	for (i = 0; i < SUM_TEXT_MAX; i++)
		FUZZ_TRUE(s.text[i].n == 0 ||
			  (s.text[i].p >= in.p &&
			      s.text[i].p + s.text[i].n <= in.p + in.n));
	mime_body_of(s.bodystructure, &b);
	mime_header_fields(s.fields, names, 2, true, &b);
	if (s.size <= sizeof(message))
		mime_text(str_of(message, sizeof(message)), &s, MIME_IN_TEXT, 4,
		    text, NULL);
	buf_free(&b);
}
