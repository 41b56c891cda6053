/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * store/body.h: what goes in comes out, whole and from the middle; damaged
 * bytes are noticed, and never served (R101).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/os.h"
#include "store/body.h"

static uint64_t rng = 88172645463325252ull;

static uint64_t
rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

/* mode 0: words; 1: noise; 2: zeros */
static void
fill(struct buf *b, size_t n, int mode)
{
	static const char *const words[] = {"the ", "mail ", "of ", "Ann ",
	    "\r\n", "office ", "=C3=BC ", "<td>", "holds "};

	while (b->n < n) {
		if (mode == 0)
			buf_str_add(b, str_c(words[rnd(NELEM(words))]));
		else
			buf_c(b, mode == 1 ? (char)rnd(256) : 0);
	}
	b->n = n;
}

static int
file_of(str s)
{
	int fd = os_tmpfile("/tmp");

	assert_true(fd >= 0);
	assert_int_equal(os_pwrite(fd, s.p, s.n, 77), s.n);
	return fd;
}

/* Reads b in every manner, compares with text. */
static void
read_all(struct body *b, str text)
{
	char *p = x_alloc(text.n + 1);

	assert_int_equal(body_size(b), text.n);
	assert_int_equal(body_read(b, 0, p, text.n), OK);
	assert_true(str_eq(str_of(p, text.n), text));
	assert_int_not_equal(body_read(b, text.n, p, 1), OK);
	for (int i = 0; i < 50 && text.n > 0; i++) {
		size_t at = rnd(text.n), n = rnd(text.n - at) + 1;

		if (i % 2)
			n = MIN(n, 200);
		assert_int_equal(body_read(b, at, p, n), OK);
		assert_true(str_eq(str_of(p, n), str_of(text.p + at, n)));
	}
	for (size_t at = 0, n; at < text.n; at += n) {
		n = rnd(90000) + 1;
		n = MIN(text.n - at, n);
		assert_int_equal(body_read(b, at, p, n), OK);
		assert_true(str_eq(str_of(p, n), str_of(text.p + at, n)));
	}
	x_free(&p);
}

static void
same(str text, str enc)
{
	struct body_ref ref = {.at = 77, .n = enc.n};
	struct arena *ar = arena_new(1 << 30);
	struct body *b = NULL;
	struct buf out = {0};
	str whole;

	assert_int_equal(body_decode(enc, &out), OK);
	assert_true(str_eq(buf_str(&out), text));
	buf_free(&out);
	assert_int_equal(body_open_mem(enc, &b), OK);
	read_all(b, text);
	body_free(&b);
	ref.fd = file_of(enc);
	assert_int_equal(body_open(&ref, &b), OK);
	read_all(b, text);
	body_free(&b);
	assert_int_equal(body_load(&ref, ar, &whole), OK);
	assert_true(str_eq(whole, text));
	arena_free(&ar);
	os_close(&ref.fd);
}

static const size_t sizes[] = {0, 1, 2, 10, 100, 1000, 16383, 32768, 32769,
    131071, 131072, 131073, 400000};

static void
round_trip(void **state)
{
	for (size_t i = 0; i < NELEM(sizes); i++) {
		for (int mode = 0; mode < 3; mode++) {
			struct buf text = {0}, enc = {0};

			fill(&text, sizes[i], mode);
			assert_int_equal(body_encode(buf_str(&text), &enc), OK);
			same(buf_str(&text), buf_str(&enc));
			if (mode != 1 && text.n >= 1000)
				assert_true(enc.n < text.n * 8 / 10);
			else
				assert_true(enc.n <= text.n + 80);
			buf_free(&text);
			buf_free(&enc);
		}
	}
}

/* A message with base64 parts: decoded, smaller, and the same again. */
static void
message(struct buf *m, size_t octets, uint32_t line, bool tail, int mode)
{
	struct buf raw = {0};

	fill(&raw, octets, mode);
	buf_s(m, "From: a@example.org\r\nMIME-Version: 1.0\r\n"
		 "Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n");
	for (int i = 0; i < 3; i++) {
		buf_s(m, "--b\r\nContent-Type: application/octet-stream\r\n"
			 "Content-Transfer-Encoding: base64\r\n\r\n");
		mime_base64_lines(buf_str(&raw), line, tail, m);
		if (i == 1)
			buf_s(m, "\r\n\r\n");
		if (i == 2) /* not exact: stays as it is */
			m->p[m->n - 9] = '-';
		buf_s(m, "\r\n");
	}
	buf_s(m, "--b--\r\nend");
	buf_free(&raw);
}

static void
parts(void **state)
{
	static const uint32_t lines[] = {76, 72, 64, 4, 1000};
	static const size_t octets[] = {300, 1000, 54 * 7, 57 * 9, 200001};

	for (unsigned i = 0; i < 5 * 5 * 2; i++) {
		struct buf m = {0}, sum = {0}, enc = {0}, plain = {0};
		struct summary s;
		str body;

		message(&m, octets[i % 5], lines[i / 5 % 5], i / 25, i % 2);
		assert_int_equal(mime_summarise(buf_str(&m), &sum), OK);
		assert_int_equal(mime_summary_get(buf_str(&sum), &s), OK);
		body = str_from(buf_str(&m), s.header_size);
		assert_int_equal(
		    body_encode_parts(body, &s, s.header_size, &enc), OK);
		assert_int_equal(body_encode(body, &plain), OK);
		same(body, buf_str(&enc));
		if (m.n > 100000 && lines[i / 5 % 5] == 76)
			assert_true(enc.n < plain.n);
		/* a wrong description costs space, and nothing else */
		enc.n = 0;
		assert_int_equal(body_encode_parts(body, &s, 3, &enc), OK);
		same(body, buf_str(&enc));
		buf_free(&m);
		buf_free(&sum);
		buf_free(&enc);
		buf_free(&plain);
	}
}

/* Any byte changed, any cut: noticed or harmless. */
static void
damage(void **state)
{
	for (int kind = 0; kind < 3; kind++) {
		struct buf m = {0}, sum = {0}, enc = {0}, out = {0};
		struct summary s;

		message(&m, kind == 0 ? 300 : 150000, 76, true, kind == 1);
		assert_int_equal(mime_summarise(buf_str(&m), &sum), OK);
		assert_int_equal(mime_summary_get(buf_str(&sum), &s), OK);
		assert_int_equal(
		    body_encode_parts(buf_str(&m), &s, 0, &enc), OK);
		for (int i = 0; i < 400; i++) {
			size_t at = i < 100 ? (size_t)i % enc.n : rnd(enc.n);
			char was = enc.p[at];

			enc.p[at] ^= (char)(1 << rnd(8));
			buf_reset(&out);
			assert_int_equal(
			    body_decode(buf_str(&enc), &out), ERR_CORRUPT);
			assert_int_equal(
			    body_decode(str_of(enc.p, rnd(enc.n)), &out),
			    ERR_CORRUPT);
			enc.p[at] = was;
		}
		buf_c(&enc, 0);
		assert_int_equal(body_decode(buf_str(&enc), &out), ERR_CORRUPT);
		buf_free(&m);
		buf_free(&sum);
		buf_free(&enc);
		buf_free(&out);
	}
}

/* Heads with a right checksum and wrong numbers. */
static void
lies(void **state)
{
	struct buf text = {0}, enc = {0}, out = {0};

	fill(&text, 300000, 0);
	assert_int_equal(body_encode(buf_str(&text), &enc), OK);
	for (int i = 0; i < 20000; i++) {
		struct buf e = {0};
		size_t head, at;
		uint64_t sum;
		enum err r;

		buf_str_add(&e, buf_str(&enc));
		head = (unsigned char)e.p[4] | (unsigned char)e.p[5] << 8;
		for (uint64_t k = rnd(3) + 1; k > 0; k--) {
			at = rnd(head - 8);
			if (at < 4 || at > 7)
				e.p[at] = (char)rnd(256);
		}
		sum = hash_xxh3(str_of(e.p, head - 8), 0);
		for (int k = 0; k < 8; k++)
			e.p[head - 8 + (size_t)k] = (char)(sum >> (8 * k));
		buf_reset(&out);
		r = body_decode(buf_str(&e), &out);
		assert_true(r == ERR_CORRUPT ||
			    (r == OK && str_eq(buf_str(&out), buf_str(&text))));
		buf_free(&e);
	}
	buf_free(&text);
	buf_free(&enc);
	buf_free(&out);
}

static void
let_go(void *arg)
{
	++*(int *)arg;
}

static void
sources(void **state)
{
	struct buf h = {0}, b = {0}, he = {0}, be = {0}, all = {0};
	struct body_ref hr = {.at = 77}, br = {.at = 77};
	struct source *src;
	int released = 0, fd;
	uint64_t off, n;
	char *p;

	fill(&h, 700, 0);
	fill(&b, 500000, 1);
	buf_str_add(&all, buf_str(&h));
	buf_str_add(&all, buf_str(&b));
	assert_int_equal(body_encode(buf_str(&h), &he), OK);
	assert_int_equal(body_encode(buf_str(&b), &be), OK);
	hr.n = he.n;
	br.n = be.n;
	hr.fd = file_of(buf_str(&he));
	br.fd = file_of(buf_str(&be));
	assert_int_equal(body_source(&hr, &br, let_go, &released, &src), OK);
	assert_int_equal(src->size, all.n);
	p = x_alloc(all.n);
	for (int i = 0; i < 200; i++) {
		size_t at = i == 0 ? 0 : rnd(all.n);
		size_t len = i == 0 ? all.n : rnd(all.n - at) + 1;

		assert_int_equal(src->ops->read(src, at, p, len), OK);
		assert_memory_equal(p, all.p + at, len);
	}
	assert_false(src->ops->file(src, 10, &fd, &off, &n));
	for (size_t at = 700; at < all.n; at += n) {
		assert_true(src->ops->file(src, at, &fd, &off, &n));
		assert_true(n >= 1 && n <= all.n - at);
		assert_int_equal(os_pread(fd, p, n, (off_t)off), n);
		assert_memory_equal(p, all.p + at, n);
	}
	source_unref(&src);
	assert_int_equal(released, 1);
	br.at++;
	assert_int_equal(
	    body_source(&hr, &br, let_go, &released, &src), ERR_CORRUPT);
	assert_null(src);
	assert_int_equal(released, 2);
	br.n = 0;
	assert_int_equal(body_source(&hr, &br, let_go, &released, &src), OK);
	assert_int_equal(src->size, 700);
	source_unref(&src);
	os_close(&hr.fd);
	os_close(&br.fd);
	x_free(&p);
	buf_free(&h);
	buf_free(&b);
	buf_free(&he);
	buf_free(&be);
	buf_free(&all);
}

static void
hashes(void **state)
{
	static const unsigned char abc[4] = {0xba, 0x78, 0x16, 0xbf};
	static const unsigned char none[4] = {0xe3, 0xb0, 0xc4, 0x42};
	uint8_t h[32];

	body_hash(S("abc"), h);
	assert_memory_equal(h, abc, 4);
	body_hash(STR_NONE, h);
	assert_memory_equal(h, none, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trip),
	    cmocka_unit_test(parts),
	    cmocka_unit_test(damage),
	    cmocka_unit_test(lies),
	    cmocka_unit_test(sources),
	    cmocka_unit_test(hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
