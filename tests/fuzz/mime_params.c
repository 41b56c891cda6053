/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Parameters of Content-Type, RFC 2231; R57. */
#include "fuzz.h"
#include "mime/mime_int.h"

void
fuzz_one(str in)
{
	struct arena *a = arena_new(0);
	struct param *v;
	size_t n, i, k, bytes = 0;
	str type;

	if (mime_params_raw(a, in, &type, &v, &n) == OK) {
		for (i = 0; i < n; i++) {
			bytes += v[i].name.n + v[i].value.n;
			for (k = 0; k < v[i].name.n; k++)
				FUZZ_TRUE(v[i].name.p[k] < 'A' ||
					  v[i].name.p[k] > 'Z');
		}
		FUZZ_TRUE(bytes <= in.n * 4 + 16);
	}
	if (mime_params(a, in, &type, &v, &n) == OK)
		for (i = 0; i < n; i++)
			FUZZ_TRUE(v[i].value.n == 0 || utf8_valid(v[i].value));
	mime_charset_of(a, in);
	arena_free(&a);
}
