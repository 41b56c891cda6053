/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Fuzz target: everything in base that reads a stranger's bytes. R18, R36. */
#include "fuzz.h"

static void
fuzz_utf8(str in)
{
	struct buf a = {0}, b = {0};

	if (utf8_nfc(&a, in) == OK) {
		FUZZ_TRUE(utf8_valid(in) && utf8_valid(buf_str(&a)));
		FUZZ_TRUE(utf8_nfc(&b, buf_str(&a)) == OK);
	} else {
		FUZZ_TRUE(!utf8_valid(in));
	}
	buf_reset(&a);
	utf8_fold(&a, in);
	FUZZ_TRUE(!utf8_valid(in) || utf8_valid(buf_str(&a)));
	buf_reset(&b);
	log_escape(&b, in);
	FUZZ_TRUE(utf8_valid(buf_str(&b)) && b.n <= 1000);
	FUZZ_TRUE(str_chr(buf_str(&b), '\n') == b.n);
	buf_free(&a);
	buf_free(&b);
}

static void
fuzz_base64(str in)
{
	struct buf a = {0}, b = {0};

	if (base64_get(&a, in) == OK) {
		base64_put(&b, buf_str(&a));
		FUZZ_TRUE(str_eq(buf_str(&b), in));
	}
	buf_reset(&a);
	buf_reset(&b);
	if (hex_get(&a, in) == OK) {
		hex_put(&b, buf_str(&a));
		FUZZ_TRUE(str_caseeq(buf_str(&b), in));
	}
	buf_free(&a);
	buf_free(&b);
}

/* A number read is a number that writes itself the same way. */
static void
fuzz_enc(str in)
{
	struct dec d = dec_of(in);
	struct buf b = {0};

	while (dec_left(&d) > 0) {
		const char *from = d.p;
		uint64_t v = dec_var(&d);
		str s;

		if (d.bad)
			break;
		buf_reset(&b);
		enc_var(&b, v);
		FUZZ_TRUE(
		    str_eq(buf_str(&b), str_of(from, (size_t)(d.p - from))));
		from = d.p;
		s = dec_str(&d);
		if (d.bad)
			break;
		buf_reset(&b);
		enc_str(&b, s);
		FUZZ_TRUE(
		    str_eq(buf_str(&b), str_of(from, (size_t)(d.p - from))));
	}
	buf_free(&b);
}

static void
fuzz_str(str in)
{
	size_t half = in.n / 2;
	str needle = str_head(str_from(in, half), in.n % 7);
	size_t at = str_find(in, needle);
	str rest = in;
	size_t n = 0;

	FUZZ_TRUE(at <= half);
	FUZZ_TRUE(str_casefind(in, needle) <= at);
	FUZZ_TRUE(str_starts(str_from(in, at), needle));
	while (rest.n > 0)
		n += str_cut(&rest, 'a').n + (rest.n > 0);
	FUZZ_TRUE(n == in.n || n + 1 == in.n);
	FUZZ_TRUE(str_trim(in).n <= in.n);
}

/* Four bytes a range: small numbers, so that they meet. */
static void
fuzz_ranges(str in)
{
	struct ranges a = {0}, b = {0};
	struct dec d = dec_of(in);
	struct range v[64];
	size_t n = 0;

	while (dec_left(&d) >= 4 && n < NELEM(v)) {
		uint32_t lo = dec_u16(&d);
		uint32_t hi = lo + dec_u16(&d) % 100;

		v[n++] = (struct range){lo, hi};
		ranges_add(&a, lo, hi);
	}
	ranges_set(&b, v, n);
	FUZZ_TRUE(a.n == b.n && ranges_count(&a) == ranges_count(&b));
	ranges_minus(&b, &a);
	FUZZ_TRUE(b.n == 0);
	ranges_free(&a);
	ranges_free(&b);
}

void
fuzz_one(str in)
{
	fuzz_utf8(in);
	fuzz_base64(in);
	fuzz_enc(in);
	fuzz_str(in);
	fuzz_ranges(in);
}
