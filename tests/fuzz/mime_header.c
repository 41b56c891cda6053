/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Values of header fields: addresses, dates, encoded words, ids, subjects;
 * R56, R57. */
#include "fuzz.h"
#include "mime/mime_int.h"

static bool
id(void *ctx, str s)
{
	FUZZ_TRUE(s.n > 0 && s.n <= *(size_t *)ctx);
	return true;
}

static void
addresses(str in)
{
	struct arena *a = arena_new(0);
	struct address *v;
	size_t n, i, bytes = 0;
	bool group = false;

	if (mime_addresses(a, in, &v, &n, 1000) == OK) {
		FUZZ_TRUE(n <= 1000);
		for (i = 0; i < n; i++) {
			bytes += v[i].name.n + v[i].local.n + v[i].domain.n;
			if (v[i].domain.p != NULL) {
				FUZZ_TRUE(v[i].local.p != NULL);
			} else if (v[i].local.p != NULL) {
				FUZZ_TRUE(!group);
				group = true;
			} else {
				FUZZ_TRUE(group);
				group = false;
			}
		}
		FUZZ_TRUE(!group || n == 1000);
		FUZZ_TRUE(bytes <= in.n * 2);
	}
	arena_free(&a);
}

static void
fields(str in)
{
	struct field f;
	size_t at = 0, last = 0;

	while (mime_field_next(in, &at, &f)) {
		FUZZ_TRUE(at > last && f.whole.n > 0 && f.name.n > 0);
		FUZZ_TRUE(f.whole.p >= in.p && f.value.p >= f.name.p);
		FUZZ_TRUE(f.value.p + f.value.n <= f.whole.p + f.whole.n);
		last = at;
	}
}

void
fuzz_one(str in)
{
	struct buf b = {0}, c = {0};
	struct stamp t, u;
	size_t n = in.n;
	bool reply;

	addresses(in);
	fields(in);
	mime_msg_ids(in, id, &n);
	if (mime_date(in, &t)) {
		mime_date_print(t, &b);
		FUZZ_TRUE(mime_date(buf_str(&b), &u));
		FUZZ_TRUE(t.sec == u.sec && t.zone_min == u.zone_min);
	}
	buf_reset(&b);
	mime_unfold(in, &b);
	FUZZ_TRUE(b.n <= in.n);
	buf_reset(&b);
	mime_decode_words(in, &b);
	FUZZ_TRUE(utf8_valid(buf_str(&b)));
	mime_base_subject(buf_str(&b), &c, &reply);
	FUZZ_TRUE(c.n <= b.n);
	buf_reset(&b);
	mime_base_subject(buf_str(&c), &b, &reply);
	FUZZ_TRUE(str_eq(buf_str(&b), buf_str(&c)));
	buf_free(&b);
	buf_free(&c);
}
