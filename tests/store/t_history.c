/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Random histories against a plain model in memory: every call, two sessions
 * with views, restarts, rebuilds from the log alone, content dropped,
 * compaction, expiry. (R102, R115, R119 in small.)
 *
 * A session is a client: it knows what it was told, and nothing else. When
 * it has been told everything, what it knows is what is there.
 */
#include "seeds.h"
#include "store/mailbox.h"
#include "store/t_store.h"

enum { BOXES = 5, SESSIONS = 2, KEYWORDS = 64, MSGS = 400 };

struct msg {
	uint32_t uid;
	unsigned flags;
	uint64_t kw;
	str body;
	uint64_t message;
};
struct box {
	bool there;
	str name;
	uint32_t id, uidvalidity, uidnext;
	struct msg m[MSGS];
	size_t n;
};
struct known {
	uint32_t uid;
	unsigned flags;
	uint64_t kw;
};
struct session {
	struct view *v;
	struct box *b;
	struct known k[MSGS * 4];
	size_t n;
};
struct world {
	struct fix *f;
	struct rnd *r;
	struct box b[BOXES];
	struct session s[SESSIONS];
	unsigned made;
	int64_t now;
};

static str kw_names[KEYWORDS];

#define CHECK(cond) seed_true(w->r, cond)

static void
names_make(struct arena *a)
{
	for (size_t i = 0; i < KEYWORDS; i++)
		kw_names[i] = arena_f(a, "$Key%zu", i);
}

/* ---- the store's words for the model's ---- */

static struct flag_set
flag_set(struct world *w, unsigned flags, uint64_t kw)
{
	struct flag_set s = {.system = flags};
	str *v = arena_array(w->f->ar, KEYWORDS, sizeof(*v));

	for (size_t i = 0; i < KEYWORDS; i++)
		if (kw >> i & 1)
			v[s.nkeywords++] = kw_names[i];
	s.keywords = v;
	return s;
}

static void
entry_words(struct world *w, struct view *v, const struct entry *e,
    unsigned *flags, uint64_t *kw)
{
	*flags = e->flags & FLAG_SYSTEM;
	*kw = 0;
	for (size_t i = 0; i < KEYWORDS; i++)
		if (view_has_keyword(v, e, kw_names[i]))
			*kw |= 1ull << i;
}

static uint64_t
some_keywords(struct world *w)
{
	uint64_t kw = 0;

	while (rnd(w->r, 3) == 0)
		kw |= 1ull << rnd(w->r, rnd(w->r, 3) ? 4 : KEYWORDS);
	return kw;
}

static str
new_body(struct world *w)
{
	char subject[32];

	/* Some bodies come again. */
	snprintf(subject, sizeof(subject), "m%u",
	    rnd(w->r, 4) == 0 ? (unsigned)rnd(w->r, w->made + 1) : w->made++);
	return fix_message(w->f, subject,
	    rnd(w->r, 30) == 0 ? 20000 : 100 + strlen(subject) * 200);
}

static struct box *
some_box(struct world *w)
{
	for (;;) {
		struct box *b = &w->b[rnd(w->r, BOXES)];

		if (b->there)
			return b;
	}
}

static struct msg *
find(struct box *b, uint32_t uid)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->m[i].uid == uid)
			return &b->m[i];
	return NULL;
}

static void
drop(struct box *b, uint32_t uid)
{
	struct msg *m = find(b, uid);
	size_t i = (size_t)(m - b->m);

	memmove(m, m + 1, (b->n - i - 1) * sizeof(*m));
	b->n--;
}

static void
add(struct box *b, uint32_t uid, struct msg m)
{
	m.uid = uid;
	b->m[b->n++] = m;
	b->uidnext = uid + 1;
}

/* ---- comparing ---- */

static void
same_mailbox(struct world *w, struct box *b)
{
	struct mailbox_status s;
	struct view *v;
	unsigned unseen = 0;
	uint64_t size = 0;

	CHECK(mailbox_status(w->f->a, b->id, &s) == OK);
	CHECK(view_open(w->f->a, b->id, true, 0, &v) == OK);
	if (view_exists(v) != b->n)
		print_message("box %u: %u, not %zu; next %u %u\n", b->id,
		    view_exists(v), b->n, view_uidnext(v), b->uidnext);
	CHECK(view_exists(v) == b->n);
	CHECK(view_uidnext(v) == b->uidnext);
	CHECK(view_uidvalidity(v) == b->uidvalidity);
	for (size_t i = 0; i < b->n; i++) {
		struct entry e;
		unsigned flags;
		uint64_t kw;

		CHECK(view_entries(v, (uint32_t)i + 1, &e, 1) == 1);
		entry_words(w, v, &e, &flags, &kw);
		if (getenv("TRACE"))
			print_message("box %u uid %u/%u flags %x/%x kw "
				      "%llx/%llx size %u/%zu\n",
			    b->id, e.uid, b->m[i].uid, flags, b->m[i].flags,
			    (unsigned long long)kw,
			    (unsigned long long)b->m[i].kw, e.size,
			    b->m[i].body.n);
		CHECK(e.uid == b->m[i].uid && flags == b->m[i].flags &&
		      kw == b->m[i].kw && e.size == b->m[i].body.n);
		CHECK(b->m[i].message == 0 || b->m[i].message == e.message);
		b->m[i].message = e.message;
		unseen += !(flags & FLAG_SEEN);
		size += e.size;
	}
	CHECK(s.messages == b->n && s.unseen == unseen && s.size == size &&
	      s.uidnext == b->uidnext && s.uidvalidity == b->uidvalidity);
	if (b->n > 0) {
		struct msg *m = &b->m[rnd(w->r, b->n)];

		CHECK(str_eq(fix_read(w->f, v, m->uid), m->body));
	}
	view_close(&v);
}

static void
same_all(struct world *w)
{
	struct mailbox_info *v;
	size_t n;
	size_t there = 0;

	CHECK(mailbox_list(w->f->a, w->f->ar, &v, &n) == OK);
	for (size_t i = 0; i < BOXES; i++) {
		bool found = false;

		for (size_t j = 0; j < n; j++)
			found = found || (str_eq(v[j].name, w->b[i].name) &&
					     v[j].id == w->b[i].id);
		there += w->b[i].there;
		CHECK(found == w->b[i].there);
		if (w->b[i].there)
			same_mailbox(w, &w->b[i]);
	}
	/* Drafts, Sent, Junk, Trash, Archive */
	CHECK(n == there + 5);
	CHECK(store_check(w->f->st, true, fix_fault, NULL) == 0);
}

/* ---- sessions ---- */

static void
learn(struct world *w, struct session *s, uint32_t seq)
{
	struct entry e;

	CHECK(view_entries(s->v, seq, &e, 1) == 1);
	CHECK(s->k[seq - 1].uid == e.uid);
	entry_words(w, s->v, &e, &s->k[seq - 1].flags, &s->k[seq - 1].kw);
}

static void
session_close(struct session *s)
{
	view_close(&s->v);
	s->b = NULL;
	s->n = 0;
}

static void
session_open(struct world *w, struct session *s)
{
	session_close(s);
	s->b = some_box(w);
	CHECK(view_open(w->f->a, s->b->id, false, 1, &s->v) == OK);
	s->n = view_exists(s->v);
	for (size_t i = 0; i < s->n; i++) {
		s->k[i].uid = view_uid(s->v, (uint32_t)i + 1);
		learn(w, s, (uint32_t)i + 1);
	}
}

static void
session_sync(struct world *w, struct session *s, unsigned what)
{
	struct changes c;
	uint32_t uid;
	bool dirty = view_dirty(s->v);

	if (view_gone(s->v)) {
		session_close(s);
		return;
	}
	CHECK(view_sync(s->v, what, w->f->ar, &c) == OK);
	CHECK(
	    dirty || (c.nexpunged == 0 && !c.exists_changed && c.flags.n == 0));
	for (size_t i = 0; i < c.nexpunged; i++) {
		size_t at = c.expunged[i] - 1;

		CHECK(at < s->n);
		CHECK(ranges_has(&c.vanished, s->k[at].uid));
		CHECK(find(s->b, s->k[at].uid) == NULL);
		memmove(&s->k[at], &s->k[at + 1],
		    (s->n - at - 1) * sizeof(s->k[0]));
		s->n--;
	}
	CHECK(c.nexpunged == 0 || (what & SYNC_EXPUNGE));
	CHECK(view_exists(s->v) >= s->n);
	CHECK(view_exists(s->v) == s->n || c.exists_changed);
	for (size_t i = s->n; i < view_exists(s->v); i++) {
		s->k[i].uid = view_uid(s->v, (uint32_t)i + 1);
		s->n++;
		learn(w, s, (uint32_t)i + 1);
	}
	for (uint32_t x = 0; ranges_next(&c.flags, x, &uid); x = uid + 1) {
		CHECK(view_seq(s->v, uid) != 0);
		learn(w, s, view_seq(s->v, uid));
	}
	for (size_t i = 0; i < s->n; i++)
		CHECK(view_uid(s->v, (uint32_t)i + 1) == s->k[i].uid);
	if (what == SYNC_ALL) {
		CHECK(!view_dirty(s->v));
		CHECK(s->n == s->b->n);
		for (size_t i = 0; i < s->n; i++) {
			struct msg *m = &s->b->m[i];

			CHECK(m->uid == s->k[i].uid);
			CHECK(m->flags == s->k[i].flags);
			CHECK(m->kw == s->k[i].kw);
		}
	}
	changes_free(&c);
}

/* Whatever was expunged meanwhile can be read as long as it is known. */
static void
session_read(struct world *w, struct session *s)
{
	struct entry e;
	uint32_t seq;

	if (s->n == 0)
		return;
	seq = (uint32_t)rnd(w->r, s->n) + 1;
	CHECK(view_entries(s->v, seq, &e, 1) == 1);
	CHECK(fix_read(w->f, s->v, e.uid).n == e.size && e.size > 0);
}

/* ---- changes ---- */

static void
do_append(struct world *w)
{
	struct box *b = some_box(w);
	size_t n = rnd(w->r, 6) == 0 ? rnd(w->r, 20) + 1 : 1;
	struct new_message in[20] = {0};
	struct msg m[20] = {0};
	uint32_t uids[20];
	uint32_t v;

	if (b->n + n > MSGS)
		return;
	for (size_t i = 0; i < n; i++) {
		m[i].body = new_body(w);
		m[i].flags = (unsigned)rnd(w->r, 32);
		m[i].kw = some_keywords(w);
		in[i].message = m[i].body;
		in[i].flags = flag_set(w, m[i].flags, m[i].kw);
		in[i].internaldate.sec = (int64_t)rnd(w->r, 1u << 31);
	}
	CHECK(store_append(w->f->a, b->id, in, n, &v, uids) == OK);
	CHECK(v == b->uidvalidity);
	for (size_t i = 0; i < n; i++) {
		CHECK(uids[i] == b->uidnext);
		add(b, uids[i], m[i]);
	}
}

static void
some_uids(struct world *w, struct session *s, struct ranges *out)
{
	size_t n = 1 + rnd(w->r, rnd(w->r, 3) ? 3 : 60);

	while (n-- > 0 && s->n > 0) {
		size_t at = rnd(w->r, s->n);
		size_t len = rnd(w->r, rnd(w->r, 4) ? 2 : 50);

		for (size_t i = at; i < s->n && i <= at + len; i++)
			ranges_add(out, s->k[i].uid, s->k[i].uid);
	}
}

static void
model_flags(struct msg *m, enum flag_op op, unsigned flags, uint64_t kw)
{
	if (op == FLAGS_SET) {
		m->flags = flags;
		m->kw = kw;
	} else if (op == FLAGS_ADD) {
		m->flags |= flags;
		m->kw |= kw;
	} else {
		m->flags &= ~flags;
		m->kw &= ~kw;
	}
}

static void
do_flags(struct world *w, struct session *s)
{
	unsigned flags = (unsigned)rnd(w->r, 32);
	uint64_t kw = some_keywords(w);
	struct flag_change c = {.op = (enum flag_op)rnd(w->r, 3),
	    .flags = flag_set(w, flags, kw),
	    .silent = rnd(w->r, 2),
	    .unchangedsince = UINT64_MAX};
	struct ranges uids = {0};
	struct ranges modified = {0};
	struct ranges gone = {0};
	uint64_t limit = UINT64_MAX;
	uint32_t uid;

	some_uids(w, s, &uids);
	if (rnd(w->r, 4) == 0)
		c.unchangedsince = limit =
		    view_highestmodseq(s->v) -
		    (view_highestmodseq(s->v) > 3 ? rnd(w->r, 3) : 0);
	CHECK(store_flags(s->v, &uids, &c, &modified, &gone) == OK);
	CHECK(limit != UINT64_MAX || modified.n == 0);
	for (uint32_t x = 0; ranges_next(&uids, x, &uid); x = uid + 1) {
		struct msg *m = find(s->b, uid);
		uint32_t seq = view_seq(s->v, uid);

		CHECK(ranges_has(&gone, uid) == (m == NULL));
		if (m == NULL || ranges_has(&modified, uid))
			continue;
		model_flags(m, c.op, flags, kw);
		/* The client believes what it asked for. */
		if (c.silent) {
			struct msg k = {.flags = s->k[seq - 1].flags,
			    .kw = s->k[seq - 1].kw};

			model_flags(&k, c.op, flags, kw);
			s->k[seq - 1].flags = k.flags;
			s->k[seq - 1].kw = k.kw;
		}
	}
	ranges_free(&uids);
	ranges_free(&modified);
	ranges_free(&gone);
}

static void
do_expunge(struct world *w, struct session *s)
{
	struct ranges uids = {0};
	struct ranges gone = {0};
	bool all = rnd(w->r, 2);
	bool any = !all && rnd(w->r, 2);
	uint32_t known = view_uidnext(s->v);

	some_uids(w, s, &uids);
	CHECK(store_expunge(s->v, all ? NULL : &uids, any, &gone) == OK);
	for (size_t i = s->b->n; i > 0; i--) {
		struct msg *m = &s->b->m[i - 1];
		bool goes = m->uid < known &&
			    (all || ranges_has(&uids, m->uid)) &&
			    (any || (m->flags & FLAG_DELETED));

		CHECK(goes == ranges_has(&gone, m->uid));
		if (goes)
			drop(s->b, m->uid);
	}
	ranges_free(&uids);
	ranges_free(&gone);
}

static void
do_copy(struct world *w, struct session *s)
{
	struct box *to = some_box(w);
	bool move = rnd(w->r, 2);
	struct ranges uids = {0};
	uint32_t v, *a, *b;
	size_t n;

	some_uids(w, s, &uids);
	if (to->n + ranges_count(&uids) > MSGS) {
		ranges_free(&uids);
		return;
	}
	/* A copy takes what has gone too; the model forgets that. */
	for (size_t i = 0; i < s->n; i++)
		if (find(s->b, s->k[i].uid) == NULL)
			ranges_del(&uids, s->k[i].uid, s->k[i].uid);
	CHECK(store_copy(s->v, &uids, to->id, move, w->f->ar, &v, &a, &b, &n) ==
	      OK);
	CHECK(n == ranges_count(&uids));
	CHECK(n == 0 || v == to->uidvalidity);
	for (size_t i = 0; i < n; i++) {
		struct msg *m = find(s->b, a[i]);

		CHECK(m != NULL && ranges_has(&uids, a[i]));
		CHECK(b[i] == to->uidnext);
		add(to, b[i], *m);
		if (move)
			drop(s->b, a[i]);
	}
	ranges_free(&uids);
}

static void
do_tree(struct world *w)
{
	struct box *b = &w->b[1 + rnd(w->r, BOXES - 1)];
	struct mailbox_info info;
	static unsigned count;

	if (!b->there) {
		b->n = 0;
		CHECK(mailbox_create(w->f->a, b->name, 0, &b->id) == OK);
		CHECK(mailbox_find(w->f->a, w->f->ar, b->name, &info) == OK);
		CHECK(info.uidvalidity > b->uidvalidity);
		CHECK(info.id == b->id);
		b->uidvalidity = info.uidvalidity;
		b->uidnext = 1;
		b->there = true;
		return;
	}
	if (rnd(w->r, 3) > 0) {
		str name = arena_f(w->f->ar, "new%u", count++);

		CHECK(mailbox_rename(w->f->a, b->name, name) == OK);
		b->name = name;
		return;
	}
	CHECK(mailbox_delete(w->f->a, b->name) == OK);
	b->there = false;
	for (size_t i = 0; i < SESSIONS; i++)
		if (w->s[i].b == b) {
			CHECK(view_gone(w->s[i].v));
			session_close(&w->s[i]);
		}
}

static void
restart(struct world *w)
{
	for (size_t i = 0; i < SESSIONS; i++)
		session_close(&w->s[i]);
	bool rebuild = rnd(w->r, 3) == 0;

	if (getenv("TRACE"))
		print_message("restart%s\n", rebuild ? ", rebuild" : "");
	CHECK(fix_reopen_as(w->f, rebuild) == OK);
	same_all(w);
}

static void
background(struct world *w)
{
	bool more = true;

	w->now += 10000;
	os_clock_fix(w->now, w->now);
	if (rnd(w->r, 2))
		resident_sweep(w->f->st, true);
	if (rnd(w->r, 2))
		CHECK(store_expire(w->f->st, &more) == OK);
	for (int i = 0; i < 40 && more && rnd(w->r, 3); i++)
		CHECK(store_compact(w->f->st, &more) == OK);
	if (rnd(w->r, 4) == 0)
		same_all(w);
}

static void
one_step(struct world *w)
{
	struct session *s = &w->s[rnd(w->r, SESSIONS)];

	if (s->v == NULL) {
		session_open(w, s);
		return;
	}
	switch (rnd(w->r, 14)) {
	case 0:
	case 1:
	case 2:
		do_append(w);
		break;
	case 3:
	case 4:
		do_flags(w, s);
		break;
	case 5:
		do_expunge(w, s);
		break;
	case 6:
		do_copy(w, s);
		break;
	case 7:
		if (rnd(w->r, 4) == 0)
			do_tree(w);
		break;
	case 8:
		session_sync(w, s, (unsigned)rnd(w->r, 8));
		break;
	case 9:
		session_sync(w, s, SYNC_ALL);
		break;
	case 10:
		view_park(s->v);
		if (rnd(w->r, 2))
			resident_sweep(w->f->st, true);
		break;
	case 11:
		session_read(w, s);
		break;
	case 12:
		background(w);
		break;
	default:
		if (rnd(w->r, 8) == 0)
			restart(w);
		else if (rnd(w->r, 6) == 0)
			session_open(w, s);
	}
}

static void
test_history(void **state)
{
	struct rnd r;
	static struct world w;

	for_seeds(&r, 25)
	{
		struct mailbox_info info;

		w = (struct world){.r = &r, .now = 1700000000000};
		os_clock_fix(w.now, w.now);
		limits.segment_bytes = 100000;
		limits.expunged_keep_s = 15;
		w.f = fix_new();
		names_make(w.f->ar);
		for (size_t i = 0; i < BOXES; i++)
			w.b[i].name =
			    i == 0 ? S("INBOX") : arena_f(w.f->ar, "box%zu", i);
		assert_int_equal(
		    mailbox_find(w.f->a, w.f->ar, S("INBOX"), &info), OK);
		w.b[0].id = info.id;
		w.b[0].there = true;
		w.b[0].uidnext = 1;
		w.b[0].uidvalidity = info.uidvalidity;
		for (int i = 0; i < 400; i++) {
			if (getenv("TRACE"))
				print_message("step %d\n", i);
			one_step(&w);
		}
		restart(&w);
		fix_free(w.f);
	}
	limits_default(&limits);
	os_clock_fix(-1, -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_history),
	};

	return cmocka_run_group_tests_name("store-history", tests, NULL, NULL);
}
