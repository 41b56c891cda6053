/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Threads of an account: THREADID (RFC 8474), given once, at delivery, by
 * the ids in Message-ID, In-Reply-To and References.
 *
 * T account hash(id): thread, how many messages say so. Before format 3 the
 * ids stood there too, several when hashes collided; such a row stays so.
 *
 * (1) At most IDS_MAX ids of a message count: its own, the one answered, the
 *     first and the last of its References.
 */
#include "store/apply.h"

enum { IDS_MAX = 12, ID_BYTES_MAX = 500 };

struct key
thread_key(uint64_t account, str id)
{
	struct key k = key_of('T', account);

	key_u64(&k, hash_xxh3(id, 0));
	return k;
}

void
thread_ids(const struct summary *s, bool (*each)(void *ctx, str id), void *ctx)
{
	str seen[IDS_MAX];
	str refs = s->references;
	str last[IDS_MAX - 3] = {{NULL, 0}};
	size_t n = 0;
	size_t k = 0;

	seen[n++] = s->message_id;
	seen[n++] = s->in_reply_to;
	if (refs.n > 0)
		seen[n++] = str_cut(&refs, '\0');
	while (refs.n > 0)
		last[k++ % NELEM(last)] = str_cut(&refs, '\0');
	for (size_t i = 0; i < MIN(k, NELEM(last)); i++)
		seen[n++] = last[i];
	for (size_t i = 0; i < n; i++) {
		bool again = seen[i].n == 0 || seen[i].n > ID_BYTES_MAX;

		for (size_t j = 0; j < i && !again; j++)
			again = str_eq(seen[i], seen[j]);
		if (!again && !each(ctx, seen[i]))
			return;
	}
}

struct lookup {
	struct store *st;
	uint64_t account;
	uint64_t thread;
	bool on;
	enum err e;
};

/* False: it is none of today's. */
static bool
row_read(str row, uint64_t *thread, uint64_t *count)
{
	struct dec d = dec_of(row);

	if (dec_u8(&d) != 2)
		return false;
	*thread = dec_var(&d);
	*count = dec_var(&d);
	return dec_end(&d);
}

/* Finds the id in a row of before: where its entry begins and ends. */
static bool
row_find(str row, str id, size_t *from, size_t *to, uint64_t *thread,
    uint64_t *count)
{
	struct dec d = dec_of(row);

	if (row.n == 0 || dec_u8(&d) != 1)
		return false;
	while (dec_left(&d) > 0) {
		str x;

		*from = (size_t)(d.p - row.p);
		x = dec_str(&d);
		*thread = dec_var(&d);
		*count = dec_var(&d);
		if (d.bad)
			return false;
		*to = (size_t)(d.p - row.p);
		if (str_eq(x, id))
			return true;
	}
	return false;
}

static bool
find_one(void *ctx, str id)
{
	struct lookup *l = ctx;
	struct key k = thread_key(l->account, id);
	struct buf row = {0};
	size_t from, to;
	uint64_t count;

	l->e = index_get(l->st, &k, &row);
	if (l->e == ERR_NOTFOUND)
		l->e = OK;
	else if (l->e == OK && !row_read(buf_str(&row), &l->thread, &count) &&
		 !row_find(buf_str(&row), id, &from, &to, &l->thread, &count))
		l->thread = 0;
	buf_free(&row);
	return l->e == OK && l->thread == 0;
}

enum err
thread_find(struct store *st, uint64_t account, const struct summary *s,
    uint64_t *thread)
{
	struct lookup l = {.st = st, .account = account};

	thread_ids(s, find_one, &l);
	*thread = l.thread;
	return l.e;
}

/* A row of before, with its ids, changed and appended to out. */
static void
note_old(const struct lookup *l, str row, str id, struct buf *out)
{
	uint64_t thread = l->thread;
	uint64_t count = 0;
	size_t from = 1;
	size_t to = 1;

	if (!row_find(row, id, &from, &to, &thread, &count)) {
		from = to = row.n;
		thread = l->thread;
		count = 0;
	}
	buf_str_add(out, str_head(row, from));
	if (l->on || count > 1) {
		enc_str(out, id);
		enc_var(out, thread);
		enc_var(out, l->on ? count + 1 : count - 1);
	}
	buf_str_add(out, str_from(row, to));
	if (out->n <= 1)
		buf_reset(out);
}

static bool
note_one(void *ctx, str id)
{
	struct lookup *l = ctx;
	struct key k = thread_key(l->account, id);
	struct buf row = {0};
	struct buf out = {0};
	uint64_t thread = l->thread;
	uint64_t count = 0;

	l->e = index_get(l->st, &k, &row);
	if (l->e == ERR_NOTFOUND)
		l->e = OK;
	if (l->e != OK) {
		buf_free(&row);
		return false;
	}
	if (row.n > 0 && !row_read(buf_str(&row), &thread, &count)) {
		note_old(l, buf_str(&row), id, &out);
	} else if (l->on || count > 1) {
		enc_u8(&out, 2);
		enc_var(&out, thread);
		enc_var(&out, l->on ? count + 1 : count - 1);
	}
	if (out.n > 0)
		index_put(l->st, &k, buf_str(&out));
	else
		index_del(l->st, &k);
	buf_free(&row);
	buf_free(&out);
	return true;
}

enum err
thread_note(struct store *st, uint64_t account, const struct summary *s,
    uint64_t thread, bool on)
{
	struct lookup l = {
	    .st = st, .account = account, .thread = thread, .on = on};

	thread_ids(s, note_one, &l);
	return l.e;
}
