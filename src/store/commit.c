/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The commit queue. Whoever hands in a change while nobody leads becomes the
 * committer; the others wait. He plans what waits, writes it as one group,
 * flushes once, applies, wakes; when his own change is done he hands over to
 * one who waits. Of those who do not wait the first is their steward: he stays
 * to lead as long as anything is in the queue, and leads before others.
 *
 * (1) Plans see what is committed, and numbers given in the same group. A
 *     plan that needs the effect of another of its group waits for the next.
 * (2) While the group is on its way to the disk no lock is held: readers see
 *     the state before it. It is applied whole, under apply_mu, before
 *     anybody is told.
 * (3) Who waits, waits for a word of his change, and needs no lock to go on:
 *     a crowd that was answered at once does not queue for it. From the
 *     moment it says DONE the change is his again.
 * (4) A full disk refuses what takes room. What frees some is tried again,
 *     once, when the ballast has been let go.
 */
#include "store/commit.h"
#include "store/log.h"

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

enum { GROUP_CHANGES = 512, GROUP_BYTES = 16 << 20 };

enum change_state {
	WAITING,
	SLEEPING, /* the same, and must be woken */
	LEADING,  /* runs groups until his own change is done */
	DONE
};

struct queue {
	struct change *first;
	struct change **last;
};

struct committer {
	pthread_mutex_t mu;
	struct queue front, back;
	bool leading;
	bool steward; /* there is one; he sleeps, or leads */
	_Atomic uint32_t steward_state;
	struct plan plan;
	struct apply apply;
	struct log_record *out;
	size_t out_cap;
};

static void
queue_add(struct queue *q, struct change *c)
{
	c->next = NULL;
	*q->last = c;
	q->last = &c->next;
}

static struct change *
queue_take(struct queue *q)
{
	struct change *c = q->first;

	if (c != NULL && (q->first = c->next) == NULL)
		q->last = &q->first;
	return c;
}

/* ---- planning ---- */

static uint64_t
hash_pieces(const str v[3])
{
	XXH3_state_t s;

	if (v[1].n == 0 && v[2].n == 0)
		return hash_xxh3(v[0], 0);
	XXH3_64bits_reset(&s);
	for (int i = 0; i < 3; i++)
		if (v[i].n > 0)
			XXH3_64bits_update(&s, v[i].p, v[i].n);
	return XXH3_64bits_digest(&s);
}

struct logref
plan_add(struct plan *p, const struct record *r)
{
	struct plan_record *x;
	str rest[2];
	size_t n;

	if (p->n == p->cap) {
		size_t cap = MAX((size_t)64, p->cap * 2);

		p->v = x_grow(p->v, cap, sizeof(*p->v));
		memset(p->v + p->cap, 0, (cap - p->cap) * sizeof(*p->v));
		p->cap = cap;
	}
	x = &p->v[p->n++];
	buf_reset(&x->head);
	x->head.max = SIZE_MAX;
	record_encode(r, &x->head, rest);
	x->log.type = (uint8_t)r->type;
	x->log.version = REC_VERSION;
	x->row = r->row;
	x->log.piece[0] = buf_str(&x->head);
	x->log.piece[1] = rest[0];
	x->log.piece[2] = rest[1];
	x->log.hash = hash_pieces(x->log.piece);
	x->at = p->at;
	x->of = p->of;
	n = log_record_size(x->head.n + rest[0].n + rest[1].n);
	p->at.off += n;
	p->bytes += n;
	return x->at;
}

void
plan_mbox(struct plan *p, struct mbox *m)
{
	if (m->planned)
		return;
	m->planned = true;
	m->plan_uidnext = m->uidnext;
	m->plan_modseq = atomic_load(&m->modseq);
	m->plan_new_keywords = 0;
	m->plan_alone = false;
	ranges_reset(&m->plan_uids);
	m->plan_next = p->mboxes;
	p->mboxes = m;
	pthread_mutex_lock(&p->st->reg_mu);
	m->refs++;
	pthread_mutex_unlock(&p->st->reg_mu);
}

void
plan_account(struct plan *p, struct account *ac)
{
	if (ac->planned)
		return;
	ac->planned = true;
	ac->plan_message = ac->next_message;
	ac->plan_names = false;
	ac->plan_next = p->accounts;
	p->accounts = ac;
	account_ref(ac);
}

static void
plan_reset(struct plan *p)
{
	while (p->mboxes != NULL) {
		struct mbox *m = p->mboxes;

		p->mboxes = m->plan_next;
		m->planned = false;
		if (m->plan_uids.cap > 1024)
			ranges_free(&m->plan_uids);
		mbox_unref(&m);
	}
	while (p->accounts != NULL) {
		struct account *ac = p->accounts;

		p->accounts = ac->plan_next;
		ac->planned = false;
		account_unref(&ac);
	}
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].head.cap > 65536)
			buf_free(&p->v[i].head);
	map_free(&p->threads);
	arena_reset(p->arena);
	p->n = 0;
	p->bytes = 0;
}

/* ---- a group ---- */

static void
tell(_Atomic uint32_t *state, enum change_state s)
{
	if (atomic_exchange(state, s) == SLEEPING)
		os_word_wake(state); /* (3): the change may be gone */
}

/* Sleeps until it is LEADING or DONE. */
static enum change_state
await(_Atomic uint32_t *state)
{
	uint32_t s;

	while ((s = atomic_load(state)) == WAITING || s == SLEEPING) {
		if (s == SLEEPING ||
		    atomic_compare_exchange_strong(state, &s, SLEEPING))
			os_word_wait(state, SLEEPING);
	}
	return (enum change_state)s;
}

static void
finish(struct change *c, enum err e)
{
	c->result = e;
	if (c->detached)
		c->done(c);
	else
		tell(&c->state, DONE);
}

static enum err
plan_one(struct store *st, struct plan *p, struct change *c)
{
	struct logref at = p->at;
	size_t n = p->n;
	size_t bytes = p->bytes;
	enum err e;

	if (atomic_load(&st->dead))
		return ERR_UNAVAILABLE;
	if (atomic_load(&st->full) && !c->frees)
		return ERR_FULL; /* (4) */
	p->of = c;
	e = c->plan(p, c);
	if (e != OK) {
		p->n = n;
		p->at = at;
		p->bytes = bytes;
	}
	return e;
}

/* Takes changes from the queues and plans them. Those with records go to
 * group, those that must wait to later, those that need no more to over. */
static void
plan_group(struct store *st, struct committer *cm, struct queue *group,
    struct queue *later, struct queue *over)
{
	struct plan *p = &cm->plan;
	enum err place = log_place(st, &p->at);

	for (int i = 0; i < GROUP_CHANGES && p->bytes < GROUP_BYTES; i++) {
		struct change *c;
		size_t n = p->n;
		enum err e;

		pthread_mutex_lock(&cm->mu);
		c = queue_take(&cm->front);
		if (c == NULL)
			c = queue_take(&cm->back);
		pthread_mutex_unlock(&cm->mu);
		if (c == NULL)
			return;
		e = place != OK ? place : plan_one(st, p, c);
		if (e == ERR_FULL && place == ERR_FULL && c->frees &&
		    !c->retried) {
			c->retried = true;
			store_full(st);
			e = ERR_BUSY;
		}
		if (e == ERR_BUSY)
			queue_add(later, c);
		else if (e == OK && p->n > n)
			queue_add(group, c);
		else if (c->detached) {
			c->result = e;
			queue_add(over, c);
		} else
			finish(c, e);
	}
}

static enum err
write_group(struct store *st, struct committer *cm)
{
	struct plan *p = &cm->plan;

	if (p->n > cm->out_cap) {
		cm->out_cap = p->n * 2;
		cm->out = x_grow(cm->out, cm->out_cap, sizeof(*cm->out));
	}
	for (size_t i = 0; i < p->n; i++) {
		/* The array of heads may have moved since. */
		p->v[i].log.piece[0] = buf_str(&p->v[i].head);
		cm->out[i] = p->v[i].log;
	}
	return log_commit(st, cm->out, p->n);
}

static void
apply_group(struct store *st, struct committer *cm)
{
	struct plan *p = &cm->plan;
	struct apply *a = &cm->apply;
	enum err e = OK;

	for (size_t i = 0; i < p->n && e == OK; i++) {
		struct plan_record *x = &p->v[i];
		struct record r;

		a->at = x->at;
		a->payload = x->head.n + x->log.piece[1].n + x->log.piece[2].n;
		a->author = x->of->author;
		e = record_decode((enum record_type)x->log.type, x->log.version,
		    buf_str(&x->head), &x->log.piece[1], p->arena, &r);
		r.row = x->row;
		if (e == OK)
			e = apply_record(a, &r);
	}
	apply_group_end(a);
	if (e == OK) {
		st->applied = st->log->pos;
		return;
	}
	/* Nobody has been answered. If the index is what is wrong, the group
	 * that was planned by it is wrong too, and would be so for ever. */
	log_cancel(st);
	index_suspect(st, "a change that is durable cannot be applied");
	store_die(st, "a change that is durable cannot be applied");
}

static void
answer_group(
    struct store *st, struct queue *group, struct queue *later, enum err e)
{
	struct change *c;

	if (e == ERR_FULL)
		store_full(st);
	while ((c = queue_take(group)) != NULL) {
		if (e == ERR_FULL && c->frees && !c->retried) {
			c->retried = true;
			queue_add(later, c);
			continue;
		}
		finish(c, e);
	}
}

/* Puts what must wait back before what has come since. */
static void
requeue(struct committer *cm, struct queue *later)
{
	pthread_mutex_lock(&cm->mu);
	if (later->first != NULL) {
		*later->last = cm->front.first;
		if (cm->front.first == NULL)
			cm->front.last = later->last;
		cm->front.first = later->first;
	}
	pthread_mutex_unlock(&cm->mu);
}

static void
run_group(struct store *st, struct committer *cm)
{
	struct queue group = {NULL, &group.first};
	struct queue later = {NULL, &later.first};
	struct queue over = {NULL, &over.first};
	struct change *c;
	size_t n;
	enum err e = OK;

	pthread_mutex_lock(&st->apply_mu);
	plan_group(st, cm, &group, &later, &over);
	pthread_mutex_unlock(&st->apply_mu);
	while ((c = queue_take(&over)) != NULL)
		c->done(c);
	n = cm->plan.n;
	if (n > 0)
		e = write_group(st, cm);
	pthread_mutex_lock(&st->apply_mu);
	if (n > 0 && e == OK) {
		apply_group(st, cm);
		if (atomic_load(&st->dead))
			e = ERR_UNAVAILABLE;
	}
	plan_reset(&cm->plan);
	pthread_mutex_unlock(&st->apply_mu);
	atomic_fetch_add(&st->stat_commits, 1);
	atomic_fetch_add(&st->stat_changes, n);
	answer_group(st, &group, &later, e);
	requeue(cm, &later);
	if (n > 0) {
		store_wake(st);
		store_hurry(st);
	}
}

/* ---- the queue ---- */

/* mu held. The next one leads, or nobody does. */
static void
hand_over(struct committer *cm)
{
	struct queue *q[2] = {&cm->front, &cm->back};

	cm->leading = false;
	if (cm->steward) {
		cm->leading = true;
		tell(&cm->steward_state, LEADING);
		return;
	}
	for (int i = 0; i < 2; i++) {
		for (struct change *c = q[i]->first; c != NULL; c = c->next) {
			if (c->detached)
				continue;
			cm->leading = true;
			tell(&c->state, LEADING);
			return;
		}
	}
}

/* mu held. True: who has put it into the queue leads. */
static bool
takes_lead(struct committer *cm)
{
	bool lead = !cm->leading;

	cm->leading = true;
	return lead;
}

enum err
commit(struct store *st, struct change *c)
{
	struct committer *cm = st->cm;
	bool led = false;

	c->retried = false;
	pthread_mutex_lock(&cm->mu);
	queue_add(c->background ? &cm->back : &cm->front, c);
	atomic_store(&c->state, takes_lead(cm) ? LEADING : WAITING);
	pthread_mutex_unlock(&cm->mu);
	while (await(&c->state) == LEADING) {
		led = true;
		run_group(st, cm);
	}
	if (led) {
		pthread_mutex_lock(&cm->mu);
		hand_over(cm);
		pthread_mutex_unlock(&cm->mu);
	}
	return c->result;
}

/* The steward's life: until nothing waits in front. */
static void
steward(struct store *st, struct committer *cm)
{
	bool more = true;

	while (more) {
		(void)await(&cm->steward_state);
		run_group(st, cm);
		pthread_mutex_lock(&cm->mu);
		more = cm->front.first != NULL;
		if (!more) {
			cm->steward = false;
			hand_over(cm);
		}
		pthread_mutex_unlock(&cm->mu);
	}
}

void
commit_start(struct store *st, struct change *c)
{
	struct committer *cm = st->cm;
	bool mine;

	c->retried = false;
	c->detached = true;
	pthread_mutex_lock(&cm->mu);
	queue_add(&cm->front, c);
	mine = !cm->steward;
	if (mine) {
		cm->steward = true;
		atomic_store(
		    &cm->steward_state, takes_lead(cm) ? LEADING : WAITING);
	}
	pthread_mutex_unlock(&cm->mu);
	if (mine)
		steward(st, cm);
}

void
commit_later(struct store *st, struct change *c)
{
	struct committer *cm = st->cm;

	c->detached = true;
	pthread_mutex_lock(&cm->mu);
	queue_add(&cm->back, c);
	pthread_mutex_unlock(&cm->mu);
	store_wake(st);
}

/* Writes what nobody waits for, when nobody else does. */
void
commit_idle(struct store *st)
{
	struct committer *cm = st->cm;

	pthread_mutex_lock(&cm->mu);
	while (!cm->leading && cm->back.first != NULL) {
		cm->leading = true;
		pthread_mutex_unlock(&cm->mu);
		run_group(st, cm);
		pthread_mutex_lock(&cm->mu);
		hand_over(cm);
	}
	pthread_mutex_unlock(&cm->mu);
}

void
commit_open(struct store *st)
{
	struct committer *cm = st->cm = x_alloc(sizeof(*cm));

	pthread_mutex_init(&cm->mu, NULL);
	cm->front.last = &cm->front.first;
	cm->back.last = &cm->back.first;
	cm->plan.st = st;
	cm->plan.arena = arena_new(SIZE_MAX / 2);
	cm->apply.st = st;
}

void
commit_close(struct store *st)
{
	struct committer *cm = st->cm;
	struct change *c;

	if (cm == NULL)
		return;
	while ((c = queue_take(&cm->back)) != NULL)
		if (c->detached)
			finish(c, ERR_UNAVAILABLE);
	for (size_t i = 0; i < cm->plan.cap; i++)
		buf_free(&cm->plan.v[i].head);
	x_free(&cm->plan.v);
	arena_free(&cm->plan.arena);
	apply_free(&cm->apply);
	x_free(&cm->out);
	pthread_mutex_destroy(&cm->mu);
	x_free(&st->cm);
}
