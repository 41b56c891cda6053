/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Views: opening, looking at entries, sleeping and waking. What a session
 * has to be told: view_sync.c. The rules: view.h.
 */
#include "store/names.h"
#include "store/log.h"
#include "store/summary.h"

#include <stdlib.h>

bool
acct_may(const struct acct *a, unsigned kinds)
{
	return (kinds & 1u << a->g.kind) != 0;
}

/* ---- \Recent ---- */

struct recent_change {
	struct change c;
	struct mbox *m;
	uint32_t from;
};

static enum err
plan_recent(struct plan *p, struct change *c)
{
	struct recent_change *x = (struct recent_change *)c;
	struct record r = {.type = REC_RECENT,
	    .account = x->m->account,
	    .mailbox = x->m->id,
	    .recent_from = x->from};

	if (x->m->dead || x->from <= x->m->recent_from)
		return OK;
	plan_add(p, &r);
	return OK;
}

static void
free_recent(struct change *c)
{
	struct recent_change *x = (struct recent_change *)c;

	mbox_unref(&x->m);
	x_free(&x);
}

static void
note_recent(struct store *st, struct mbox *m, uint32_t from)
{
	struct recent_change *x = x_alloc(sizeof(*x));

	x->c.plan = plan_recent;
	x->c.done = free_recent;
	x->c.background = true;
	x->m = m;
	x->from = from;
	pthread_mutex_lock(&st->reg_mu);
	m->refs++;
	pthread_mutex_unlock(&st->reg_mu);
	commit_later(st, &x->c);
}

/* What came since anybody took it. mu held; true: it was taken. */
static bool
take_recent(struct view *v, uint32_t since)
{
	struct mbox *m = v->m;
	uint32_t from = MAX(since, MAX(m->recent_from, m->recent_taken));
	size_t ci, i;

	if (from >= m->uidnext)
		return false;
	if (mbox_seek(m, from, &ci, &i))
		for (; ci < m->nc; ci++, i = 0)
			for (; i < m->c[ci]->u->n; i++)
				ranges_add(&v->recent, m->c[ci]->u->uid[i],
				    m->c[ci]->u->uid[i]);
	if (v->readonly)
		return false;
	m->recent_taken = m->uidnext;
	return true;
}

bool
view_recent_more(struct view *v, uint32_t since)
{
	return take_recent(v, since);
}

void
view_recent_note(struct view *v, uint32_t upto)
{
	note_recent(v->st, v->m, upto);
}

/* ---- life ---- */

enum err
view_open(struct acct *a, uint32_t mailbox, bool readonly, uint64_t watcher,
    struct view **out)
{
	struct view *v;
	struct mbox *m;
	uint32_t taken = 0;
	enum err e;

	if (!acct_may(a, 1u << GRANT_LOGIN | 1u << GRANT_ADMIN))
		return ERR_DENIED;
	if (mailbox == 0)
		return ERR_CANNOT;
	if ((e = mbox_get(a->st, a->ac->id, mailbox, &m)) != OK)
		return e == ERR_NOTFOUND ? box_missing(a, mailbox) : e;
	if (m->dead || (e = mbox_pin(m, CONTENT_FULL)) != OK) {
		mbox_unref(&m);
		return e != OK ? e : ERR_NOTFOUND;
	}
	v = x_alloc(sizeof(*v));
	v->a = a;
	v->st = a->st;
	v->m = m;
	v->readonly = readonly;
	v->watcher = watcher;
	pthread_mutex_lock(&m->mu);
	e = mbox_keywords(m);
	v->ver = version_current(m);
	v->exists = v->ver->n;
	v->next_uid = m->uidnext;
	v->uidvalidity = m->uidvalidity;
	v->nkeywords = m->nkeywords;
	v->quiet = v->told_expunge = v->told_exists = v->told_flags =
	    atomic_load(&m->modseq);
	if (take_recent(v, 1))
		taken = m->uidnext;
	v->next = m->views;
	if (m->views != NULL)
		m->views->prev = v;
	m->views = v;
	pthread_mutex_unlock(&m->mu);
	if (taken > 0)
		note_recent(v->st, m, taken);
	*out = v;
	if (e != OK)
		view_close(out);
	return e;
}

void
view_close(struct view **vp)
{
	struct view *v = *vp;

	*vp = NULL;
	if (v == NULL)
		return;
	pthread_mutex_lock(&v->m->mu);
	if (v->prev != NULL)
		v->prev->next = v->next;
	else
		v->m->views = v->next;
	if (v->next != NULL)
		v->next->prev = v->prev;
	if (v->ver != NULL)
		v->m->pins--;
	pthread_mutex_unlock(&v->m->mu);
	version_unref(&v->ver);
	ranges_free(&v->recent);
	ranges_free(&v->owed);
	x_free(&v->silent);
	mbox_unref(&v->m);
	x_free(&v);
}

enum err
view_wake(struct view *v)
{
	struct mbox *m = v->m;
	enum err e;

	if (v->ver != NULL)
		return OK;
	if ((e = mbox_pin(m, CONTENT_FULL)) != OK)
		return e;
	pthread_mutex_lock(&m->mu);
	e = version_wake(m, v->told_expunge, v->next_uid, &v->ver);
	if (e == OK && v->ver->n != v->exists) {
		log_error("a view cannot be made again",
		    KV_N("account", m->account), KV_N("mailbox", m->id),
		    KV_N("exists", v->exists), KV_N("found", v->ver->n));
		version_unref(&v->ver);
		e = ERR_CORRUPT;
	}
	if (e != OK)
		m->pins--;
	pthread_mutex_unlock(&m->mu);
	return e;
}

void
view_park(struct view *v)
{
	struct mbox *m = v->m;
	bool sleeps;

	if (v->ver == NULL)
		return;
	pthread_mutex_lock(&m->mu);
	sleeps = m->last_expunge <= v->told_expunge; /* (2) */
	if (sleeps)
		m->pins--;
	pthread_mutex_unlock(&m->mu);
	if (sleeps)
		version_unref(&v->ver);
	atomic_store(&m->used_ms, os_mono_ms());
}

void
mbox_changed(struct apply *a, struct mbox *m)
{
	for (struct view *v = m->views; v != NULL && a->st->o.poke != NULL;
	     v = v->next)
		if (v != a->author && v->watcher != 0)
			a->st->o.poke(a->st->o.poke_arg, v->watcher);
}

/* ---- looking ---- */

bool
view_gone(const struct view *v)
{
	return v->m->dead || v->uidvalidity != v->m->uidvalidity;
}

uint32_t
view_mailbox(const struct view *v)
{
	return v->m->id;
}

bool
view_readonly(const struct view *v)
{
	return v->readonly;
}

uint32_t
view_exists(const struct view *v)
{
	return v->exists;
}

uint32_t
view_recent(const struct view *v)
{
	return (uint32_t)ranges_count(&v->recent);
}

uint32_t
view_uidvalidity(const struct view *v)
{
	return v->uidvalidity;
}

uint32_t
view_uidnext(const struct view *v)
{
	return v->next_uid;
}

uint64_t
view_highestmodseq(const struct view *v)
{
	return MIN(v->told_expunge, MIN(v->told_exists, v->told_flags));
}

static const struct version *
awake(const struct view *cv)
{
	struct view *v = (struct view *)(uintptr_t)cv;
	enum err e = view_wake(v);

	if (e != OK)
		log_error("a view cannot be read", KV_ERR(e));
	return v->ver;
}

uint32_t
view_seq(const struct view *v, uint32_t uid)
{
	const struct version *ver = awake(v);

	return ver == NULL ? 0 : version_seq(ver, uid);
}

uint32_t
view_uid(const struct view *v, uint32_t seq)
{
	const struct version *ver = awake(v);

	return ver == NULL ? 0 : version_uid(ver, seq);
}

static void
entry_facts(struct entry *e, const struct facts *f)
{
	e->message = f->message;
	e->thread = f->thread;
	e->size = f->size;
	e->internaldate = (struct stamp){f->internaldate, f->zone_min};
	e->savedate = f->savedate;
}

/* mu held. ci and i: where to look first, and where it was found. */
static bool
entry_fill(struct view *v, struct entry *e, size_t *ci, size_t *i)
{
	struct mbox *m = v->m;
	struct chunk *c;
	struct gone *g;

	e->recent = v->recent.n > 0 && ranges_has(&v->recent, e->uid);
	if (*ci < m->nc && *i + 1 < m->c[*ci]->u->n &&
	    m->c[*ci]->u->uid[*i + 1] == e->uid) {
		++*i;
	} else if (!mbox_find(m, e->uid, ci, i)) {
		*ci = m->nc;
		g = map_get_u64(m->gone, e->uid);
		e->expunged = true;
		if (g != NULL) {
			e->flags = g->flags;
			e->modseq = m->last_expunge;
			entry_facts(e, &g->f);
		}
		return true;
	}
	c = m->c[*ci];
	if (chunk_facts(m, c) != OK)
		return false;
	e->flags = c->flags[*i];
	e->modseq = c->modseq[*i];
	entry_facts(e, &c->facts[*i]);
	return true;
}

size_t
view_entries(struct view *v, uint32_t seq, struct entry *e, size_t n)
{
	const struct version *ver = awake(v);
	size_t ci = SIZE_MAX;
	size_t i = 0;
	size_t k = 0;

	if (ver == NULL || seq == 0)
		return 0;
	pthread_mutex_lock(&v->m->mu);
	ci = v->m->nc;
	for (; k < n && seq <= ver->n; k++, seq++) {
		e[k] = (struct entry){.seq = seq, .uid = version_uid(ver, seq)};
		if (!entry_fill(v, &e[k], &ci, &i))
			break;
	}
	pthread_mutex_unlock(&v->m->mu);
	return k;
}

uint32_t
view_unseen_first(struct view *v)
{
	const struct version *ver = awake(v);
	struct mbox *m = v->m;
	uint32_t seq = 0;

	if (ver == NULL)
		return 0;
	pthread_mutex_lock(&m->mu);
	for (size_t ci = 0; m->unseen > 0 && ci < m->nc && seq == 0; ci++) {
		const struct chunk *c = m->c[ci];

		for (uint32_t i = 0; i < c->u->n; i++) {
			if (c->flags[i] & FLAG_SEEN)
				continue;
			seq = version_seq(ver, c->u->uid[i]);
			if (seq > 0)
				break;
		}
	}
	pthread_mutex_unlock(&m->mu);
	return seq;
}

void
view_resolve(const struct view *v, const struct ranges *set, bool uids,
    struct ranges *out)
{
	const struct version *ver = awake(v);
	uint32_t c = 0; /* the chunk of at: ranges ascend, so it does too */

	ranges_reset(out);
	if (ver == NULL || ver->n == 0)
		return;
	for (size_t i = 0; i < set->n; i++) {
		uint32_t lo = set->v[i].lo;
		uint32_t hi = set->v[i].hi;
		uint32_t at;

		if (uids) {
			/* The first that is not below. */
			uint32_t a = 0;
			uint32_t b = ver->n;

			while (a < b) {
				uint32_t mid = a + (b - a) / 2;

				if (version_uid(ver, mid + 1) < lo)
					a = mid + 1;
				else
					b = mid;
			}
			at = a;
		} else {
			at = MAX(lo, 1u) - 1;
		}
		while (c + 1 < ver->nchunks && ver->start[c + 1] <= at)
			c++;
		for (; at < ver->n && (uids || at < hi); at++) {
			uint32_t uid;

			if (c + 1 < ver->nchunks && at >= ver->start[c + 1])
				c++;
			uid = ver->u[c]->uid[at - ver->start[c]];
			if (uids && uid > hi)
				break;
			ranges_add(out, uid, uid);
		}
	}
}

/* ---- words ---- */

enum err
view_keywords(struct view *v, struct arena *ar, str **names, size_t *n)
{
	struct mbox *m = v->m;
	enum err e;

	pthread_mutex_lock(&m->mu);
	e = mbox_keywords(m);
	*n = e == OK ? m->nkeywords : 0;
	*names = *n > 0 ? arena_array(ar, *n, sizeof(**names)) : NULL;
	for (size_t i = 0; i < *n && *names != NULL; i++)
		(*names)[i] = arena_dup(ar, m->keywords[i]);
	pthread_mutex_unlock(&m->mu);
	return e != OK ? e : arena_failed(ar) ? ERR_LIMIT : OK;
}

static void
word(struct buf *out, size_t from, str s)
{
	if (out->n > from)
		buf_c(out, ' ');
	buf_str_add(out, s);
}

void
view_flags(struct view *v, const struct entry *e, struct buf *out)
{
	static const struct {
		uint64_t bit;
		str name;
	} system[] = {{FLAG_ANSWERED, {"\\Answered", 9}},
	    {FLAG_FLAGGED, {"\\Flagged", 8}}, {FLAG_DELETED, {"\\Deleted", 8}},
	    {FLAG_SEEN, {"\\Seen", 5}}, {FLAG_DRAFT, {"\\Draft", 6}}};
	struct mbox *m = v->m;
	struct more *more;
	size_t from = out->n;

	for (size_t i = 0; i < NELEM(system); i++)
		if (e->flags & system[i].bit)
			word(out, from, system[i].name);
	if (e->recent)
		word(out, from, S("\\Recent"));
	if (e->flags >> 6 == 0 || awake(v) == NULL)
		return;
	pthread_mutex_lock(&m->mu);
	if (mbox_keywords(m) == OK) {
		for (size_t i = 0; i < KEYWORDS_IN_WORD; i++)
			if ((e->flags & KEYWORD_BIT(i)) && i < m->nkeywords)
				word(out, from, m->keywords[i]);
		more = (e->flags & FLAG_MORE) && m->more != NULL
			   ? map_get_u64(m->more, e->uid)
			   : NULL;
		for (size_t i = 0; more != NULL && i < more->n; i++)
			if (more->v[i] < m->nkeywords)
				word(out, from, m->keywords[more->v[i]]);
	}
	pthread_mutex_unlock(&m->mu);
}

bool
view_has_keyword(struct view *v, const struct entry *e, str keyword)
{
	struct mbox *m = v->m;
	struct buf f = {0};
	struct more *more;
	size_t i = 0;
	bool has = false;

	if (e->flags >> 6 == 0 || awake(v) == NULL)
		return false;
	keyword_fold(keyword, &f);
	pthread_mutex_lock(&m->mu);
	if (mbox_keywords(m) == OK)
		i = (size_t)(uintptr_t)map_get(m->kw, buf_str(&f));
	if (i > 0 && i <= KEYWORDS_IN_WORD) {
		has = (e->flags & KEYWORD_BIT(i - 1)) != 0;
	} else if (i > 0 && (e->flags & FLAG_MORE) && m->more != NULL) {
		more = map_get_u64(m->more, e->uid);
		for (size_t j = 0; more != NULL && j < more->n; j++)
			has = has || more->v[j] == i - 1;
	}
	pthread_mutex_unlock(&m->mu);
	buf_free(&f);
	return has;
}

void
view_emailid(const struct view *v, const struct entry *e, struct buf *out)
{
	buf_f(out, "e%llx", (unsigned long long)e->message);
}

void
view_threadid(const struct view *v, const struct entry *e, struct buf *out)
{
	if (e->thread != 0)
		buf_f(out, "t%llx", (unsigned long long)e->thread);
}

void
view_uidl(struct view *v, const struct entry *e, struct buf *out)
{
	struct mbox *m = v->m;
	const char *own = NULL;

	(void)awake(v);
	pthread_mutex_lock(&m->mu);
	if (m->uidl != NULL)
		own = map_get_u64(m->uidl, e->uid);
	if (own != NULL)
		buf_str_add(out, str_c(own));
	pthread_mutex_unlock(&m->mu);
	if (own == NULL)
		mbox_uidl(out, v->uidvalidity, e->uid);
}

/* ---- reading ---- */

enum err
view_row(struct view *v, const struct entry *e, struct message_row *m)
{
	enum err x = e->message == 0
			 ? ERR_NOTFOUND
			 : message_get(v->st, v->m->account, e->message, m);
	size_t ci, i;
	bool lives;

	if (x != ERR_NOTFOUND)
		return x;
	pthread_mutex_lock(&v->m->mu);
	lives =
	    e->message != 0 && !v->m->dead && mbox_find(v->m, e->uid, &ci, &i);
	pthread_mutex_unlock(&v->m->mu);
	if (!lives)
		return ERR_EXPUNGED;
	index_damaged(v->st, "the row of a message is missing");
	return ERR_CORRUPT;
}

enum err
view_row_summary(const struct message_row *m, struct summary *s)
{
	enum err e = mime_summary_get(m->summary, s);

	if (e == OK) {
		s->size += m->prefix;
		s->header_size += m->prefix;
		s->shift = m->prefix;
	}
	return e;
}

enum err
view_summary(
    struct view *v, const struct entry *e, struct arena *ar, struct summary *s)
{
	struct message_row m;
	str copy;
	enum err x = view_row(v, e, &m);

	if (x != OK)
		return x;
	if ((x = summary_load(m.summary, ar, &copy)) == OK) {
		m.summary = copy;
		x = view_row_summary(&m, s);
	}
	message_row_free(&m);
	return x;
}

/* A text's place, with its segment held. */
static enum err
place(struct store *st, const struct bytesref *b, struct segment **s,
    struct body_ref *r)
{
	*s = segment_get(st, b->seg);
	if (*s == NULL || b->off + b->len > (*s)->end) {
		log_error("a text is not where it should be",
		    KV_N("segment", b->seg), KV_N("offset", b->off));
		return ERR_CORRUPT;
	}
	*r = (struct body_ref){(*s)->fd, b->off, b->len};
	return OK;
}

enum err
view_header(struct view *v, const struct entry *e, struct arena *ar, str *h)
{
	struct segment *s = NULL;
	struct message_row m;
	struct body_ref r;
	enum err x;

	/* Compaction may move it between the two looks: then again. */
	for (int i = 0; i < 3; i++) {
		if ((x = view_row(v, e, &m)) != OK)
			return x;
		x = place(v->st, &m.header, &s, &r);
		message_row_free(&m);
		if (x == OK)
			x = body_load(&r, ar, h);
		segment_unref(&s);
		if (x != ERR_CORRUPT)
			break;
	}
	return x;
}

struct held {
	struct segment *header, *body;
};

static void
held_free(void *arg)
{
	struct held *h = arg;

	segment_unref(&h->header);
	segment_unref(&h->body);
	x_free(&h);
}

enum err
view_row_source(
    struct view *v, const struct message_row *m, struct source **src)
{
	struct held *h = x_alloc(sizeof(*h));
	struct body_ref header = {0};
	struct body_ref body = {0};
	struct body_row b;
	enum err e = place(v->st, &m->header, &h->header, &header);

	if (e == OK && m->body_size > 0) {
		e = body_get(v->st, v->m->account, m->sha, &b);
		if (e == OK)
			e = place(v->st, &b.data, &h->body, &body);
	}
	if (e != OK) {
		held_free(h);
		return e;
	}
	e = body_source(&header, &body, held_free, h, src);
	if (e == OK && (*src)->size != m->size) {
		log_error("a message has another size than was said",
		    KV_N("account", v->m->account));
		source_unref(src);
		e = ERR_CORRUPT;
	}
	return e;
}

enum err
view_source(struct view *v, const struct entry *e, struct source **src)
{
	struct message_row m;
	enum err x = OK;

	for (int i = 0; i < 3; i++) {
		if ((x = view_row(v, e, &m)) != OK)
			return x;
		x = view_row_source(v, &m, src);
		message_row_free(&m);
		if (x != ERR_CORRUPT && x != ERR_NOTFOUND)
			break;
	}
	if (x != ERR_NOTFOUND)
		return x;
	index_damaged(v->st, "the row of a body is missing");
	return ERR_CORRUPT;
}
