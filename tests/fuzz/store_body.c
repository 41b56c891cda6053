/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Texts as the log holds them: any bytes are refused or read within bounds,
 * and whatever is written is read again, whole and in part (R101).
 */
#include "fuzz.h"
#include "os/os.h"
#include "store/body.h"

static void
read_parts(struct body *b)
{
	uint64_t n = body_size(b);
	char p[700];

	for (uint64_t at = 0; at < n; at += n / 7 + 1) {
		size_t k = (size_t)MIN(n - at, sizeof(p));

		if (body_read(b, at, p, k) != OK)
			return;
	}
}

/* The head's checksum made right, so that what it says is looked at. */
static void
with_checksum(str in)
{
	struct buf b = {0};
	struct body *body = NULL;
	size_t head;
	uint64_t sum;

	buf_str_add(&b, in);
	head = (unsigned char)b.p[4] | (size_t)(unsigned char)b.p[5] << 8;
	if (head < 18 || head > b.n)
		head = b.n;
	b.p[0] = 1;
	for (int i = 0; i < 4; i++)
		b.p[4 + i] = (char)(head >> (8 * i));
	sum = hash_xxh3(str_of(b.p, head - 8), 0);
	for (size_t i = 0; i < 8; i++)
		b.p[head - 8 + i] = (char)(sum >> (8 * i));
	if (body_open_mem(buf_str(&b), &body) == OK)
		read_parts(body);
	body_free(&body);
	buf_free(&b);
}

static void
round_trip(str in)
{
	struct buf sum = {0}, enc = {0}, out = {0};
	struct summary s;
	struct body *b = NULL;
	char p[256];
	size_t at = in.n / 3, n = MIN(in.n - at, sizeof(p));

	FUZZ_TRUE(mime_summarise(in, &sum) == OK);
	FUZZ_TRUE(mime_summary_get(buf_str(&sum), &s) == OK);
	FUZZ_TRUE(body_encode_parts(in, &s, 0, &enc) == OK);
	FUZZ_TRUE(body_decode(buf_str(&enc), &out) == OK);
	FUZZ_TRUE(str_eq(buf_str(&out), in));
	FUZZ_TRUE(body_open_mem(buf_str(&enc), &b) == OK);
	FUZZ_TRUE(body_read(b, at, p, n) == OK);
	FUZZ_TRUE(memcmp(p, out.p + at, n) == 0 || n == 0);
	body_free(&b);
	buf_free(&sum);
	buf_free(&enc);
	buf_free(&out);
}

void
fuzz_one(str in)
{
	struct buf out = {0};
	struct body *b = NULL;

	if (in.n > 1 << 20)
		return;
	if (body_open_mem(in, &b) == OK)
		read_parts(b);
	body_free(&b);
	if (body_decode(in, &out) != OK)
		buf_reset(&out);
	buf_free(&out);
	if (in.n >= 18)
		with_checksum(in);
	if (in.n > 0)
		round_trip(in);
}
