/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Base 64 and base 16, strict. What is decoded is appended only when the
 * whole input was right.
 */
#include "base/base.h"

static const char b64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_put(struct buf *out, str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	char q[4];

	for (; s.n >= 3; p += 3, s.n -= 3) {
		q[0] = b64[p[0] >> 2];
		q[1] = b64[(p[0] << 4 | p[1] >> 4) & 63];
		q[2] = b64[(p[1] << 2 | p[2] >> 6) & 63];
		q[3] = b64[p[2] & 63];
		buf_add(out, q, 4);
	}
	if (s.n == 0)
		return;
	q[0] = b64[p[0] >> 2];
	q[1] = b64[(p[0] << 4 | (s.n > 1 ? p[1] >> 4 : 0)) & 63];
	q[2] = s.n > 1 ? b64[p[1] << 2 & 63] : '=';
	q[3] = '=';
	buf_add(out, q, 4);
}

static int
b64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Decodes four characters; pads: how many '=' may stand at their end.
 * Returns the number of bytes, 0 when malformed. */
static size_t
b64_quad(const char q[4], bool last, char out[3])
{
	int a = b64_value(q[0]);
	int b = b64_value(q[1]);
	int c = b64_value(q[2]);
	int d = b64_value(q[3]);

	if (a < 0 || b < 0)
		return 0;
	out[0] = (char)(a << 2 | b >> 4);
	if (last && q[2] == '=' && q[3] == '=')
		return (b & 15) == 0 ? 1 : 0; /* stray bits (R36) */
	if (c < 0)
		return 0;
	out[1] = (char)((b & 15) << 4 | c >> 2);
	if (last && q[3] == '=')
		return (c & 3) == 0 ? 2 : 0;
	if (d < 0)
		return 0;
	out[2] = (char)((c & 3) << 6 | d);
	return 3;
}

enum err
base64_get(struct buf *out, str s)
{
	size_t before = out->n;
	char t[3];

	if (s.n % 4 != 0)
		return ERR_INVALID;
	if (s.n > 0 && buf_room(out, s.n / 4 * 3) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < s.n; i += 4) {
		size_t n = b64_quad(s.p + i, i + 4 == s.n, t);

		if (n == 0) {
			out->n = before;
			return ERR_INVALID;
		}
		buf_add(out, t, n);
	}
	return OK;
}

void
hex_put(struct buf *out, str s)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < s.n; i++) {
		buf_c(out, hex[(unsigned char)s.p[i] >> 4]);
		buf_c(out, hex[s.p[i] & 15]);
	}
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

enum err
hex_get(struct buf *out, str s)
{
	size_t before = out->n;

	if (s.n % 2 != 0)
		return ERR_INVALID;
	if (s.n > 0 && buf_room(out, s.n / 2) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < s.n; i += 2) {
		int hi = hex_value(s.p[i]);
		int lo = hex_value(s.p[i + 1]);

		if (hi < 0 || lo < 0) {
			out->n = before;
			return ERR_INVALID;
		}
		buf_c(out, (char)(hi << 4 | lo));
	}
	return OK;
}
