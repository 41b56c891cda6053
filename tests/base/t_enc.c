/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Numbers and strings to bytes and back; wrong forms are refused. */
#include "t_base.h"

static void
test_round_trip(void **state)
{
	struct rnd r;

	for_seeds(&r, 1000)
	{
		uint64_t v[8];
		struct buf b = {0};
		struct dec d;
		str s;

		for (size_t i = 0; i < NELEM(v); i++)
			v[i] = rnd_bits(&r);
		enc_u8(&b, (uint8_t)v[0]);
		enc_u16(&b, (uint16_t)v[1]);
		enc_u32(&b, (uint32_t)v[2]);
		enc_u64(&b, v[3]);
		enc_var(&b, v[4]);
		enc_zig(&b, (int64_t)v[5]);
		enc_be32(&b, (uint32_t)v[6]);
		enc_be64(&b, v[7]);
		enc_str(&b, str_of(v, sizeof(v)));
		d = dec_of(buf_str(&b));
		seed_true(&r, dec_u8(&d) == (uint8_t)v[0]);
		seed_true(&r, dec_u16(&d) == (uint16_t)v[1]);
		seed_true(&r, dec_u32(&d) == (uint32_t)v[2]);
		seed_true(&r, dec_u64(&d) == v[3]);
		seed_true(&r, dec_var(&d) == v[4]);
		seed_true(&r, dec_zig(&d) == (int64_t)v[5]);
		seed_true(&r, dec_be32(&d) == (uint32_t)v[6]);
		seed_true(&r, dec_be64(&d) == v[7]);
		s = dec_str(&d);
		seed_true(&r, str_eq(s, str_of(v, sizeof(v))));
		seed_true(&r, dec_end(&d));
		/* Every prefix is noticed. */
		for (size_t n = 0; n < b.n; n++) {
			d = dec_of(str_head(buf_str(&b), n));
			dec_u8(&d);
			dec_u16(&d);
			dec_u32(&d);
			dec_u64(&d);
			dec_var(&d);
			dec_zig(&d);
			dec_be32(&d);
			dec_be64(&d);
			dec_str(&d);
			seed_true(&r, d.bad && !dec_end(&d));
			seed_true(&r, dec_left(&d) == 0);
		}
		buf_free(&b);
	}
}

static void
test_var_forms(void **state)
{
	static const struct {
		str s;
		bool ok;
		uint64_t v;
	} rows[] = {
	    {S("\x00"), true, 0},
	    {S("\x7f"), true, 127},
	    {S("\x80\x01"), true, 128},
	    {S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), true, UINT64_MAX},
	    {S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), false, 0},
	    {S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00"), false, 0},
	    {S("\x80\x00"), false, 0},
	    {S("\x81\x80\x00"), false, 0},
	    {S("\x80"), false, 0},
	    {S(""), false, 0},
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct dec d = dec_of(rows[i].s);

		assert_int_equal(dec_var(&d), rows[i].v);
		assert_int_equal(dec_end(&d), rows[i].ok);
		assert_int_equal(d.bad, !rows[i].ok);
	}
}

static void
test_bad_stays_bad(void **state)
{
	struct dec d = dec_of(S("\x05"
				"abc"));

	assert_int_equal(dec_str(&d).n, 0);
	assert_true(d.bad);
	assert_int_equal(dec_u8(&d), 0);
	assert_int_equal(dec_var(&d), 0);
	assert_int_equal(dec_take(&d, 0).n, 0);
	assert_false(dec_end(&d));
	/* A length near 2^64 does not wrap. */
	d = dec_of(S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"));
	dec_str(&d);
	assert_true(d.bad);
	d = dec_of(STR_NONE);
	assert_true(dec_end(&d));
	dec_u8(&d);
	assert_true(d.bad);
}

static void
test_order(void **state)
{
	struct rnd r;

	/* Big-endian keys sort like their numbers. */
	for_seeds(&r, 500)
	{
		uint64_t x = rnd_bits(&r), y = rnd_bits(&r);
		struct buf a = {0}, b = {0};
		int c;

		enc_be64(&a, x);
		enc_be64(&b, y);
		c = str_cmp(buf_str(&a), buf_str(&b));
		seed_true(&r, (c < 0) == (x < y) && (c > 0) == (x > y));
		buf_free(&a);
		buf_free(&b);
	}
}

int
t_enc(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_var_forms),
	    cmocka_unit_test(test_bad_stays_bad),
	    cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests_name("enc", tests, NULL, NULL);
}
