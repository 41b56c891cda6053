/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A store whose log is any bytes: opening it, looking at what it holds, and
 * checking it must come to an end, and touch nothing out of bounds (R101).
 *
 * First byte's low bits 0: the rest stands in the segment behind its head.
 * Otherwise the rest is records, u8 type, u16 length, payload each, that get heads and
 * checksums which hold; type 0 ends a group, and a segment at length 1. With the
 * high bit it is opened again, with its index made anew.
 */
#include <stdlib.h>

#include "fuzz.h"

#include "folder.h"
#include "os/os.h"
#include "store/log.h"
#include "store/log_int.h"

enum { SALT = 12345 };

static void
fatal(void *arg)
{
	*(bool *)arg = true;
}

static void
segment_head(
    uint64_t number, uint64_t seq, uint64_t prev, uint64_t end, struct buf *b)
{
	buf_reset(b);
	buf_add(b, SEGMENT_MAGIC, 8);
	enc_u32(b, SEGMENT_VERSION);
	enc_u32(b, 0);
	enc_u64(b, number);
	enc_u64(b, SALT);
	enc_u64(b, seq);
	enc_u64(b, prev);
	enc_u64(b, end);
	enc_u64(b, hash_xxh3(buf_str(b), 0));
}

static void
segment_write(uint64_t number, const struct buf *b)
{
	char name[40];

	snprintf(name, sizeof(name), "%010llu.seg", (unsigned long long)number);
	folder_put(IN_LOG, name, buf_str(b));
}

/* A group of the records in raw, at the end of b. */
static void
group_add(const struct segment *s, uint64_t seq, str raw, struct buf *b)
{
	struct buf heads = {0};
	struct buf all = {0};
	struct logref at = {s->number, b->n + GROUP_HEAD};
	struct dec d = dec_of(raw);
	uint32_t n = 0;

	while (dec_left(&d) >= 3) {
		uint8_t type = dec_u8(&d);
		size_t want = dec_u16(&d);
		str p = dec_take(&d, MIN(want, dec_left(&d)));
		size_t start = all.n;

		enc_u8(&all, type);
		enc_u8(&all, REC_VERSION);
		enc_u16(&all, 0);
		enc_u32(&all, (uint32_t)p.n);
		enc_u64(&all, log_record_check(s, &at, type, REC_VERSION,
				  (uint32_t)p.n, hash_xxh3(p, 0)));
		buf_add(&heads, all.p + start, RECORD_HEAD);
		buf_str_add(&all, p);
		while (all.n % 8 != 0)
			buf_c(&all, 0);
		at.off = b->n + GROUP_HEAD + all.n;
		n++;
	}
	if (n > 0) {
		struct buf head = {0};
		uint64_t off = b->n;

		enc_u32(&head, GROUP_MAGIC);
		enc_u32(&head, n);
		enc_u64(&head, all.n);
		enc_u64(&head, seq);
		enc_u64(&head, 1);
		buf_add(b, head.p, head.n);
		buf_str_add(&head, buf_str(&heads));
		enc_u64(b, hash_xxh3(buf_str(&head), SALT ^ off));
		buf_str_add(b, buf_str(&all));
		buf_free(&head);
	}
	buf_free(&heads);
	buf_free(&all);
}

static void
segments(str in)
{
	struct segment s = {.number = 1, .salt = SALT};
	struct buf b = {0};
	struct dec d = dec_of(in);
	size_t from = 0;
	uint64_t seq = 0;

	segment_head(1, seq, 0, 0, &b);
	while (dec_left(&d) >= 3) {
		size_t at = in.n - dec_left(&d);
		uint8_t type = dec_u8(&d);
		size_t n = dec_u16(&d);

		if (type != 0) {
			dec_take(&d, MIN(n, dec_left(&d)));
			continue;
		}
		group_add(&s, seq++, str_of(in.p + from, at - from), &b);
		from = at + 3;
		if (n == 1 && s.number < 4) {
			uint64_t end = b.n;

			segment_write(s.number, &b);
			s.number++;
			segment_head(s.number, seq, s.number - 1, end, &b);
		}
	}
	group_add(&s, seq, str_from(in, from), &b);
	segment_write(s.number, &b);
	buf_free(&b);
}

/* Whatever is there: seen, read, changed. */
static void
look(struct acct *a, struct arena *ar)
{
	struct mailbox_info *v;
	struct view *view;
	struct entry e;
	size_t n = 0;

	if (mailbox_list(a, ar, &v, &n) != OK)
		n = 0;
	for (size_t i = 0; i < n && i < 20; i++) {
		if (view_open(a, v[i].id, false, 0, &view) != OK)
			continue;
		for (uint32_t j = 1; j < 50; j++) {
			struct source *src = NULL;
			struct summary s;
			char p[100];

			if (view_entries(view, j, &e, 1) != 1 ||
			    view_summary(view, &e, ar, &s) != OK ||
			    view_source(view, &e, &src) != OK)
				break;
			if (src->ops->read(src, 0, p,
				MIN(sizeof(p), (size_t)src->size)) != OK)
				p[0] = 0;
			source_unref(&src);
		}
		if (store_expunge(view, NULL, true, NULL) != OK)
			n = 0;
		view_close(&view);
	}
}

void
fuzz_one(str in)
{
	struct arena *ar;
	struct acct *a = NULL;
	struct store *st = NULL;
	bool died = false;
	struct store_opts o = {.dir = dir,
	    .no_background = true,
	    .no_thread = true,
	    .fatal = fatal,
	    .fatal_arg = &died};
	struct grant g = {.kind = GRANT_LOGIN, .account = 7};

	if (in.n < 4 || in.n > 1 << 16)
		return;
	log_setup("fuzz", LOG_ERROR + 1);
	limits.index_map_bytes = 1 << 28;
	if (dir[0] == 0)
		folder_make("fuzz_store");
	folder_empty();
	folder_put(IN_TOP, "FORMAT", S("1\n"));
	if ((in.p[0] & 0x7f) == 0) {
		struct buf b = {0};

		segment_head(1, 0, 0, 0, &b);
		buf_str_add(&b, str_from(in, 1));
		segment_write(1, &b);
		buf_free(&b);
	} else {
		segments(str_from(in, 1));
	}
	ar = arena_new(1 << 24);
	for (int i = 0; i < ((in.p[0] & 0x80) != 0 ? 2 : 1); i++) {
		o.rebuild = i > 0;
		if (store_open(&o, &st) != OK)
			continue;
		if (acct_open(st, &g, S("x"), &a) == OK)
			look(a, ar);
		acct_close(&a);
		if (store_check(st, true, NULL, NULL) > 1000000)
			abort();
		store_close(&st);
	}
	arena_free(&ar);
}
