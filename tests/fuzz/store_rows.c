/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Values of the index and payloads of the log's records, behind their
 * checksums: what is no value is refused within bounds, and what is one is
 * written the same way again. The first byte says what it is. R101
 */
#include "fuzz.h"
#include "store/apply.h"
#include "store/body.h"
#include "store/mailbox.h"
#include "store/summary.h"

static void
chunk(str in)
{
	struct chunk *c = chunk_new(1), *again = chunk_new(1);
	str facts = in, state = str_cut(&facts, '\n');
	struct buf b = {0};

	if (state_decode(state, c) == OK) {
		FUZZ_TRUE(c->u->n <= CHUNK_MAX);
		for (uint32_t i = 1; i < c->u->n; i++)
			FUZZ_TRUE(c->u->uid[i - 1] < c->u->uid[i]);
		state_encode(c, &b);
		FUZZ_TRUE(state_decode(buf_str(&b), again) == OK);
		FUZZ_TRUE(again->u->n == c->u->n);
		for (uint32_t i = 0; i < c->u->n; i++)
			FUZZ_TRUE(again->u->uid[i] == c->u->uid[i] &&
				  again->flags[i] == c->flags[i] &&
				  again->modseq[i] == c->modseq[i]);
		if (facts_decode(facts, c) == OK) {
			buf_reset(&b);
			facts_encode(c, &b);
			FUZZ_TRUE(facts_decode(buf_str(&b), again) == OK);
		}
	}
	buf_free(&b);
	chunk_free(&c);
	chunk_free(&again);
}

static void
gone(str in)
{
	struct gone_row r = {0}, again = {0};
	struct buf b = {0};

	if (gone_decode(in, &r) == OK) {
		gone_encode(&r, &b);
		FUZZ_TRUE(gone_decode(buf_str(&b), &again) == OK);
		FUZZ_TRUE(again.n == r.n && again.time_s == r.time_s);
		x_free(&again.v);
	}
	x_free(&r.v);
	buf_free(&b);
}

static void
heads(str in)
{
	struct mbox *m = x_alloc(sizeof(*m));
	struct account *a = x_alloc(sizeof(*a));
	struct message_row row = {0};
	struct body_row body;
	struct node node = {0};
	uint64_t len;

	(void)!mbox_head_decode(in, m);
	if (account_decode(in, a) == OK)
		x_free_str(&a->name);
	(void)!body_decode_row(in, &body);
	if (node_decode(in, &node) == OK)
		FUZZ_TRUE(node.name.n <= in.n);
	node_free(&node);
	buf_str_add(&row.buf, in);
	if (message_decode(&row, &len))
		FUZZ_TRUE(row.summary.n <= in.n);
	message_row_free(&row);
	x_free(&m);
	x_free(&a);
}

/* As a row has it, and as the log has it beside a header. */
static void
summary(str in)
{
	static const char text[] =
	    "From: Ann <ann@example.org>\r\nTo: Bob <bob@example.org>\r\n\r\n";
	enum { SIZE = sizeof(text) - 1 };
	struct buf room = {0}, header = {0}, row = {0}, logged = {0};
	str got;

	for (int upto = UPTO_LISTS; upto <= UPTO_ALL; upto++)
		(void)!summary_unpack(in, (enum summary_upto)upto, &room, &got);
	FUZZ_TRUE(body_encode(S(text), &header) == OK);
	if (summary_row(in, buf_str(&header), SIZE, 0, &row) == OK &&
	    summary_unpack(buf_str(&row), UPTO_ALL, &room, &got) == OK) {
		struct buf again = {0}, second = {0};

		FUZZ_TRUE(summary_pack(got, S(text), &again, &logged) == OK);
		FUZZ_TRUE(summary_row(buf_str(&logged), buf_str(&header), SIZE,
			      0, &second) == OK);
		FUZZ_TRUE(str_eq(buf_str(&again), buf_str(&second)));
		buf_free(&again);
		buf_free(&second);
	}
	buf_free(&room);
	buf_free(&header);
	buf_free(&row);
	buf_free(&logged);
}

/* A record that was read is written, and that one reads as itself. */
static void
record(enum record_type type, str in)
{
	struct arena *ar = arena_new(1 << 24);
	struct record r, again;
	struct buf one = {0}, two = {0};
	str rest[2];

	if (record_decode(type, REC_VERSION, in, NULL, ar, &r) == OK) {
		/* What is expunged stands in any order. */
		for (size_t i = 1; i < r.nentries && r.part != SNAP_GONE; i++)
			FUZZ_TRUE(r.entries[i - 1].uid < r.entries[i].uid);
		record_encode(&r, &one, rest);
		buf_str_add(&one, rest[0]);
		buf_str_add(&one, rest[1]);
		FUZZ_TRUE(record_decode(type, REC_VERSION, buf_str(&one), NULL,
			      ar, &again) == OK);
		record_encode(&again, &two, rest);
		buf_str_add(&two, rest[0]);
		buf_str_add(&two, rest[1]);
		FUZZ_TRUE(str_eq(buf_str(&one), buf_str(&two)));
	}
	buf_free(&one);
	buf_free(&two);
	arena_free(&ar);
}

void
fuzz_one(str in)
{
	unsigned what;

	if (in.n == 0)
		return;
	log_setup("fuzz", LOG_ERROR + 1);
	what = (unsigned char)in.p[0];
	in = str_from(in, 1);
	switch (what % 20) {
	case 0:
		chunk(in);
		break;
	case 17:
		gone(in);
		break;
	case 18:
		heads(in);
		break;
	case 19:
		summary(in);
		break;
	default:
		record((enum record_type)(what % 20), in);
		break;
	}
}
