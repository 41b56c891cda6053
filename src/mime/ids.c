/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Message ids out of Message-ID, In-Reply-To and References.
 *
 * (1) An id is what stands between "<" and ">", white space apart, and with
 *     the quotes of a quoted local part removed (RFC 5256: such ids are the
 *     same). A value without any "<" gives its words that hold "@", or
 *     the only word it has.
 * (2) Every byte is looked at once.
 */
#include "mime/mime_int.h"

/* An id as it stands between p and q: (1). */
static bool
give(const char *p, const char *q, bool clean, bool (*each)(void *ctx, str id),
    void *ctx)
{
	struct buf b = {0};
	bool more = true, quotes = false;

	if (clean) {
		if (q == p)
			return true;
		return each(ctx, str_of(p, (size_t)(q - p)));
	}
	for (; p < q; p++) {
		if (*p == '"')
			quotes = !quotes;
		else if (*p == '\\' && quotes && p + 1 < q)
			buf_c(&b, *++p);
		else if (!is_lwsp(*p))
			buf_c(&b, *p);
	}
	if (b.n > 0)
		more = each(ctx, buf_str(&b));
	buf_free(&b);
	return more;
}

static void
bare(str value, bool (*each)(void *ctx, str id), void *ctx)
{
	const char *p = value.p, *end = p + value.n, *q;
	str w;

	for (; p < end; p = q) {
		for (q = p; q < end && !is_lwsp(*q);)
			q++;
		w = str_of(p, (size_t)(q - p));
		if (w.n > 0 &&
		    (memchr(p, '@', w.n) != NULL || w.n == value.n) &&
		    !each(ctx, w))
			return;
		while (q < end && is_lwsp(*q))
			q++;
	}
}

void
mime_msg_ids(str value, bool (*each)(void *ctx, str id), void *ctx)
{
	const char *p, *end, *from;
	bool clean;

	value = str_trim(value);
	if (value.n == 0)
		return;
	end = value.p + value.n;
	p = memchr(value.p, '<', value.n);
	if (p == NULL) {
		bare(value, each, ctx);
		return;
	}
	while (p < end) {
		from = ++p;
		clean = true;
		for (; p < end && *p != '>' && *p != '<'; p++)
			clean = clean && !is_lwsp(*p) && *p != '"';
		/* "<a<b>": what came before the second "<" is no id. */
		if ((p == end || *p == '>') && !give(from, p, clean, each, ctx))
			return;
		if (p < end && *p == '<')
			continue;
		p = p < end ? memchr(p, '<', (size_t)(end - p)) : NULL;
		if (p == NULL)
			return;
	}
}
