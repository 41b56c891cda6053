/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Password schemes, against hashes made by other programs. */
#include "t_auth.h"

#define PASSWORD "p\xc3\xa4ssword1"

/* Made by Python's hashlib, hmac and crypt. */
/* clang-format off */
static const char *const hashes[] = {
	"{SHA}nGKqSw5rZLlGmAU2eg7o7K29zF8=",
	"{SHA.HEX}9c62aa4b0e6b64b9469805367a0ee8ecadbdcc5f",
	"{SHA}9C62AA4B0E6B64B9469805367A0EE8ECADBDCC5F",
	"{SHA256}y0poVvuLJsIjTKtWRmm0QV1goaYnnL5qImilSoVsRqI=",
	"{SHA256.HEX}cb4a6856fb8b26c2234cab564669b4415d60a1a6279cbe6a2268"
	"a54a856c46a2",
	"{SHA256}CB4A6856FB8B26C2234CAB564669B4415D60A1A6279CBE6A2268A54A"
	"856C46A2",
	"{SHA512}vd5c8rhqp18tiTFTsVPzl2sZTr5XaoM3aTqG8DRnIm9/PRmpbxURtsPJ"
	"CMQtVmtV/NufAuGRhdPJ1hzTmXw0XA==",
	"{SHA512.HEX}bdde5cf2b86aa75f2d893153b153f3976b194ebe576a8337693a"
	"86f03467226f7f3d19a96f1511b6c3c908c42d566b55fcdb9f02e19185d3c9d6"
	"1cd3997c345c",
	"{SHA512}BDDE5CF2B86AA75F2D893153B153F3976B194EBE576A8337693A86F0"
	"3467226F7F3D19A96F1511B6C3C908C42D566B55FCDB9F02E19185D3C9D61CD3"
	"997C345C",
	"{LDAP-MD5}Gpsu7CtTqSG0P89JaK575Q==",
	"{LDAP-MD5.HEX}1a9b2eec2b53a921b43fcf4968ae7be5",
	"{LDAP-MD5}1A9B2EEC2B53A921B43FCF4968AE7BE5",
	"{SSHA}P6zPyN0M14yURjwy13N4LHDjnWlOYUNsNDMyMQ==",
	"{SSHA.hex}3faccfc8dd0cd78c94463c32d773782c70e39d694e61436c343332"
	"31",
	"{SSHA256}cw/HUTQ39QXM+ydcbF9hEk4LZbSZGiIEBUAu4CLU0rlOYUNsNDMyMQ="
	"=",
	"{SSHA256.hex}730fc7513437f505ccfb275c6c5f61124e0b65b4991a2204054"
	"02ee022d4d2b94e61436c34333231",
	"{SSHA512}DZTkWy8w5+/6Fb+7qPm26Z8smXAU+ETrRmafa4YotDMCifEYi/KSMyN"
	"bcTP34Iw0Av/tI1JcIhrLkH3QeqakL05hQ2w0MzIx",
	"{SSHA512.hex}0d94e45b2f30e7effa15bfbba8f9b6e99f2c997014f844eb466"
	"69f6b8628b4330289f1188bf29233235b7133f7e08c3402ffed23525c221acb9"
	"07dd07aa6a42f4e61436c34333231",
	"{SMD5}+7tte88s422rMk/zkzNZkU5hQ2w0MzIx",
	"{SMD5.hex}fbbb6d7bcf2ce36dab324ff3933359914e61436c34333231",
	"{PLAIN-MD5}1a9b2eec2b53a921b43fcf4968ae7be5",
	"{CRYPT}$1$abcdefgh$Bv50hyE2.ohWxf3Cka8J30",
	"{SHA256-CRYPT}$5$rounds=1000$saltsalt$4RE5.sG3SyI5d2JJN5CkF22c5p"
	".SUE7dQTv3BC51XN2",
	"{SHA512-CRYPT}$6$saltstring$lXDSQ61YSjl6kM.ix.FNqv8xAF6u5W6ph/gL"
	"Yigabm4rmUZxt8Lf4PnMT5se4JjZv9VGnHlefx.0KzrwHa4X/1",
	"{BLF-CRYPT}$2y$05$CCCCCCCCCCCCCCCCCCCCC.e7yIL6Wr39MRSBKHcJX6jaFk"
	"a9xGAbW",
	"{CRYPT}$y$j75$saltsaltsalt$6LYtgFLULNnRXFhNcWACNBhKWCpPqQH.RFIwT"
	"o9wYA3",
	"{DES-CRYPT}abRy4/6THFs9U",
	"$6$x$3vbzsmpydx/o2ZxdcLEpCMyJ.5tMA93Mk20omqvoGy5S9KmK3etZREOB56a"
	"KNquYAM/aS4NjpeyTCEs.7BzwZ1",
	"{PBKDF2}$1$aSaltOf16Letters$2000$a8d71fa1d5b6a0691ddaa7eb8ef2977"
	"55f25d64b",
	"{SCRAM-SHA-1}4096,TmFDbDQzMjE=,Nt6yojz02knDFwPdl+CUecAP4oM=,ErpF"
	"IBuWE3QdJEXY3MRIL34NZhE=",
	"{SCRAM-SHA-256}5000,TmFDbDQzMjE=,bMbkAQwfjwiLoYg7Dey2PI/qd0+Ctaq"
	"W4ahNhrQYoHA=,2hyrORQwV2UCtN3kW8hDW6+sHTmWQe/pn/ePupVToLw=",
	"{SCRAM-SHA-256.B64}NDA5NixUbUZEYkRRek1qRT0sZE1SRXg5c05Zc0J6bjRXN"
	"HFiUUkzblZ1MXBtZ3JoZHJJTE96eGJ2YU9TND0sb3g5VWcxYm1IQkxkOGVaTHR3T"
	"kMvRmZrQWxwcG9EWDFMQXpuMmxqeE9QWT0=",
	"{PLAIN.B64}cMOkc3N3b3JkMQ==",
};
/* clang-format on */

static bool
imports(const char *given, struct buf *out, struct scram_keys k[SCRAM_HASHES])
{
	memset(k, 0, SCRAM_HASHES * sizeof(*k));
	buf_reset(out);
	return hash_import(out, str_c(given), k) == NULL;
}

static void
test_known(void **state)
{
	struct scram_keys k[SCRAM_HASHES];
	struct buf h = {0};

	for (size_t i = 0; i < NELEM(hashes); i++) {
		if (!imports(hashes[i], &h, k))
			fail_msg("refused: %s", hashes[i]);
		if (!hash_verify(buf_str(&h), S(PASSWORD)))
			fail_msg("does not verify: %s", hashes[i]);
		/* (DES sees eight bytes.) */
		if ((hash_verify(buf_str(&h), S(PASSWORD "x")) &&
			strncmp(hashes[i], "{DES", 4) != 0) ||
		    hash_verify(buf_str(&h), S("p\xc3\xa4sswurd1")) ||
		    hash_verify(buf_str(&h), S("")))
			fail_msg("verifies what it must not: %s", hashes[i]);
		/* The decomposed form of the same password. */
		if (!hash_verify(buf_str(&h), S("pa\xcc\x88ssword1")))
			fail_msg("not normalised: %s", hashes[i]);
		assert_int_equal(k[SCRAM_SHA1].iter != 0,
		    strncmp(hashes[i], "{SCRAM-SHA-1}", 13) == 0);
		assert_int_equal(k[SCRAM_SHA256].iter != 0,
		    strncmp(hashes[i], "{SCRAM-SHA-256", 14) == 0);
	}
	buf_free(&h);
}

/* From the reference implementation's own tests. */
static void
test_argon2(void **state)
{
	static const char *const good[] = {
	    "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$"
	    "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
	    "{ARGON2I}$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$"
	    "wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
	};
	static const char *const bad[] = {
	    "{ARGON2I}$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$"
	    "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
	    "{ARGON2ID}$argon2id$v=19$m=4294967295,t=2,p=2$c29tZXNhbHQ$"
	    "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
	    "{ARGON2ID}$argon2id$v=19$m=256,t=200000,p=2$c29tZXNhbHQ$"
	    "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
	    "{ARGON2ID}$argon2id$v=19$m=256,t=0,p=2$c29tZXNhbHQ$"
	    "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
	    "{ARGON2ID}$argon2id$v=19$m=2,t=2,p=2$c29tZXNhbHQ$"
	    "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
	    "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=2$c29t$"
	    "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
	    "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$",
	    "{ARGON2ID}$argon2id$v=19$m=256,t=2",
	    "{ARGON2ID}",
	};
	struct scram_keys k[SCRAM_HASHES];
	struct buf h = {0};

	for (size_t i = 0; i < NELEM(good); i++) {
		assert_true(imports(good[i], &h, k));
		assert_true(hash_verify(buf_str(&h), S("password")));
		assert_false(hash_verify(buf_str(&h), S("passwort")));
	}
	for (size_t i = 0; i < NELEM(bad); i++)
		if (imports(bad[i], &h, k))
			fail_msg("accepted: %s", bad[i]);
	buf_free(&h);
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {
	    "",
	    "{",
	    "{}",
	    "{SHA",
	    "{NOSUCH}abc",
	    "plain",
	    "*",
	    "!",
	    "x",
	    "!$6$x$3vbzsmpydx/o2ZxdcLEpCMyJ.5tMA93Mk20omqvoGy5S9KmK3etZREOB"
	    "56aKNquYAM/aS4NjpeyTCEs.7BzwZ1",
	    "{CRYPT}*LK*",
	    "{CRYPT}",
	    "{CRYPT}$9$abc$defghijklmnop",
	    "{SHA256-CRYPT}$6$saltstring$abcdefghijklmnop",
	    "{CRYPT}$6$rounds=999999999$saltstring$abcdefghijklmnopqrstuvw",
	    "{CRYPT}$y$jZZ$saltsaltsalt$6LYtgFLULNnRXFhNcWACNBhKWCpPqQH",
	    "{BLF-CRYPT}$2y$31$CCCCCCCCCCCCCCCCCCCCC.e7yIL6Wr39MRSBKHcJX6jaFka"
	    "9xGAbW",
	    "{SHA}nGKqSw5rZLlGmAU2eg7o7K29zF8",
	    "{SHA}nGKqSw5rZLlGmAU2eg7o7K29zF9=",
	    "{SHA} nGKqSw5rZLlGmAU2eg7o7K29zF8=",
	    "{SHA.ROT13}abc",
	    "{SHA.HEX}9c62",
	    "{SSHA}AAAA",
	    "{PLAIN-MD5}1a9b2eec2b53a921b43fcf",
	    "{PLAIN}",
	    "{PLAIN.B64}AAAA",
	    "{PBKDF2}$1$salt$0$aa",
	    "{PBKDF2}$1$salt$4294967295$"
	    "a8d71fa1d5b6a0691ddaa7eb8ef297755f25d64b",
	    "{PBKDF2}$2$salt$2000$a8d71fa1d5b6a0691ddaa7eb8ef297755f25d64b",
	    /* R37: rounds of 1, below 4096, past a million, 2^31 */
	    "{SCRAM-SHA-1}1,TmFDbDQzMjE=,Nt6yojz02knDFwPdl+CUecAP4oM=,"
	    "ErpFIBuWE3QdJEXY3MRIL34NZhE=",
	    "{SCRAM-SHA-1}4095,TmFDbDQzMjE=,Nt6yojz02knDFwPdl+CUecAP4oM=,"
	    "ErpFIBuWE3QdJEXY3MRIL34NZhE=",
	    "{SCRAM-SHA-1}1000001,TmFDbDQzMjE=,Nt6yojz02knDFwPdl+CUecAP4oM=,"
	    "ErpFIBuWE3QdJEXY3MRIL34NZhE=",
	    "{SCRAM-SHA-1}2147483648,TmFDbDQzMjE=,Nt6yojz02knDFwPdl+CUecAP4oM=,"
	    "ErpFIBuWE3QdJEXY3MRIL34NZhE=",
	    "{SCRAM-SHA-1}4096,,Nt6yojz02knDFwPdl+CUecAP4oM=,"
	    "ErpFIBuWE3QdJEXY3MRIL34NZhE=",
	    "{SCRAM-SHA-256}4096,TmFDbDQzMjE=,Nt6yojz02knDFwPdl+CUecAP4oM=,"
	    "ErpFIBuWE3QdJEXY3MRIL34NZhE=",
	};
	struct scram_keys k[SCRAM_HASHES];
	struct buf h = {0};

	for (size_t i = 0; i < NELEM(bad); i++)
		if (imports(bad[i], &h, k))
			fail_msg("accepted: %s", bad[i]);
	buf_free(&h);
}

/* R43: what came in clear is not kept in clear. */
static void
test_plain(void **state)
{
	struct scram_keys k[SCRAM_HASHES];
	struct buf h = {0};

	assert_true(imports("{PLAIN}sesame street", &h, k));
	assert_int_equal(str_find(buf_str(&h), S("sesame")), h.n);
	assert_true(hash_verify(buf_str(&h), S("sesame street")));
	assert_str(hash_scheme(buf_str(&h)), S("SSHA512"));
	buf_free(&h);
}

static void
test_make(void **state)
{
	struct buf a = {0}, b = {0};
	char big[AUTH_PASSWORD_MAX + 1];

	assert_int_equal(hash_make(&a, S(PASSWORD)), OK);
	assert_int_equal(hash_make(&b, S("pa\xcc\x88ssword1")), OK);
	assert_str(hash_scheme(buf_str(&a)), S("yescrypt"));
	assert_false(str_eq(buf_str(&a), buf_str(&b)));
	assert_true(hash_verify(buf_str(&a), S(PASSWORD)));
	assert_true(hash_verify(buf_str(&b), S(PASSWORD)));
	assert_false(hash_verify(buf_str(&b), S(PASSWORD "\0x")));
	assert_int_equal(hash_make(&a, S("")), ERR_INVALID);
	assert_int_equal(hash_make(&a, S("a\0b")), ERR_INVALID);
	/* R124 */
	memset(big, 'x', sizeof(big));
	assert_int_equal(hash_make(&a, str_of(big, sizeof(big))), ERR_INVALID);
	buf_reset(&a);
	assert_int_equal(hash_make(&a, str_of(big, AUTH_PASSWORD_MAX)), OK);
	assert_true(hash_verify(buf_str(&a), str_of(big, AUTH_PASSWORD_MAX)));
	buf_free(&a);
	buf_free(&b);
}

static void
test_scram(void **state)
{
	struct scram_keys k;

	for (int h = 0; h < SCRAM_HASHES; h++) {
		assert_int_equal(scram_make(&k, h, S(PASSWORD), 5), OK);
		assert_int_equal(k.iter, SCRAM_ITER_MIN);
		assert_true(scram_verify(&k, h, S(PASSWORD)));
		/* SASLprep: the ligature is its letters. */
		assert_false(scram_verify(&k, h, S("x")));
		assert_int_equal(scram_make(&k, h, S("\xef\xac\x81"), 5), OK);
		assert_true(scram_verify(&k, h, S("fi")));
	}
}

int
t_schemes(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_known),
	    cmocka_unit_test(test_argon2),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_make),
	    cmocka_unit_test(test_scram),
	};

	return cmocka_run_group_tests_name("schemes", tests, NULL, NULL);
}
