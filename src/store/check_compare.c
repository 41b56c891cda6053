/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The second half of check.c: the tables against each other, and the index
 * against the log.
 */
#include "store/check.h"

#include <stdlib.h>

#define ULL(x) ((unsigned long long)(x))
#define EACH(type, x, list)                                                  \
	for (type *x = (list).p, *x##_end = (list).n > 0 ? x + (list).n : x; \
	     x < x##_end; x++)

static int
order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int
by_ref(const void *a, const void *b)
{
	const struct check_ref *x = a;
	const struct check_ref *y = b;
	int o = order(x->account, y->account);

	return o != 0 ? o : order(x->message, y->message);
}

/* The same message once, with how often it stood there. */
static void
join_refs(struct check_list *l)
{
	struct check_ref *v = l->p;
	size_t n = 0;

	if (l->n == 0)
		return;
	qsort(v, l->n, sizeof(*v), by_ref);
	for (size_t i = 1; i < l->n; i++) {
		if (by_ref(&v[n], &v[i]) == 0)
			v[n].count += v[i].count;
		else
			v[++n] = v[i];
	}
	l->n = n + 1;
}

static void
compare_refs(struct check *c)
{
	const struct check_ref *a, *b;
	size_t i = 0;
	size_t j = 0;

	join_refs(&c->refs);
	join_refs(&c->counted);
	a = c->refs.p;
	b = c->counted.p;
	while (i < c->refs.n || j < c->counted.n) {
		int o = i == c->refs.n      ? 1
			: j == c->counted.n ? -1
					    : by_ref(&a[i], &b[j]);
		const struct check_ref *x = o <= 0 ? &a[i] : &b[j];

		if (o != 0 || a[i].count != b[j].count)
			check_fault(c,
			    "account %llu message %llx: %llu entries have it, "
			    "%llu are counted",
			    ULL(x->account), ULL(x->message),
			    o <= 0 ? ULL(a[i].count) : 0ull,
			    o >= 0 ? ULL(b[j].count) : 0ull);
		i += o <= 0;
		j += o >= 0;
	}
}

static int
by_body(const void *a, const void *b)
{
	const struct check_body *x = a;
	const struct check_body *y = b;
	int o = order(x->account, y->account);

	return o != 0 ? o : memcmp(x->sha, y->sha, SHA_LEN);
}

static void
compare_messages(struct check *c)
{
	const struct check_ref *r = c->refs.p;
	size_t i = 0;

	EACH(struct check_message, m, c->messages)
	{
		struct check_ref want = {m->account, m->message, 0};
		struct check_body body = {.account = m->account};
		struct check_body *b;

		if (m->found != m->parts)
			check_fault(c,
			    "account %llu message %llx: %u of %u rows are "
			    "there",
			    ULL(m->account), ULL(m->message), m->found,
			    m->parts);
		for (; i < c->refs.n && by_ref(&r[i], &want) < 0; i++)
			check_fault(c, "account %llu message %llx is not there",
			    ULL(r[i].account), ULL(r[i].message));
		if (i < c->refs.n && by_ref(&r[i], &want) == 0)
			i++;
		else
			check_fault(c,
			    "account %llu message %llx belongs to nothing",
			    ULL(m->account), ULL(m->message));
		if (m->row.body_size == 0)
			continue;
		memcpy(body.sha, m->row.sha, SHA_LEN);
		b = c->bodies.n == 0 ? NULL
				     : bsearch(&body, c->bodies.p, c->bodies.n,
					   sizeof(body), by_body);
		if (b == NULL || b->row.size != m->row.body_size)
			check_fault(c,
			    "account %llu message %llx: its body is not there",
			    ULL(m->account), ULL(m->message));
		else
			b->found++;
	}
	for (; i < c->refs.n; i++)
		check_fault(c, "account %llu message %llx is not there",
		    ULL(r[i].account), ULL(r[i].message));
	EACH(struct check_body, b, c->bodies)
	{
		if (b->found != b->row.count)
			check_fault(c,
			    "account %llu: a body counts %llu messages, "
			    "%llu have it",
			    ULL(b->account), ULL(b->row.count), ULL(b->found));
	}
}

static int
by_node(const void *a, const void *b)
{
	const struct check_node *x = a;
	const struct check_node *y = b;
	int o = order(x->account, y->account);

	return o != 0 ? o : order(x->id, y->id);
}

static int
by_mailbox(const void *a, const void *b)
{
	const struct check_mailbox *x = a;
	const struct check_mailbox *y = b;
	int o = order(x->account, y->account);

	return o != 0 ? o : order(x->id, y->id);
}

static struct check_node *
find_node(struct check *c, uint64_t account, uint32_t id)
{
	struct check_node want = {.account = account, .id = id};

	return c->nodes.n == 0 ? NULL
			       : bsearch(&want, c->nodes.p, c->nodes.n,
				     sizeof(want), by_node);
}

static struct check_mailbox *
find_mailbox(struct check *c, uint64_t account, uint32_t id)
{
	struct check_mailbox want = {.account = account, .id = id};

	return c->mailboxes.n == 0
		   ? NULL
		   : bsearch(&want, c->mailboxes.p, c->mailboxes.n,
			 sizeof(want), by_mailbox);
}

static int
by_account(const void *a, const void *b)
{
	return order(((const struct check_account *)a)->id,
	    ((const struct check_account *)b)->id);
}

struct check_account *
check_find_account(struct check *c, uint64_t id)
{
	struct check_account want = {.id = id};

	return c->accounts.n == 0 ? NULL
				  : bsearch(&want, c->accounts.p, c->accounts.n,
					sizeof(want), by_account);
}

static void
compare_node(struct check *c, struct check_node *n)
{
	struct check_account *a = check_find_account(c, n->account);
	struct check_node *up =
	    n->parent == 0 ? NULL : find_node(c, n->account, n->parent);
	struct check_mailbox *m =
	    n->mailbox == 0 ? NULL : find_mailbox(c, n->account, n->mailbox);

	if (a != NULL)
		a->found++;
	if (up != NULL)
		up->found++;
	if (m != NULL)
		m->in_tree = true;
	if (a == NULL || (n->parent != 0 && up == NULL))
		check_fault(c, "account %llu level %u hangs on nothing",
		    ULL(n->account), n->id);
	if (n->mailbox != 0 && (m == NULL || m->dead))
		check_fault(c, "account %llu level %u: no mailbox %u",
		    ULL(n->account), n->id, n->mailbox);
	else if (m != NULL &&
		 (m->node != n->id || m->uidvalidity != n->uidvalidity))
		check_fault(c,
		    "account %llu level %u and mailbox %u do not agree",
		    ULL(n->account), n->id, m->id);
}

static void
compare_tree(struct check *c)
{
	EACH(struct check_node, n, c->nodes)
	compare_node(c, n);
	EACH(struct check_name, x, c->names)
	{
		struct check_node *n = find_node(c, x->account, x->node);

		if (n == NULL || n->parent != x->parent ||
		    n->name_hash != x->hash || n->named)
			check_fault(c,
			    "account %llu: a name leads to level %u in vain",
			    ULL(x->account), x->node);
		else
			n->named = true;
	}
	EACH(struct check_node, n, c->nodes)
	{
		if (!n->named || n->children != n->found)
			check_fault(c,
			    "account %llu level %u: no name, or %u children "
			    "where %u are counted",
			    ULL(n->account), n->id, n->found, n->children);
	}
	EACH(struct check_account, a, c->accounts)
	{
		if (a->nodes != a->found)
			check_fault(c, "account %llu: %u levels, %u counted",
			    ULL(a->id), a->found, a->nodes);
		if (a->subscriptions != a->found_subscriptions)
			check_fault(c,
			    "account %llu: %u subscriptions, %u counted",
			    ULL(a->id), a->found_subscriptions,
			    a->subscriptions);
	}
}

static void
compare_mailboxes(struct check *c)
{
	EACH(struct check_keyword, k, c->keywords)
	{
		struct check_mailbox *m =
		    find_mailbox(c, k->account, k->mailbox);

		if (m != NULL)
			m->found_keywords++;
		else
			check_fault(c,
			    "account %llu: keywords of mailbox %u, "
			    "which is not there",
			    ULL(k->account), k->mailbox);
	}
	EACH(struct check_keyword, k, c->uidls)
	{
		struct check_mailbox *m =
		    find_mailbox(c, k->account, k->mailbox);

		if (m != NULL)
			m->found_uidls++;
		else
			check_fault(c,
			    "account %llu: UIDLs of mailbox %u, which is not "
			    "there",
			    ULL(k->account), k->mailbox);
	}
	EACH(struct check_mailbox, m, c->mailboxes)
	{
		if (m->uidls != UIDLS_UNKNOWN && m->uidls != m->found_uidls)
			check_fault(c,
			    "account %llu mailbox %u: %u UIDLs, %u counted",
			    ULL(m->account), m->id, m->found_uidls, m->uidls);
		if (m->found_messages != m->messages ||
		    m->found_unseen != m->unseen ||
		    m->found_deleted != m->deleted ||
		    m->found_size != m->size ||
		    m->found_deleted_size != m->deleted_size ||
		    m->found_keywords != m->keywords)
			check_fault(c,
			    "account %llu mailbox %u: counts are wrong (%u "
			    "messages, %u counted)",
			    ULL(m->account), m->id, m->found_messages,
			    m->messages);
		if (m->found_more > m->rows_more)
			check_fault(c,
			    "account %llu mailbox %u: keywords are missing",
			    ULL(m->account), m->id);
		if (m->dead == m->in_tree)
			check_fault(c, "account %llu mailbox %u has no name",
			    ULL(m->account), m->id);
	}
	if (c->next_run != c->runs.n)
		check_fault(c, "index: rows of facts without state");
}

static int
by_wait(const void *a, const void *b)
{
	const struct check_wait *x = a;
	const struct check_wait *y = b;
	int o = order(x->account, y->account);

	if (o == 0)
		o = order(x->mailbox, y->mailbox);
	return o != 0 ? o : order(x->modseq, y->modseq);
}

/* Does all that is expunged wait for its end? */
static void
compare_waits(struct check *c)
{
	if (c->waits.n > 1)
		qsort(
		    c->waits.p, c->waits.n, sizeof(struct check_wait), by_wait);
	EACH(struct check_wait, x, c->gone)
	{
		if (c->waits.n == 0 || bsearch(x, c->waits.p, c->waits.n,
					   sizeof(*x), by_wait) == NULL)
			check_fault(c,
			    "account %llu mailbox %u: what is expunged will "
			    "not be freed",
			    ULL(x->account), x->mailbox);
	}
}

static int
by_thread(const void *a, const void *b)
{
	const struct check_thread *x = a;
	const struct check_thread *y = b;
	int o = order(x->account, y->account);

	return o != 0 ? o : order(x->hash, y->hash);
}

/* Ids count the messages that name them. (Those whose summary is long were
 * not looked at: there may be more.) */
static void
compare_threads(struct check *c)
{
	struct check_thread *v = c->ids.p;
	size_t i = 0;

	if (c->ids.n > 1)
		qsort(v, c->ids.n, sizeof(*v), by_thread);
	while (i < c->ids.n) {
		const struct check_thread *x = &v[i];
		const struct check_thread *t =
		    c->threads.n == 0 ? NULL
				      : bsearch(x, c->threads.p, c->threads.n,
					    sizeof(*x), by_thread);
		uint64_t n = 0;

		for (; i < c->ids.n && by_thread(&v[i], x) == 0; i++)
			n++;
		if (t == NULL || t->count < n)
			check_fault(c,
			    "account %llu: an id of a message is not known to "
			    "threads",
			    ULL(x->account));
	}
}

static void
live_found(struct check *c, uint64_t segment, uint64_t bytes)
{
	struct check_live x = {.segment = segment, .found = bytes};

	EACH(struct check_live, l, c->live)
	{
		if (l->segment == segment) {
			l->found += bytes;
			return;
		}
	}
	check_push(&c->live, &x, sizeof(x));
}

/* What is needed of each segment, and how many messages there are. */
static void
compare_totals(struct check *c)
{
	EACH(struct check_message, m, c->messages)
	live_found(c, m->row.header.seg, m->row.log_bytes);
	EACH(struct check_body, b, c->bodies)
	live_found(c, b->row.record.seg, b->row.share);
	EACH(struct check_live, l, c->live)
	{
		if (l->counted != l->found)
			check_fault(c,
			    "segment %llu: %llu bytes are needed, %llu are "
			    "counted",
			    ULL(l->segment), ULL(l->found), ULL(l->counted));
	}
	if (c->totals ? c->total_messages != c->messages.n : c->accounts.n > 0)
		check_fault(c, "%llu messages, %llu counted",
		    ULL(c->messages.n), ULL(c->total_messages));
}

void
check_compare(struct check *c)
{
	compare_waits(c);
	compare_threads(c);
	compare_totals(c);
	compare_refs(c);
	compare_messages(c);
	compare_tree(c);
	compare_mailboxes(c);
}

/* ---- the log ---- */

static struct segment *
held(struct check *c, uint64_t number)
{
	for (size_t i = 0; i < c->nsegments; i++)
		if (c->segments[i]->number == number)
			return c->segments[i];
	return NULL;
}

/* A text where the index says: readable, whole, of that size and hash. */
static bool
text_ok(struct check *c, const struct bytesref *ref, uint64_t size,
    const uint8_t *sha)
{
	struct segment *s = held(c, ref->seg);
	struct body_ref r = {s == NULL ? -1 : s->fd, ref->off, ref->len};
	uint8_t got[SHA_LEN];
	struct arena *ar;
	str text;
	bool ok;

	if (s == NULL || ref->off + ref->len > s->size)
		return false;
	ar = arena_new(1ull << 32);
	ok = body_load(&r, ar, &text) == OK && text.n == size;
	if (ok && sha != NULL) {
		body_hash(text, got);
		ok = memcmp(got, sha, SHA_LEN) == 0;
	}
	arena_free(&ar);
	return ok;
}

static void
check_texts(struct check *c)
{
	EACH(struct check_message, m, c->messages)
	{
		if (!text_ok(c, &m->row.header, m->row.header_size, NULL))
			check_fault(c,
			    "account %llu message %llx: its header is damaged",
			    ULL(m->account), ULL(m->message));
	}
	EACH(struct check_body, b, c->bodies)
	{
		if (!text_ok(c, &b->row.data, b->row.size, b->sha))
			check_fault(c,
			    "account %llu: a body in segment %llu at %llu is "
			    "damaged",
			    ULL(b->account), ULL(b->row.data.seg),
			    ULL(b->row.data.off));
	}
}

static void
check_segment(
    struct check *c, struct segment *s, uint64_t end, struct arena *ar)
{
	struct log_reader *r = log_reader_new(c->st, s, false);
	uint64_t off = SEGMENT_HEAD;
	struct log_group g;
	enum log_next next;

	while ((next = log_next_group(r, &off, end, &g)) == LOG_GROUP) {
		size_t at = 0;
		struct logref ref;
		enum record_type type;
		unsigned version;
		str payload;

		while (log_group_record(
		    &g, &at, &ref, &type, &version, &payload)) {
			struct record x;

			if (record_decode(
				type, version, payload, NULL, ar, &x) != OK)
				check_fault(c,
				    "segment %llu: a record at %llu is "
				    "malformed",
				    ULL(s->number), ULL(ref.off));
		}
		arena_reset(ar);
	}
	if (next != LOG_END || off != end)
		check_fault(c, "segment %llu is damaged at %llu",
		    ULL(s->number), ULL(off));
	log_reader_free(&r);
}

void
check_log(struct check *c, const struct log_pos *end)
{
	struct arena *ar = arena_new(SIZE_MAX / 2);

	for (size_t i = 0; i < c->nsegments; i++) {
		struct segment *s = c->segments[i];

		if (s->number <= end->seg) /* behind it nothing is promised */
			check_segment(c, s,
			    s->number == end->seg ? end->off : s->end, ar);
	}
	arena_free(&ar);
	check_texts(c);
}

void
check_free(struct check *c)
{
	struct check_list *const all[] = {&c->accounts, &c->bodies, &c->nodes,
	    &c->names, &c->keywords, &c->facts, &c->runs, &c->mailboxes,
	    &c->refs, &c->counted, &c->messages, &c->waits, &c->gone, &c->live,
	    &c->ids, &c->threads, &c->uidls};

	for (size_t i = 0; i < NELEM(all); i++)
		x_free(&all[i]->p);
}
