/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A message, to its summary and back; R54, R55, R58. The bounds are small,
 * so that a small input reaches them.
 */
#include "fuzz.h"
#include "mime/mime_int.h"

static void
parts(const struct summary *s)
{
	struct part p, up, q;
	uint32_t i, k, index, section[64];

	for (i = 0; mime_part(s, i, &p); i++) {
		size_t n = 0;

		FUZZ_TRUE((uint64_t)p.body_at + p.body_len <= s->size);
		FUZZ_TRUE(p.header_at + p.header_len == p.body_at);
		if (i == 0)
			continue;
		mime_part(s, p.parent, &up);
		FUZZ_TRUE(p.parent < i && p.header_at >= up.body_at);
		FUZZ_TRUE(p.body_at + p.body_len <= up.body_at + up.body_len);
		for (k = i - 1; k > p.parent; k = q.parent) {
			mime_part(s, k, &q);
			if (q.parent == p.parent) {
				FUZZ_TRUE(
				    q.body_at + q.body_len <= p.header_at);
				break;
			}
		}
		/* Its own section number finds it. */
		for (k = i; k != 0 && n < 64; k = q.parent) {
			mime_part(s, k, &q);
			mime_part(s, q.parent, &up);
			if (up.kind == PART_MULTIPART)
				section[n++] = q.number;
			else if (q.kind != PART_MULTIPART && k != i)
				section[n++] = 1;
		}
		if (up.kind == PART_MULTIPART && n > 0 && n < 64) {
			mime_part(s, p.parent, &up);
			if (up.kind != PART_MULTIPART)
				continue;
			for (k = 0; k < n / 2; k++) {
				uint32_t t = section[k];

				section[k] = section[n - 1 - k];
				section[n - 1 - k] = t;
			}
			FUZZ_TRUE(mime_part_find(s, section, n, &q, &index));
			FUZZ_TRUE(index == i);
		}
	}
}

/* An independent reading of what IMAP would send: parentheses, strings,
 * literals, numbers, NIL and nothing else; one list. */
static void
well_formed(str s)
{
	size_t depth = 0, i = 0, n;
	char before = ' ', c = ' ';

	for (; i < s.n; before = c) {
		c = s.p[i];
		FUZZ_TRUE(depth > 0 || i == 0);
		if (c == '(') {
			depth++;
			i++;
		} else if (c == ')') {
			FUZZ_TRUE(depth-- > 0);
			i++;
		} else if (c == ' ') {
			FUZZ_TRUE(before != ' ' && before != '(');
			i++;
		} else if (c == '"') {
			for (i++; s.p[i] != '"'; i++) {
				FUZZ_TRUE(s.p[i] != 0 && s.p[i] != '\r' &&
					  s.p[i] != '\n' && s.p[i] > 0);
				i += s.p[i] == '\\';
			}
			i++;
		} else if (c == '{') {
			for (n = 0, i++; s.p[i] != '}'; i++)
				n = n * 10 + (size_t)(s.p[i] - '0');
			FUZZ_TRUE(s.p[i + 1] == '\r' && s.p[i + 2] == '\n');
			i += 3;
			FUZZ_TRUE(n <= s.n - i);
			FUZZ_TRUE(n == 0 || memchr(s.p + i, 0, n) == NULL);
			i += n;
		} else if (c == 'N') {
			FUZZ_TRUE(str_starts(str_from(s, i), S("NIL")));
			i += 3;
		} else {
			FUZZ_TRUE(c >= '0' && c <= '9');
			while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
				i++;
		}
	}
	FUZZ_TRUE(depth == 0 && s.n > 0);
}

static bool
text(void *ctx, str folded)
{
	size_t *n = ctx;

	*n += folded.n;
	return true;
}

void
fuzz_one(str in)
{
	struct buf one = {0}, two = {0}, body = {0}, again = {0};
	static const str names[] = {S("from"), S("x"), S("subject")};
	struct summary s;
	size_t n = 0;

	limits.mime_depth_max = 8;
	limits.mime_parts_max = 40;
	limits.header_max = 4096;
	FUZZ_TRUE(mime_summarise(in, &one) == OK);
	FUZZ_TRUE(mime_summarise(in, &two) == OK);
	FUZZ_TRUE(str_eq(buf_str(&one), buf_str(&two)));
	FUZZ_TRUE(mime_summary_get(buf_str(&one), &s) == OK);
	FUZZ_TRUE(s.size == in.n && s.parts <= 40);
	FUZZ_TRUE(s.header_size == mime_header_len(in));
	parts(&s);
	well_formed(s.envelope);
	well_formed(s.bodystructure);
	mime_body_of(s.bodystructure, &body);
	well_formed(buf_str(&body));
	FUZZ_TRUE(body.n < s.bodystructure.n);
	for (int i = 0; i < SUM_TEXT_MAX; i++)
		FUZZ_TRUE(utf8_valid(s.text[i]));
	mime_text(in, &s, MIME_IN_TEXT, 10, text, &n);
	/* What is picked is there, what is left is the rest. */
	mime_header_fields(s.fields, names, 3, false, &again);
	mime_header_fields(s.fields, names, 3, true, &again);
	FUZZ_TRUE(again.n <= s.fields.n + 6);
	buf_free(&one);
	buf_free(&two);
	buf_free(&body);
	buf_free(&again);
}
