/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * See mem_store.h.
 */
#include "mem_store.h"

#include <stdlib.h>

enum { KEYWORDS = 57 };

struct fe { /* an entry */
	struct fe *next;
	uint32_t uid;
	uint64_t modseq, flags;
	struct stamp date;
	struct msg *m;
	bool gone, recent;
};
struct msg {
	struct msg *next;
	uint64_t id;
	struct buf bytes, summary;
	struct summary sum;
};
struct mb {
	struct mb *next;
	uint32_t id, uidvalidity, uidnext;
	struct buf name;
	unsigned attrs;
	bool deleted;
	struct fe **v;
	size_t n, cap;
	str kw[KEYWORDS];
	size_t nkw;
};
struct view {
	struct view *next;
	struct store *st;
	struct mb *mb;
	struct fe **v;
	uint64_t *told;
	size_t n, nkw;
	uint32_t uidnext;
	uint64_t watcher;
	bool readonly, moved;
};
struct acct {
	struct store *st;
};
struct store {
	struct mb *mbs;
	struct view *views;
	struct msg *msgs;
	struct fe *entries;
	uint64_t modseq, ids;
	uint32_t mb_id;
	void (*poke)(void *arg, uint64_t watcher);
	void *arg;
	unsigned fail_at;
	enum err fail;
};

static enum err
changing(struct store *st)
{
	if (st->fail_at > 0 && --st->fail_at == 0)
		return st->fail;
	return OK;
}

static struct mb *
mb_new(struct store *st, str name, unsigned attrs)
{
	struct mb *m = x_alloc(sizeof(*m));
	struct mb **end = &st->mbs;

	while (*end != NULL && (str_eq(buf_str(&(*end)->name), S("INBOX")) ||
				   str_cmp(buf_str(&(*end)->name), name) < 0))
		end = &(*end)->next;
	m->next = *end;
	*end = m;
	m->id = ++st->mb_id;
	m->uidvalidity = 1000 + m->id;
	m->uidnext = 1;
	m->attrs = attrs;
	buf_str_add(&m->name, name);
	return m;
}

struct store *
mem_store(void (*poke)(void *arg, uint64_t watcher), void *arg)
{
	struct store *st = x_alloc(sizeof(*st));

	st->poke = poke;
	st->arg = arg;
	mb_new(st, S("INBOX"), MB_SUBSCRIBED);
	mb_new(st, S("Archive"), MB_SUBSCRIBED | MB_ARCHIVE);
	mb_new(st, S("Drafts"), MB_SUBSCRIBED | MB_DRAFTS);
	mb_new(st, S("Junk"), MB_SUBSCRIBED | MB_JUNK);
	mb_new(st, S("Sent"), MB_SUBSCRIBED | MB_SENT);
	mb_new(st, S("Trash"), MB_SUBSCRIBED | MB_TRASH);
	return st;
}

void
mem_store_free(struct store **sp)
{
	struct store *st = *sp;

	while (st->mbs != NULL) {
		struct mb *m = st->mbs;

		st->mbs = m->next;
		for (size_t i = 0; i < m->nkw; i++)
			x_free_str(&m->kw[i]);
		buf_free(&m->name);
		x_free(&m->v);
		x_free(&m);
	}
	while (st->entries != NULL) {
		struct fe *e = st->entries;

		st->entries = e->next;
		x_free(&e);
	}
	while (st->msgs != NULL) {
		struct msg *m = st->msgs;

		st->msgs = m->next;
		buf_free(&m->bytes);
		buf_free(&m->summary);
		x_free(&m);
	}
	x_free(sp);
}

void
mem_store_fail(struct store *st, unsigned n, enum err e)
{
	st->fail_at = n;
	st->fail = e;
}

struct acct *
mem_acct(struct store *st)
{
	struct acct *a = x_alloc(sizeof(*a));

	a->st = st;
	return a;
}

void
acct_close(struct acct **a)
{
	x_free(a);
}

static void
poke_all(struct store *st, const struct mb *mb)
{
	for (struct view *v = st->views; v != NULL; v = v->next) {
		if (v->mb == mb && v->watcher != 0)
			st->poke(st->arg, v->watcher);
	}
}

/* ---- mailboxes ---- */

enum err
mailbox_name(struct arena *a, str name, str *out)
{
	if (name.n > 0 && name.p[name.n - 1] == '/')
		name.n--;
	if (name.n == 0 || name.p[0] == '/' || name.p[name.n - 1] == '/' ||
	    str_find(name, S("//")) < name.n)
		return ERR_INVALID;
	if (name.n > limits.mailbox_name_max)
		return ERR_LIMIT;
	for (size_t i = 0; i < name.n; i++) {
		if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f)
			return ERR_INVALID;
	}
	if (!utf8_valid(name))
		return ERR_INVALID;
	*out = arena_dup(a, name);
	if (out->p != NULL && str_casestarts(name, S("INBOX")) &&
	    (name.n == 5 || name.p[5] == '/'))
		memcpy((char *)(uintptr_t)out->p, "INBOX", 5);
	return out->p == NULL ? ERR_NOMEM : OK;
}

static struct mb *
mb_find(struct store *st, str name)
{
	for (struct mb *m = st->mbs; m != NULL; m = m->next) {
		if (!m->deleted && str_eq(buf_str(&m->name), name))
			return m;
	}
	return NULL;
}

static struct mb *
mb_by_id(struct store *st, uint32_t id)
{
	for (struct mb *m = st->mbs; m != NULL; m = m->next) {
		if (m->id == id && !m->deleted)
			return m;
	}
	return NULL;
}

static bool
below(str name, str up)
{
	return str_starts(name, up) && name.n > up.n && name.p[up.n] == '/';
}

static bool
has_children(struct store *st, str name)
{
	for (struct mb *m = st->mbs; m != NULL; m = m->next) {
		if (!m->deleted && !(m->attrs & MB_NONEXISTENT) &&
		    below(buf_str(&m->name), name))
			return true;
	}
	return false;
}

static void
info_of(struct store *st, struct arena *ar, const struct mb *m,
    struct mailbox_info *info)
{
	*info = (struct mailbox_info){.id = m->id,
	    .name = arena_dup(ar, buf_str(&m->name)),
	    .attrs = m->attrs,
	    .uidvalidity = m->uidvalidity};
	if (has_children(st, buf_str(&m->name)))
		info->attrs |= MB_HAS_CHILDREN;
}

enum err
mailbox_list(
    struct acct *a, struct arena *ar, struct mailbox_info **v, size_t *n)
{
	size_t all = 0;

	for (struct mb *m = a->st->mbs; m != NULL; m = m->next)
		all++;
	*n = 0;
	*v = arena_array(ar, all, sizeof(**v));
	if (*v == NULL)
		return ERR_NOMEM;
	for (struct mb *m = a->st->mbs; m != NULL; m = m->next) {
		if (!m->deleted)
			info_of(a->st, ar, m, &(*v)[(*n)++]);
	}
	return OK;
}

enum err
mailbox_find(
    struct acct *a, struct arena *ar, str name, struct mailbox_info *info)
{
	struct mb *m = mb_find(a->st, name);

	if (m == NULL || (m->attrs & MB_NONEXISTENT))
		return ERR_NOTFOUND;
	info_of(a->st, ar, m, info);
	return OK;
}

enum err
mailbox_create(struct acct *a, str name, unsigned use, uint32_t *id)
{
	struct mb *m = mb_find(a->st, name);
	enum err e = changing(a->st);
	size_t at;

	if (e != OK)
		return e;
	if (m != NULL && !(m->attrs & (MB_NONEXISTENT | MB_NOSELECT)))
		return ERR_EXISTS;
	at = str_rchr(name, '/');
	if (at < name.n && mb_find(a->st, str_head(name, at)) == NULL) {
		uint32_t ignored;

		e = mailbox_create(a, str_head(name, at), 0, &ignored);
		if (e != OK)
			return e;
	}
	if (m == NULL)
		m = mb_new(a->st, name, use);
	m->attrs = (m->attrs & MB_SUBSCRIBED) | use;
	*id = m->id;
	return OK;
}

static void
mb_gone(struct store *st, struct mb *m)
{
	m->deleted = true;
	poke_all(st, m);
}

enum err
mailbox_delete(struct acct *a, str name)
{
	struct mb *m = mb_find(a->st, name);
	enum err e = changing(a->st);
	bool kids, sub;

	if (e != OK)
		return e;
	if (m == NULL || (m->attrs & MB_NONEXISTENT))
		return ERR_NOTFOUND;
	kids = has_children(a->st, name);
	if (str_eq(name, S("INBOX")) || ((m->attrs & MB_NOSELECT) && kids))
		return ERR_CANNOT;
	sub = m->attrs & MB_SUBSCRIBED;
	mb_gone(a->st, m);
	if (kids || sub)
		mb_new(a->st, buf_str(&m->name),
		    (kids ? MB_NOSELECT : MB_NONEXISTENT) |
			(sub ? MB_SUBSCRIBED : 0));
	return OK;
}

enum err
mailbox_rename(struct acct *a, str from, str to)
{
	struct mb *m = mb_find(a->st, from);
	enum err e = changing(a->st);
	struct mb *target = mb_find(a->st, to);

	if (e != OK)
		return e;
	if (m == NULL || (m->attrs & MB_NONEXISTENT))
		return ERR_NOTFOUND;
	if (target != NULL)
		return ERR_EXISTS;
	if (below(to, from) || str_eq(from, S("INBOX")))
		return ERR_CANNOT;
	for (m = a->st->mbs; m != NULL; m = m->next) {
		struct buf b = {0};

		if (m->deleted || (!str_eq(buf_str(&m->name), from) &&
				      !below(buf_str(&m->name), from)))
			continue;
		buf_str_add(&b, to);
		buf_str_add(&b, str_from(buf_str(&m->name), from.n));
		buf_free(&m->name);
		m->name = b;
	}
	return OK;
}

enum err
mailbox_subscribe(struct acct *a, str name, bool yes)
{
	struct mb *m = mb_find(a->st, name);
	enum err e = changing(a->st);

	if (e != OK)
		return e;
	if (m == NULL && !yes)
		return OK;
	if (m == NULL)
		m = mb_new(a->st, name, MB_NONEXISTENT);
	if (yes)
		m->attrs |= MB_SUBSCRIBED;
	else
		m->attrs &= ~(unsigned)MB_SUBSCRIBED;
	if (m->attrs == MB_NONEXISTENT)
		m->deleted = true;
	return OK;
}

enum err
mailbox_status(struct acct *a, uint32_t id, struct mailbox_status *s)
{
	struct mb *m = mb_by_id(a->st, id);

	if (m == NULL)
		return ERR_NOTFOUND;
	*s = (struct mailbox_status){.messages = (uint32_t)m->n,
	    .uidnext = m->uidnext,
	    .uidvalidity = m->uidvalidity};
	for (size_t i = 0; i < m->n; i++) {
		s->unseen += !(m->v[i]->flags & FLAG_SEEN);
		s->recent += m->v[i]->recent;
		s->size += m->v[i]->m->sum.size;
		if (m->v[i]->flags & FLAG_DELETED) {
			s->deleted++;
			s->deleted_size += m->v[i]->m->sum.size;
		}
	}
	return OK;
}

void
mailbox_objectid(const struct acct *a, uint32_t id, struct buf *out)
{
	buf_f(out, "F%u", id);
}

/* ---- views ---- */

static void
view_add(struct view *v, struct fe *e)
{
	v->v = x_grow(v->v, v->n + 1, sizeof(*v->v));
	v->told = x_grow(v->told, v->n + 1, sizeof(*v->told));
	v->told[v->n] = e->modseq;
	v->v[v->n++] = e;
}

enum err
view_open(struct acct *a, uint32_t mailbox, bool readonly, uint64_t watcher,
    struct view **out)
{
	struct mb *m = mb_by_id(a->st, mailbox);
	struct view *v;

	if (m == NULL)
		return ERR_NOTFOUND;
	if (m->attrs & MB_NOSELECT)
		return ERR_CANNOT;
	v = x_alloc(sizeof(*v));
	v->st = a->st;
	v->mb = m;
	v->readonly = readonly;
	v->watcher = watcher;
	v->next = a->st->views;
	a->st->views = v;
	for (size_t i = 0; i < m->n; i++)
		view_add(v, m->v[i]);
	v->uidnext = m->uidnext;
	v->nkw = m->nkw;
	*out = v;
	return OK;
}

void
view_close(struct view **vp)
{
	struct view *v = *vp;

	for (struct view **x = &v->st->views; *x != NULL; x = &(*x)->next) {
		if (*x == v) {
			*x = v->next;
			break;
		}
	}
	x_free(&v->v);
	x_free(&v->told);
	x_free(vp);
}

bool
view_gone(const struct view *v)
{
	return v->mb->deleted;
}

uint32_t
view_mailbox(const struct view *v)
{
	return v->mb->id;
}

bool
view_readonly(const struct view *v)
{
	return v->readonly;
}

uint32_t
view_exists(const struct view *v)
{
	return (uint32_t)v->n;
}

uint32_t
view_recent(const struct view *v)
{
	return 0;
}

uint32_t
view_uidvalidity(const struct view *v)
{
	return v->mb->uidvalidity;
}

uint32_t
view_uidnext(const struct view *v)
{
	return v->uidnext;
}

uint32_t
view_unseen_first(struct view *v)
{
	for (size_t i = 0; i < v->n; i++) {
		if (!(v->v[i]->flags & FLAG_SEEN))
			return (uint32_t)i + 1;
	}
	return 0;
}

enum err
view_keywords(struct view *v, struct arena *ar, str **names, size_t *n)
{
	*names = arena_array(ar, v->mb->nkw, sizeof(str));
	if (*names == NULL)
		return ERR_NOMEM;
	*n = v->mb->nkw;
	for (size_t i = 0; i < *n; i++)
		(*names)[i] = v->mb->kw[i];
	return OK;
}

uint32_t
view_seq(const struct view *v, uint32_t uid)
{
	for (size_t i = 0; i < v->n; i++) {
		if (v->v[i]->uid == uid)
			return (uint32_t)i + 1;
	}
	return 0;
}

uint32_t
view_uid(const struct view *v, uint32_t seq)
{
	return seq >= 1 && seq <= v->n ? v->v[seq - 1]->uid : 0;
}

size_t
view_entries(struct view *v, uint32_t seq, struct entry *e, size_t n)
{
	size_t i;

	for (i = 0; i < n && seq >= 1 && seq - 1 + i < v->n; i++) {
		const struct fe *f = v->v[seq - 1 + i];

		e[i] = (struct entry){.seq = seq + (uint32_t)i,
		    .uid = f->uid,
		    .modseq = f->modseq,
		    .flags = f->flags,
		    .message = f->m->id,
		    .thread = f->m->id % 2,
		    .size = f->m->sum.size,
		    .expunged = f->gone,
		    .internaldate = f->date,
		    .savedate = 1000000};
	}
	return i;
}

void
view_resolve(const struct view *v, const struct ranges *set, bool uids,
    struct ranges *out)
{
	ranges_reset(out);
	for (size_t i = 0; i < v->n; i++) {
		uint32_t uid = v->v[i]->uid;

		if (ranges_has(set, uids ? uid : (uint32_t)i + 1))
			ranges_add(out, uid, uid);
	}
}

void
view_flags(struct view *v, const struct entry *e, struct buf *out)
{
	static const struct {
		const char *name;
		unsigned bit;
	} names[] = {{"\\Answered", FLAG_ANSWERED}, {"\\Flagged", FLAG_FLAGGED},
	    {"\\Deleted", FLAG_DELETED}, {"\\Seen", FLAG_SEEN},
	    {"\\Draft", FLAG_DRAFT}};
	size_t n = out->n;

	for (size_t i = 0; i < NELEM(names); i++) {
		if (e->flags & names[i].bit)
			buf_f(
			    out, "%s%s", out->n > n ? " " : "", names[i].name);
	}
	for (size_t i = 0; i < v->mb->nkw; i++) {
		if (e->flags >> (6 + i) & 1)
			buf_f(out, "%s%.*s", out->n > n ? " " : "",
			    STR_ARG(v->mb->kw[i]));
	}
}

void
view_emailid(const struct view *v, const struct entry *e, struct buf *out)
{
	buf_f(out, "M%llu", (unsigned long long)e->message);
}

void
view_threadid(const struct view *v, const struct entry *e, struct buf *out)
{
	buf_f(out, "T%llu", (unsigned long long)e->thread);
}

static bool
entry_dirty(const struct view *v, size_t i)
{
	return v->v[i]->gone || v->told[i] != v->v[i]->modseq;
}

bool
view_dirty(const struct view *v)
{
	if (v->mb->deleted || v->uidnext != v->mb->uidnext ||
	    v->nkw != v->mb->nkw)
		return true;
	for (size_t i = 0; i < v->n; i++) {
		if (entry_dirty(v, i))
			return true;
	}
	return false;
}

void
view_park(struct view *v)
{
}

static void
sync_expunged(struct view *v, struct arena *ar, struct changes *c)
{
	size_t kept = 0;

	c->expunged = arena_array(ar, v->n, sizeof(*c->expunged));
	if (c->expunged == NULL)
		abort();
	for (size_t i = 0; i < v->n; i++) {
		if (v->v[i]->gone) {
			c->expunged[c->nexpunged++] = (uint32_t)kept + 1;
			ranges_add(&c->vanished, v->v[i]->uid, v->v[i]->uid);
			continue;
		}
		v->v[kept] = v->v[i];
		v->told[kept++] = v->told[i];
	}
	v->n = kept;
}

enum err
view_sync(struct view *v, unsigned what, struct arena *ar, struct changes *c)
{
	*c = (struct changes){0};
	if (what & SYNC_EXPUNGE)
		sync_expunged(v, ar, c);
	for (size_t i = 0; (what & SYNC_FLAGS) && i < v->n; i++) {
		if (v->told[i] != v->v[i]->modseq && !v->v[i]->gone)
			ranges_add(&c->flags, v->v[i]->uid, v->v[i]->uid);
		v->told[i] = v->v[i]->modseq;
	}
	if ((what & SYNC_EXISTS) && v->uidnext != v->mb->uidnext) {
		for (size_t i = 0; i < v->mb->n; i++) {
			if (v->mb->v[i]->uid >= v->uidnext) {
				view_add(v, v->mb->v[i]);
				c->exists_changed = true;
			}
		}
		v->uidnext = v->mb->uidnext;
	}
	c->keywords_changed = v->nkw != v->mb->nkw;
	v->nkw = v->mb->nkw;
	return OK;
}

void
changes_free(struct changes *c)
{
	ranges_free(&c->vanished);
	ranges_free(&c->flags);
}

/* ---- reading ---- */

static const struct fe *
entry_of(const struct view *v, const struct entry *e)
{
	return v->v[e->seq - 1];
}

enum err
view_summary(
    struct view *v, const struct entry *e, struct arena *ar, struct summary *s)
{
	*s = entry_of(v, e)->m->sum;
	return OK;
}

size_t
view_glances(struct view *v, const struct entry *e, size_t n, bool fields,
    bool (*each)(void *ctx, const struct entry *e, const struct glance *g),
    void *ctx)
{
	size_t i = 0;
	bool more = true;

	while (i < n && more) {
		const struct summary *m = &entry_of(v, &e[i])->m->sum;
		struct glance g = {m->envelope, m->bodystructure, STR_NONE};

		/* Long ones go the other way, as in the store. */
		if (m->envelope.n + m->bodystructure.n + m->fields.n > 3000)
			break;
		if (fields)
			g.fields = m->fields;
		more = each(ctx, &e[i++], &g);
	}
	return i;
}

enum err
view_header(
    struct view *v, const struct entry *e, struct arena *ar, str *header)
{
	const struct msg *m = entry_of(v, e)->m;

	*header =
	    arena_dup(ar, str_head(buf_str(&m->bytes), m->sum.header_size));
	return header->p == NULL && header->n > 0 ? ERR_NOMEM : OK;
}

struct msg_source {
	struct source s;
	const struct msg *m;
};

static enum err
msg_read(struct source *s, uint64_t at, void *p, size_t n)
{
	const struct msg *m = ((struct msg_source *)s)->m;

	if (at > m->bytes.n || n > m->bytes.n - at)
		abort();
	if (n > 0)
		memcpy(p, m->bytes.p + at, n);
	return OK;
}

static void
msg_free_source(struct source *s)
{
	x_free(&s);
}

enum err
view_source(struct view *v, const struct entry *e, struct source **src)
{
	static const struct source_ops ops = {
	    .read = msg_read, .free = msg_free_source};
	struct msg_source *m = x_alloc(sizeof(*m));

	m->s.ops = &ops;
	atomic_init(&m->s.refs, 1);
	m->m = entry_of(v, e)->m;
	m->s.size = m->m->bytes.n;
	*src = &m->s;
	return OK;
}

/* Only messages of an even size, so that both ways are gone. */
enum err
view_text(struct view *v, const struct entry *e, struct buf *out,
    uint32_t *header_size)
{
	const struct msg *m = entry_of(v, e)->m;

	if (m->bytes.n > TEXT_MAX || m->bytes.n % 2 != 0)
		return ERR_LIMIT;
	buf_str_add(out, buf_str(&m->bytes));
	*header_size = m->sum.header_size;
	return OK;
}

/* ---- changing ---- */

struct spool {
	struct buf b;
};

enum err
spool_new(struct store *st, struct spool **sp)
{
	*sp = x_alloc(sizeof(**sp));
	return OK;
}

enum err
spool_add(struct spool *sp, const void *p, size_t n)
{
	buf_add(&sp->b, p, n);
	return sp->b.n > limits.message_size_max ? ERR_TOOBIG : OK;
}

enum err
spool_bytes(struct spool *sp, str *whole)
{
	*whole = buf_str(&sp->b);
	return OK;
}

void
spool_free(struct spool **sp)
{
	if (*sp == NULL)
		return;
	buf_free(&(*sp)->b);
	x_free(sp);
}

static enum err
flag_word(struct mb *mb, const struct flag_set *f, bool add, uint64_t *word)
{
	*word = f->system;
	for (size_t i = 0; i < f->nkeywords; i++) {
		size_t k = 0;

		while (k < mb->nkw && !str_caseeq(mb->kw[k], f->keywords[i]))
			k++;
		if (k == mb->nkw && !add)
			continue;
		if (k == KEYWORDS ||
		    f->keywords[i].n > limits.keyword_bytes_max)
			return ERR_LIMIT;
		if (k == mb->nkw)
			mb->kw[mb->nkw++] = x_dup(f->keywords[i]);
		*word |= UINT64_C(1) << (6 + k);
	}
	return OK;
}

static struct fe *
mb_add(struct store *st, struct mb *mb, struct msg *m)
{
	struct fe *e = x_alloc(sizeof(*e));

	if (mb->n == mb->cap) {
		mb->cap = 2 * mb->cap + 4;
		mb->v = x_grow(mb->v, mb->cap, sizeof(*mb->v));
	}
	mb->v[mb->n++] = e;
	e->next = st->entries;
	st->entries = e;
	e->uid = mb->uidnext++;
	e->modseq = ++st->modseq;
	e->m = m;
	return e;
}

static void
mb_del(struct store *st, struct mb *mb, struct fe *e)
{
	for (size_t i = 0; i < mb->n; i++) {
		if (mb->v[i] != e)
			continue;
		memmove(
		    mb->v + i, mb->v + i + 1, (mb->n - i - 1) * sizeof(*mb->v));
		mb->n--;
		break;
	}
	e->gone = true;
	e->modseq = ++st->modseq;
}

enum err
store_append(struct acct *a, uint32_t mailbox, const struct new_message *m,
    size_t n, uint32_t *uidvalidity, uint32_t *uids)
{
	struct mb *mb = mb_by_id(a->st, mailbox);
	enum err e = changing(a->st);

	if (e != OK)
		return e;
	if (mb == NULL)
		return ERR_NOTFOUND;
	for (size_t i = 0; i < n; i++) {
		struct msg *x;
		struct fe *f;
		uint64_t word;

		if ((e = flag_word(mb, &m[i].flags, true, &word)) != OK)
			return e;
		x = x_alloc(sizeof(*x));
		x->next = a->st->msgs;
		a->st->msgs = x;
		x->id = ++a->st->ids;
		buf_str_add(&x->bytes, m[i].message);
		if (mime_summarise(buf_str(&x->bytes), &x->summary) != OK ||
		    mime_summary_get(buf_str(&x->summary), &x->sum) != OK)
			abort();
		f = mb_add(a->st, mb, x);
		f->flags = word;
		f->date = m[i].internaldate;
		uids[i] = f->uid;
	}
	*uidvalidity = mb->uidvalidity;
	poke_all(a->st, mb);
	return OK;
}

enum err
store_flags(struct view *v, const struct ranges *uids,
    const struct flag_change *c, struct ranges *modified, struct ranges *gone)
{
	enum err e = changing(v->st);
	uint64_t word;

	if (e != OK)
		return e;
	if (v->readonly)
		return ERR_READONLY;
	if ((e = flag_word(v->mb, &c->flags, c->op != FLAGS_DEL, &word)) != OK)
		return e;
	for (size_t i = 0; i < v->n; i++) {
		struct fe *f = v->v[i];
		uint64_t was = f->flags;

		if (!ranges_has(uids, f->uid))
			continue;
		if (f->gone) {
			ranges_add(gone, f->uid, f->uid);
			continue;
		}
		if (c->op == FLAGS_ADD)
			f->flags |= word;
		else if (c->op == FLAGS_DEL)
			f->flags &= ~word;
		else
			f->flags = word;
		if (f->flags != was)
			f->modseq = ++v->st->modseq;
		if (c->silent)
			v->told[i] = f->modseq;
	}
	poke_all(v->st, v->mb);
	return OK;
}

enum err
store_expunge(
    struct view *v, const struct ranges *uids, bool any, struct ranges *gone)
{
	enum err e = changing(v->st);

	if (e != OK)
		return e;
	for (size_t i = 0; i < v->n; i++) {
		struct fe *f = v->v[i];

		if (f->gone || (uids != NULL && !ranges_has(uids, f->uid)) ||
		    (!any && !(f->flags & FLAG_DELETED)))
			continue;
		mb_del(v->st, v->mb, f);
		if (gone != NULL)
			ranges_add(gone, f->uid, f->uid);
	}
	poke_all(v->st, v->mb);
	return OK;
}

static uint64_t
word_in(struct mb *to, const struct mb *from, uint64_t word)
{
	uint64_t out = word & FLAG_SYSTEM;

	for (size_t i = 0; i < from->nkw; i++) {
		uint64_t bit;
		struct flag_set f = {0, &from->kw[i], 1};

		if ((word >> (6 + i) & 1) &&
		    flag_word(to, &f, true, &bit) == OK)
			out |= bit;
	}
	return out;
}

enum err
store_copy(struct view *v, const struct ranges *uids, uint32_t mailbox,
    bool move, struct arena *ar, uint32_t *uidvalidity, uint32_t **from,
    uint32_t **to, size_t *n)
{
	struct mb *mb = mb_by_id(v->st, mailbox);
	enum err e = changing(v->st);

	if (e != OK)
		return e;
	if (mb == NULL)
		return ERR_NOTFOUND;
	*from = arena_array(ar, v->n, sizeof(**from));
	*to = arena_array(ar, v->n, sizeof(**to));
	if (*from == NULL || *to == NULL)
		return ERR_NOMEM;
	*n = 0;
	for (size_t i = 0; i < v->n; i++) {
		struct fe *f = v->v[i];
		struct fe *g;

		if (f->gone || !ranges_has(uids, f->uid))
			continue;
		g = mb_add(v->st, mb, f->m);
		g->flags = word_in(mb, v->mb, f->flags);
		g->date = f->date;
		(*from)[*n] = f->uid;
		(*to)[(*n)++] = g->uid;
		if (move)
			mb_del(v->st, v->mb, f);
	}
	*uidvalidity = mb->uidvalidity;
	poke_all(v->st, mb);
	poke_all(v->st, v->mb);
	return OK;
}

/* ---- search: flags, numbers, and texts in the raw bytes ---- */

struct search {
	struct view *v;
	struct search_key *root;
	struct ranges found;
	uint32_t at;
};

static bool
key_holds(struct view *v, const struct search_key *k, uint32_t seq)
{
	const struct fe *f = v->v[seq - 1];
	struct entry e;

	switch (k->op) {
	case SEARCH_ALL:
		return true;
	case SEARCH_AND:
		for (k = k->kids; k != NULL; k = k->next) {
			if (!key_holds(v, k, seq))
				return false;
		}
		return true;
	case SEARCH_OR:
		return key_holds(v, k->kids, seq) ||
		       key_holds(v, k->kids->next, seq);
	case SEARCH_NOT:
		return !key_holds(v, k->kids, seq);
	case SEARCH_FLAGS:
		return (f->flags & k->number) == k->number;
	case SEARCH_SEQS:
		return ranges_has(&k->set, seq);
	case SEARCH_UIDS:
		return ranges_has(&k->set, f->uid);
	case SEARCH_LARGER:
		return f->m->sum.size > k->number;
	case SEARCH_SMALLER:
		return f->m->sum.size < k->number;
	case SEARCH_KEYWORD:
		view_entries(v, seq, &e, 1);
		return view_has_keyword(v, &e, k->text);
	case SEARCH_TEXT:
	case SEARCH_BODY:
	case SEARCH_SUBJECT:
	case SEARCH_FROM:
	case SEARCH_HEADER:
		return str_casefind(buf_str(&f->m->bytes), k->text) <
		       f->m->bytes.n;
	default:
		return false;
	}
}

bool
view_has_keyword(struct view *v, const struct entry *e, str keyword)
{
	for (size_t i = 0; i < v->mb->nkw; i++) {
		if (str_caseeq(v->mb->kw[i], keyword))
			return e->flags >> (6 + i) & 1;
	}
	return false;
}

enum err
search_new(struct view *v, struct arena *ar, struct search_key *root,
    struct search **s)
{
	*s = x_alloc(sizeof(**s));
	(*s)->v = v;
	(*s)->root = root;
	return OK;
}

enum err
search_step(struct search *s, int ms, bool *done)
{
	enum err e = changing(s->v->st);

	if (e != OK)
		return e;
	for (int i = 0; i < 2 && s->at < s->v->n; i++) {
		s->at++;
		if (key_holds(s->v, s->root, s->at))
			ranges_add(&s->found, s->at, s->at);
	}
	*done = s->at == s->v->n;
	return OK;
}

const struct ranges *
search_found(const struct search *s)
{
	return &s->found;
}

void
search_free(struct search **s)
{
	ranges_free(&(*s)->found);
	x_free(s);
}
