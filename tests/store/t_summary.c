/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Summaries as they are stored: what was packed is read again, from the row
 * and from the log beside its header; whatever else stands there is refused
 * or is some summary, and touches nothing out of bounds. (R101)
 */
#include "store/copies.h"
#include "store/summary.h"
#include "store/t_store.h"
#include "store/apply.h"
#include "store/body.h"

static struct rnd R;

/* A message with a header that a list might send; n: how long it gets. */
static void
make(struct buf *b, unsigned n)
{
	static const char *const words[] = {"One", "two", "THREE",
	    "=?utf-8?q?=C3=84?=", "\xc3\xa4\xc3\x96", "\\\"", "x@y.example",
	    "Re:"};

	buf_f(b,
	    "Received: from a\r\n by b\r\nFrom: \"Ann %u\" "
	    "<Ann%u@Example.ORG>\r\n",
	    n, n);
	for (unsigned i = 0; i < 1 + n % 7; i++)
		buf_f(b, "%s: %s %s <u%u@Host%u.example>\r\n",
		    i % 2 ? "To" : "Cc", words[rnd(&R, 7)], words[rnd(&R, 7)],
		    i, n);
	buf_s(b, "Subject:");
	for (unsigned i = 0; i < n % 90; i++)
		buf_f(b, " %s%s", i % 9 ? "" : "\r\n\t", words[rnd(&R, 8)]);
	buf_f(b, "\r\nMessage-ID: <%x.%u@example.org>\r\n", n * 2654435761u, n);
	if (n % 3)
		buf_f(b,
		    "In-Reply-To: <%u@example.org>\r\nReferences: "
		    "<%u@example.org>"
		    " <%u@example.org>\r\n",
		    n / 2, n / 4, n / 2);
	if (n % 2)
		buf_f(b,
		    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
		    "--b\r\nContent-Type: text/html\r\n\r\nhi\r\n--b\r\n"
		    "Content-Type: image/png; name=\"a "
		    "%u.png\"\r\n\r\nx\r\n--b--\r\n",
		    n);
	else
		buf_f(b, "\r\ntext %u\r\n", n);
}

static void
same(str a, str b)
{
	assert_true(str_eq(a, b));
}

struct packed {
	struct buf text, sum, row, logged, header;
	uint32_t size;
};

static void
pack(struct packed *p, unsigned n, str prefix)
{
	struct buf whole = {0};
	size_t len;

	*p = (struct packed){0};
	make(&p->text, n);
	len = mime_header_len(buf_str(&p->text));
	assert_int_equal(mime_summarise(buf_str(&p->text), &p->sum), OK);
	assert_int_equal(
	    summary_pack(buf_str(&p->sum), str_head(buf_str(&p->text), len),
		&p->row, &p->logged),
	    OK);
	buf_str_add(&whole, prefix);
	buf_str_add(&whole, str_head(buf_str(&p->text), len));
	p->size = (uint32_t)whole.n;
	assert_int_equal(body_encode(buf_str(&whole), &p->header), OK);
	buf_free(&whole);
}

static void
unpack_free(struct packed *p)
{
	buf_free(&p->text);
	buf_free(&p->sum);
	buf_free(&p->row);
	buf_free(&p->logged);
	buf_free(&p->header);
}

static void
test_again(void **state)
{
	for (unsigned n = 0; n < 400; n++) {
		str prefix = n % 5 ? S("Return-Path: <a@b>\r\n") : STR_NONE;
		struct buf room = {0}, row = {0};
		struct arena *ar = arena_new(1 << 20);
		struct packed p;
		struct summary s, t;
		str got, v[3];

		pack(&p, n, prefix);
		assert_true(p.row.n < p.sum.n && p.logged.n < p.row.n);
		assert_int_equal(mime_summary_get(buf_str(&p.sum), &s), OK);
		assert_int_equal(
		    summary_unpack(buf_str(&p.row), UPTO_ALL, &room, &got), OK);
		same(got, buf_str(&p.sum));
		assert_int_equal(summary_load(buf_str(&p.row), ar, &got), OK);
		same(got, buf_str(&p.sum));
		assert_int_equal(mime_summary_get(got, &t), OK);
		assert_int_equal(
		    summary_unpack(buf_str(&p.row), UPTO_LISTS, &room, &got),
		    OK);
		assert_true(mime_summary_head(got, &v[0], &v[1], NULL));
		same(v[0], s.envelope);
		same(v[1], s.bodystructure);
		assert_int_equal(
		    summary_unpack(buf_str(&p.row), UPTO_FIELDS, &room, &got),
		    OK);
		assert_true(mime_summary_head(got, &v[0], &v[1], &v[2]));
		same(v[2], s.fields);
		assert_int_equal(
		    summary_row(buf_str(&p.logged), buf_str(&p.header), p.size,
			(uint32_t)prefix.n, &row),
		    OK);
		same(buf_str(&row), buf_str(&p.row));
		/* The log's form is none of the index. */
		assert_int_equal(
		    summary_unpack(buf_str(&p.logged), UPTO_ALL, &room, &got),
		    ERR_CORRUPT);
		/* As it stood before it was packed. */
		assert_int_equal(
		    summary_unpack(buf_str(&p.sum), UPTO_ALL, &room, &got), OK);
		same(got, buf_str(&p.sum));
		buf_reset(&row);
		assert_int_equal(
		    summary_row(buf_str(&p.sum), STR_NONE, 0, 0, &row), OK);
		same(buf_str(&row), buf_str(&p.sum));
		buf_free(&room);
		buf_free(&row);
		arena_free(&ar);
		unpack_free(&p);
	}
}

/* What does not fit a window is one zstd frame, as in format 2. */
static void
test_large(void **state)
{
	struct buf text = {0}, sum = {0}, row = {0}, logged = {0}, room = {0};
	str got;

	for (unsigned i = 0; i < 4000; i++)
		buf_f(&text, "To: person %u <p%u@example.org>\r\n", i, i);
	buf_s(&text, "\r\n");
	assert_int_equal(mime_summarise(buf_str(&text), &sum), OK);
	assert_int_equal(
	    summary_pack(buf_str(&sum), buf_str(&text), &row, &logged), OK);
	assert_int_equal((unsigned char)row.p[0], 129);
	same(buf_str(&row), buf_str(&logged));
	assert_int_equal(
	    summary_unpack(buf_str(&row), UPTO_LISTS, &room, &got), OK);
	same(got, buf_str(&sum));
	row.p[row.n / 2] ^= 1;
	(void)!summary_unpack(buf_str(&row), UPTO_ALL, &room, &got);
	assert_int_equal(summary_unpack(str_head(buf_str(&row), row.n - 1),
			     UPTO_ALL, &room, &got),
	    ERR_CORRUPT);
	buf_free(&text);
	buf_free(&sum);
	buf_free(&row);
	buf_free(&logged);
	buf_free(&room);
}

static void
try_both(const struct packed *p, str bytes)
{
	/* In memory of its own size, so that a byte too far is noticed. */
	char *x = x_array(bytes.n + 1, 1);
	struct buf room = {0}, row = {0};
	str got, in = str_of(x + 1, bytes.n);

	memcpy(x + 1, bytes.p, bytes.n);
	for (int upto = UPTO_LISTS; upto <= UPTO_ALL; upto++)
		(void)!summary_unpack(in, (enum summary_upto)upto, &room, &got);
	(void)!summary_row(in, buf_str(&p->header), p->size, 0, &row);
	x_free(&x);
	buf_free(&room);
	buf_free(&row);
}

static void
test_flips(void **state)
{
	for (unsigned n = 0; n < 12; n++) {
		struct packed p;

		pack(&p, n, STR_NONE);
		for (int which = 0; which < 2; which++) {
			struct buf *b = which ? &p.row : &p.logged;

			for (size_t i = 0; i < b->n; i++) {
				for (int bit = 0; bit < 8; bit++) {
					b->p[i] ^= (char)(1 << bit);
					try_both(&p, buf_str(b));
					b->p[i] ^= (char)(1 << bit);
				}
				try_both(&p, str_head(buf_str(b), i));
			}
		}
		unpack_free(&p);
	}
}

/* Any bytes, coded and made again. */
static void
test_copies(void **state)
{
	static struct copies_known known;
	static const char first[] = "What EVERY window begins with. ";
	enum { FIRST = sizeof(first) - 1, MOST = 20000 };
	char *w = x_array(MOST + COPIES_SLACK, 1),
	     *x = x_array(MOST + COPIES_SLACK, 1);

	copies_know(&known, first, FIRST);
	for (unsigned k = 0; k < 500; k++) {
		size_t n =
		    FIRST + 1 + (size_t)rnd(&R, k % 50 ? 900 : MOST - FIRST);
		size_t at = FIRST + (size_t)rnd(&R, (uint32_t)(n - FIRST));
		unsigned kinds = 1 + (unsigned)rnd(&R, 60);
		struct copies *c;
		struct buf out = {0};

		memcpy(w, first, FIRST);
		for (size_t i = FIRST; i < n; i++)
			w[i] = (char)('A' + rnd(&R, kinds));
		c = copies_new(&known, w, n);
		copies_put(c, at, n, &out);
		copies_free(&c);
		memcpy(x, w, at);
		assert_true(copies_get(buf_str(&out), x, at, n));
		assert_memory_equal(x, w, n);
		assert_false(
		    copies_get(str_head(buf_str(&out), out.n - 1), x, at, n));
		buf_free(&out);
	}
	x_free(&w);
	x_free(&x);
}

/* Rows of ids from before format 3. */
static void
test_ids(void **state)
{
	struct fix *f = fix_new();
	struct summary s = {.message_id = S("a@b"), .in_reply_to = S("c@d")};
	struct key k = thread_key(7, S("a@b"));
	struct buf row = {0};
	uint64_t thread;

	enc_u8(&row, 1);
	enc_str(&row, S("other"));
	enc_var(&row, 8);
	enc_var(&row, 1);
	enc_str(&row, S("a@b"));
	enc_var(&row, 9);
	enc_var(&row, 2);
	index_put(f->st, &k, buf_str(&row));
	assert_int_equal(thread_find(f->st, 7, &s, &thread), OK);
	assert_int_equal(thread, 9);
	assert_int_equal(thread_note(f->st, 7, &s, 9, true), OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(thread_find(f->st, 7, &s, &thread), OK);
		assert_int_equal(thread, 9);
		assert_int_equal(thread_note(f->st, 7, &s, 9, false), OK);
	}
	assert_int_equal(thread_find(f->st, 7, &s, &thread), OK);
	assert_int_equal(thread, 0);
	buf_reset(&row);
	assert_int_equal(index_get(f->st, &k, &row), OK);
	same(buf_str(&row), S("\1\5other\10\1"));
	k = thread_key(7, S("c@d"));
	assert_int_equal(index_get(f->st, &k, &row), ERR_NOTFOUND);
	buf_free(&row);
	fix_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_again),
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_flips),
	    cmocka_unit_test(test_copies),
	    cmocka_unit_test(test_ids),
	};

	R = (struct rnd){.state = 1};
	if (access("/dev/shm", W_OK | X_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests_name("store-summary", tests, NULL, NULL);
}
