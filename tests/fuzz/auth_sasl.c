/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The name of a mechanism, LF, the client's messages between RS bytes. In
 * them %R stands for the nonce that the server chose. Whoever does not know
 * the password gets in nowhere (R36, R38). */
#include "fuzz.h"

#include "auth_db.h"

static void
message(struct buf *b, str in, str nonce)
{
	size_t at;

	buf_reset(b);
	while ((at = str_find(in, S("%R"))) < in.n) {
		buf_str_add(b, str_head(in, at));
		buf_str_add(b, nonce);
		in = str_from(in, at + 2);
	}
	buf_str_add(b, in);
}

void
fuzz_one(str in)
{
	static const char exporter[] = "0123456789abcdef0123456789abcdef";
	struct auth *a = auth_db();
	struct buf out = {0}, b = {0}, nonce = {0};
	str mech = str_cut(&in, '\n');
	struct sasl x;
	enum sasl_result r;

	r = sasl_start(&x, a, mech, S(exporter), S(""));
	for (int i = 0; i < 8 && r == SASL_CHALLENGE; i++) {
		message(&b, str_cut(&in, '\x1e'), buf_str(&nonce));
		buf_reset(&out);
		r = sasl_step(&x, buf_str(&b), &out);
		FUZZ_TRUE(r != SASL_OK && r != SASL_NOMECH);
		if (r == SASL_CHALLENGE && str_starts(buf_str(&out), S("r="))) {
			str rest = str_from(buf_str(&out), 2);
			buf_reset(&nonce);
			buf_str_add(&nonce, str_cut(&rest, ','));
		}
		FUZZ_TRUE(x.name.n <= TYPED_MAX + 1);
		FUZZ_TRUE(x.password.n <= AUTH_PASSWORD_MAX + 1);
	}
	sasl_end(&x);
	buf_free(&out);
	buf_free(&b);
	buf_free(&nonce);
}
