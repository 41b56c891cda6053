/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * See fake_store.h.
 */
#include "fake_store.h"

struct message {
	str text;
	struct buf summary;
	bool gone;
};
struct store {
	struct message v[64];
	uint32_t n;
	enum err fail;
	int open;
	unsigned changes;
};
struct acct {
	struct store *st;
};
struct view {
	struct store *st;
	uint32_t uid[64];
	uint32_t n;
};
struct text {
	struct source src;
	str bytes;
};

struct store *
fake_store(void)
{
	return x_alloc(sizeof(struct store));
}

void
fake_store_free(struct store **sp)
{
	for (uint32_t i = 0; i < (*sp)->n; i++) {
		x_free_str(&(*sp)->v[i].text);
		buf_free(&(*sp)->v[i].summary);
	}
	x_free(sp);
}

/* The summaries of the last messages are kept: a fuzz target makes many
 * stores of the same ones. */
static void
summarise(str message, struct buf *out)
{
	static struct {
		struct buf message, summary;
	} last[2];
	static unsigned turn;

	for (size_t i = 0; i < NELEM(last); i++) {
		if (last[i].summary.n > 0 &&
		    str_eq(buf_str(&last[i].message), message)) {
			buf_str_add(out, buf_str(&last[i].summary));
			return;
		}
	}
	if (mime_summarise(message, out) != OK)
		log_panic("no summary");
	turn = (turn + 1) % NELEM(last);
	buf_reset(&last[turn].message);
	buf_reset(&last[turn].summary);
	buf_str_add(&last[turn].message, message);
	buf_str_add(&last[turn].summary, buf_str(out));
}

void
fake_store_add(struct store *s, str message)
{
	struct message *m = &s->v[s->n];

	if (s->n == NELEM(s->v))
		return;
	s->n++;
	m->text = x_dup(message);
	summarise(message, &m->summary);
}

void
fake_store_expunge(struct store *s, uint32_t uid)
{
	s->v[uid - 1].gone = true;
}

void
fake_store_fail(struct store *s, enum err e)
{
	s->fail = e;
}

void
fake_store_print(struct store *s, struct buf *out)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (!s->v[i].gone)
			buf_f(out, "%s%u", out->n > 0 ? "," : "", i + 1);
}

int
fake_store_open(const struct store *s)
{
	return s->open;
}

unsigned
fake_store_changes(const struct store *s)
{
	return s->changes;
}

/* ---- store.h ---- */

enum err
acct_open(struct store *st, const struct grant *g, str name, struct acct **a)
{
	if (st->fail != OK)
		return st->fail;
	*a = x_alloc(sizeof(**a));
	(*a)->st = st;
	st->open++;
	return OK;
}

void
acct_close(struct acct **a)
{
	if (*a != NULL)
		(*a)->st->open--;
	x_free(a);
}

enum err
mailbox_find(
    struct acct *a, struct arena *ar, str name, struct mailbox_info *info)
{
	*info = (struct mailbox_info){.id = 1, .name = S("INBOX")};
	return OK;
}

enum err
view_open(struct acct *a, uint32_t mailbox, bool readonly, uint64_t watcher,
    struct view **v)
{
	*v = x_alloc(sizeof(**v));
	(*v)->st = a->st;
	for (uint32_t i = 0; i < a->st->n; i++)
		if (!a->st->v[i].gone)
			(*v)->uid[(*v)->n++] = i + 1;
	a->st->open++;
	return OK;
}

void
view_close(struct view **v)
{
	if (*v != NULL)
		(*v)->st->open--;
	x_free(v);
}

bool
view_gone(const struct view *v)
{
	return false;
}

void
view_park(struct view *v)
{
}

uint32_t
view_exists(const struct view *v)
{
	return v->n;
}

uint32_t
view_uid(const struct view *v, uint32_t seq)
{
	return seq > 0 && seq <= v->n ? v->uid[seq - 1] : 0;
}

size_t
view_entries(struct view *v, uint32_t seq, struct entry *e, size_t n)
{
	size_t i;

	for (i = 0; i < n && seq + i <= v->n; i++) {
		uint32_t uid = v->uid[seq + i - 1];
		struct message *m = &v->st->v[uid - 1];

		e[i] = (struct entry){.seq = (uint32_t)(seq + i),
		    .uid = uid,
		    .size = (uint32_t)m->text.n,
		    .expunged = m->gone};
	}
	return i;
}

void
view_uidl(struct view *v, const struct entry *e, struct buf *out)
{
	buf_f(out, "fake.%x", e->uid);
}

enum err
view_summary(
    struct view *v, const struct entry *e, struct arena *ar, struct summary *s)
{
	return v->st->fail != OK
		   ? v->st->fail
		   : mime_summary_get(
			 buf_str(&v->st->v[e->uid - 1].summary), s);
}

static enum err
text_read(struct source *s, uint64_t at, void *p, size_t n)
{
	struct text *t = (struct text *)s;

	if (at > t->bytes.n || n > t->bytes.n - at)
		return ERR_IO;
	if (n > 0)
		memcpy(p, t->bytes.p + at, n);
	return OK;
}

static void
text_free(struct source *s)
{
	struct text *t = (struct text *)s;

	x_free_str(&t->bytes);
	x_free(&t);
}

static const struct source_ops text_ops = {text_read, NULL, text_free};

enum err
view_source(struct view *v, const struct entry *e, struct source **src)
{
	struct text *t = x_alloc(sizeof(*t));

	t->src.ops = &text_ops;
	atomic_init(&t->src.refs, 1);
	t->bytes = x_dup(v->st->v[e->uid - 1].text);
	t->src.size = t->bytes.n;
	*src = &t->src;
	return OK;
}

/* Only messages of an even size, so that both ways are gone. */
enum err
view_text(struct view *v, const struct entry *e, struct buf *out,
    uint32_t *header_size)
{
	str text = v->st->v[e->uid - 1].text;
	struct summary s;
	enum err x;

	if (v->st->fail != OK)
		return v->st->fail;
	if (text.n > TEXT_MAX || text.n % 2 != 0)
		return ERR_LIMIT;
	x = mime_summary_get(buf_str(&v->st->v[e->uid - 1].summary), &s);
	if (x != OK)
		return x;
	buf_str_add(out, text);
	*header_size = s.header_size;
	return OK;
}

enum err
store_expunge(
    struct view *v, const struct ranges *uids, bool any, struct ranges *gone)
{
	if (v->st->fail != OK)
		return v->st->fail;
	v->st->changes++;
	for (uint32_t i = 0; i < v->st->n; i++)
		if (ranges_has(uids, i + 1))
			v->st->v[i].gone = true;
	return OK;
}
