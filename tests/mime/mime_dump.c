/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What mime makes of messages, as JSON, one line each: for corpus.py.
 * On standard input stands for each message its length (4 bytes, little
 * endian) and its bytes. With -b N the summaries are made N times, and the
 * time a message took is printed at the end.
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mime/mime_int.h"

static void
json(str s)
{
	size_t i;

	putchar('"');
	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 32 || c > 126 || c == '"' || c == '\\')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void
no_cr(str s, struct buf *out)
{
	size_t i;

	buf_reset(out);
	if (buf_room(out, s.n + 1) == NULL)
		return;
	for (i = 0; i < s.n; i++)
		if (s.p[i] != '\r' || i + 1 == s.n || s.p[i + 1] != '\n')
			out->p[out->n++] = s.p[i];
}

static void
leaf(const struct tree *t, const struct node *n)
{
	struct buf raw = {0}, text = {0};
	unsigned char hash[SHA256_DIGEST_LENGTH];
	str body = str_of(t->message.p + n->part.body_at, n->part.body_len);
	str all;
	int i;

	no_cr(body, &raw);
	if (mime_decode(buf_str(&raw), (enum cte)n->part.encoding, &text) != OK)
		abort();
	all = buf_str(&text);
	if (n->part.kind == PART_TEXT) {
		no_cr(all, &raw);
		all = buf_str(&raw);
	}
	SHA256((const unsigned char *)(all.n > 0 ? all.p : ""), all.n, hash);
	printf("%zu,\"", all.n);
	for (i = 0; i < 8; i++)
		printf("%02x", hash[i]);
	printf("\"");
	buf_free(&raw);
	buf_free(&text);
}

static void
parts(const struct tree *t)
{
	size_t i;

	printf(",\"parts\":[");
	for (i = 0; i < t->n; i++) {
		const struct node *n = &t->v[i];

		printf("%s[%d,", i > 0 ? "," : "",
		    i > 0 ? (int)n->part.parent : -1);
		json(n->type);
		putchar(',');
		json(n->subtype);
		printf(",%d,%d,", n->part.kind, n->invented);
		if (n->part.kind == PART_LEAF || n->part.kind == PART_TEXT)
			leaf(t, n);
		else
			printf("0,\"\"");
		putchar(']');
	}
	putchar(']');
}

static void
header(str h)
{
	struct field f;
	struct buf b = {0}, c = {0};
	struct arena *a = arena_new(0);
	struct address *v;
	size_t n, i, k = 0;

	if (mime_field_find(h, S("Subject"), &f)) {
		mime_unfold(f.value, &b);
		mime_decode_words(buf_str(&b), &c);
		printf(",\"subject\":");
		json(buf_str(&c));
	}
	if (mime_field_find(h, S("From"), &f) &&
	    mime_addresses(a, f.value, &v, &n, 100000) == OK) {
		printf(",\"from\":[");
		for (i = 0; i < n; i++) {
			if (v[i].domain.p == NULL)
				continue;
			buf_reset(&b);
			buf_str_add(&b, v[i].local);
			if (v[i].domain.n > 0)
				buf_c(&b, '@');
			buf_str_add(&b, v[i].domain);
			printf("%s", k++ > 0 ? "," : "");
			json(buf_str(&b));
		}
		printf("]");
	}
	buf_free(&b);
	buf_free(&c);
	arena_free(&a);
}

static void
one(str message)
{
	struct tree t = {0};
	struct summary s;
	struct buf b = {0};

	mime_tree(message, &t);
	if (mime_summarise(message, &b) != OK ||
	    mime_summary_get(buf_str(&b), &s) != OK)
		abort();
	printf("{\"size\":%u,\"lines\":%u", s.size, s.lines);
	parts(&t);
	header(t.v[0].header);
	if (s.message_id.n > 0) {
		printf(",\"message_id\":");
		json(s.message_id);
	}
	if (s.has_date)
		printf(",\"date\":%lld", (long long)s.date.sec);
	printf(",\"envelope\":");
	json(s.envelope);
	printf(",\"bodystructure\":");
	json(s.bodystructure);
	printf(",\"base\":");
	json(s.text[SUM_BASE_SUBJECT]);
	printf(",\"stored\":%zu}\n", b.n);
	tree_free(&t);
	buf_free(&b);
}

static void
bench(str message, int times)
{
	struct buf b = {0};

	while (times-- > 0) {
		buf_reset(&b);
		if (mime_summarise(message, &b) != OK)
			abort();
	}
	buf_free(&b);
}

int
main(int argc, char **argv)
{
	int times;
	unsigned char head[4];
	char *p;
	size_t n, count = 0, bytes = 0;
	clock_t spent = 0, start;

	/* The facts know no bound. */
	limits.header_max = 1 << 26;
	times = argc > 2 && strcmp(argv[1], "-b") == 0 ? atoi(argv[2]) : 0;

	while (fread(head, 1, 4, stdin) == 4) {
		n = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 |
		    (size_t)head[3] << 24;
		p = malloc(n + 1);
		if (p == NULL || fread(p, 1, n, stdin) != n)
			return 1;
		start = clock();
		if (times > 0)
			bench(str_of(p, n), times);
		else
			one(str_of(p, n));
		fflush(stdout);
		spent += clock() - start;
		free(p);
		count++;
		bytes += n;
	}
	if (times > 0 && count > 0)
		printf("%.2f us a message, %zu bytes on the average\n",
		    1e6 * (double)spent / CLOCKS_PER_SEC / (double)count /
			times,
		    bytes / count);
	return 0;
}
