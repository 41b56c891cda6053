/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Logins under way: from the first message to the answer, by way of the
 * throttle, the cache, the pool, and the delay of those that fail.
 */
#include "auth/serve.h"

/* ---- the heap of the delayed, by due time ---- */

static void
heap_set(struct server *s, size_t i, struct attempt *t)
{
	s->heap[i] = t;
	t->at = i + 1;
}

static void
heap_up(struct server *s, size_t i)
{
	struct attempt *t = s->heap[i];

	while (i > 0 && s->heap[(i - 1) / 2]->due_ms > t->due_ms) {
		heap_set(s, i, s->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(s, i, t);
}

static void
heap_down(struct server *s, size_t i)
{
	struct attempt *t = s->heap[i];
	size_t k;

	while ((k = 2 * i + 1) < s->nheap) {
		if (k + 1 < s->nheap &&
		    s->heap[k + 1]->due_ms < s->heap[k]->due_ms)
			k++;
		if (s->heap[k]->due_ms >= t->due_ms)
			break;
		heap_set(s, i, s->heap[k]);
		i = k;
	}
	heap_set(s, i, t);
}

static void
heap_put(struct server *s, struct attempt *t)
{
	if (s->nheap == s->heapcap) {
		s->heapcap = s->heapcap * 2 + 64;
		s->heap = x_grow(s->heap, s->heapcap, sizeof(*s->heap));
	}
	s->heap[s->nheap++] = t;
	heap_up(s, s->nheap - 1);
}

static void
heap_del(struct server *s, struct attempt *t)
{
	size_t i = t->at - 1;
	struct attempt *last;

	if (t->at == 0)
		return;
	t->at = 0;
	last = s->heap[--s->nheap];
	if (last == t)
		return;
	heap_set(s, i, last);
	heap_up(s, i);
	heap_down(s, last->at - 1);
}

/* ---- life and death ---- */

static void
attempt_free(struct server *s, struct attempt *t)
{
	heap_del(s, t);
	if (t->c != NULL)
		map_del_u64(t->c->attempts, t->conn);
	sasl_end(&t->x);
	x_free_str(&t->exporter);
	x_free_str(&t->cert);
	x_free(&t->address);
	x_free(&t->text);
	x_free(&t);
	s->nattempts--;
}

/* (2): its client has gone, or does not want it any more. */
static void
attempt_leave(struct server *s, struct attempt *t)
{
	if (!t->hashing) {
		attempt_free(s, t);
		return;
	}
	map_del_u64(t->c->attempts, t->conn);
	t->c = NULL;
}

static void
attempt_refuse(struct server *s, struct attempt *t, enum auth_fail why)
{
	if (t->c != NULL)
		t->c->ops->failed(s, t->c, t, why, t->delay_ms);
	attempt_free(s, t);
}

static str
attempt_key(const struct attempt *t)
{
	return t->x.prep.n > 0 ? buf_str(&t->x.prep)
			       : str_head(buf_str(&t->x.name), AUTH_NAME_MAX);
}

static str
address(const struct attempt *t)
{
	return str_of(t->address, t->naddress);
}

/* The name is told only when it is an account's: a password typed as the
 * name is in no log (R43). */
static void
note(const struct attempt *t, const char *what)
{
	str name = t->x.u.nname > 0 ? acct_name(&t->x.u) : S("unknown");

	log_info(what, KV_S("user", name),
	    KV_S("address", str_of(t->text, t->ntext)),
	    KV_C("mech", t->mech[0] != '\0' ? t->mech : "password"),
	    KV_C("protocol", t->protocol == PROTO_IMAP   ? "imap"
			     : t->protocol == PROTO_POP3 ? "pop3"
							 : "sasl"));
}

/* The answer waits; no thread does (R35). */
static void
attempt_wrong(struct server *s, struct attempt *t, bool throttled)
{
	uint32_t delay =
	    throttle_failed(s->throttle, address(t), attempt_key(t));

	note(
	    t, throttled ? "login refused: too many failures" : "login failed");
	if (t->c == NULL) {
		attempt_free(s, t);
		return;
	}
	t->why = throttled ? AUTH_THROTTLED : AUTH_WRONG;
	t->delay_ms = delay;
	t->due_ms = os_mono_ms() + delay;
	heap_put(s, t);
}

static void
attempt_right(
    struct server *s, struct attempt *t, const struct acct *u, str final)
{
	throttle_succeeded(s->throttle, address(t), attempt_key(t));
	if (t->c != NULL && !t->c->ops->done(s, t->c, t, u, final)) {
		attempt_refuse(s, t, AUTH_TEMP);
		return;
	}
	note(t, "login");
	attempt_free(s, t);
}

/* ---- passwords ---- */

struct login_job {
	struct job j;
	struct auth *a;
	struct attempt *t;
	bool known, ok;
	struct acct u;
	struct buf password;
};

static void
login_run(struct job *j)
{
	struct login_job *l = (struct login_job *)j;

	l->ok =
	    login_verify(l->a, l->known ? &l->u : NULL, buf_str(&l->password));
	if (l->ok)
		login_upgrade(l->a, &l->u, buf_str(&l->password));
}

static void
login_done(struct job *j, void *arg)
{
	struct login_job *l = (struct login_job *)j;
	struct server *s = arg;
	struct attempt *t = l->t;
	struct acct now = {0};
	enum err e;

	t->hashing = false;
	if (!l->ok) {
		attempt_wrong(s, t, false);
		goto out;
	}
	/* While it was hashed, the account may have been changed. */
	e = acct_find(s->a, acct_name(&l->u), &now);
	/* While it waited, others may have used up the number of guesses: many
	 * at once are no more than as many one after the other (R35). */
	if (!throttle_pass(s->throttle, address(t), attempt_key(t))) {
		attempt_wrong(s, t, true);
		goto out;
	}
	if (e != OK || now.id != l->u.id || now.gen != l->u.gen ||
	    now.disabled) {
		attempt_refuse(s, t, AUTH_TEMP);
	} else {
		cache_put(
		    s->cache, &now, str_c(t->mech), buf_str(&l->password));
		attempt_right(s, t, &now, STR_NONE);
	}
out:
	x_wipe(&now, sizeof(now));
	wipe_buf(&l->password);
	x_wipe(&l->u, sizeof(l->u));
	x_free(&l);
}

static void
attempt_hash(struct server *s, struct attempt *t, bool known)
{
	struct login_job *l = x_alloc(sizeof(*l));

	l->j.run = login_run;
	l->j.done = login_done;
	l->j.who = hash_keyed(attempt_key(t)) | 1;
	l->j.doubtful =
	    throttle_doubts(s->throttle, address(t), attempt_key(t));
	l->a = s->a;
	l->t = t;
	l->known = known;
	l->u = t->x.u;
	l->password = t->x.password;
	t->x.password = (struct buf){0};
	if (pool_put(s->pool, &l->j)) {
		t->hashing = true;
		return;
	}
	log_warn("too many logins wait for their hash");
	wipe_buf(&l->password);
	x_wipe(&l->u, sizeof(l->u));
	x_free(&l);
	attempt_refuse(s, t, AUTH_TEMP);
}

static void
attempt_password(struct server *s, struct attempt *t)
{
	struct sasl *x = &t->x;
	enum err e;

	buf_reset(&x->prep);
	e = login_find(s->a, buf_str(&x->name), &x->prep, &x->u);
	if (e != OK && e != ERR_NOTFOUND && e != ERR_INVALID)
		attempt_refuse(s, t, AUTH_TEMP);
	else if (!throttle_pass(s->throttle, address(t), attempt_key(t)))
		attempt_wrong(s, t, true);
	else if (e == OK && cache_has(s->cache, &x->u, str_c(t->mech),
				buf_str(&x->password)))
		attempt_right(s, t, &x->u, STR_NONE);
	else
		attempt_hash(s, t, e == OK);
}

/* ---- messages of clients ---- */

static void
attempt_input(struct server *s, struct attempt *t, str data)
{
	struct buf out = {0};
	enum sasl_result r = sasl_step(&t->x, data, &out);

	switch (r) {
	case SASL_CHALLENGE:
		t->c->ops->challenge(s, t->c, t->conn, buf_str(&out));
		break;
	case SASL_PASSWORD:
		attempt_password(s, t);
		break;
	case SASL_OK:
		if (throttle_pass(s->throttle, address(t), attempt_key(t)))
			attempt_right(s, t, &t->x.u, buf_str(&out));
		else
			attempt_wrong(s, t, true);
		break;
	case SASL_WRONG:
		attempt_wrong(s, t, false);
		break;
	case SASL_NOMECH:
		attempt_refuse(s, t, AUTH_MECH);
		break;
	case SASL_MALFORMED:
		attempt_refuse(s, t, AUTH_MALFORMED);
		break;
	case SASL_TEMP:
		attempt_refuse(s, t, AUTH_TEMP);
		break;
	}
	buf_free(&out);
}

static struct attempt *
attempt_new(struct server *s, struct client *c, uint64_t conn,
    const struct attempt_facts *f)
{
	struct attempt *t = x_alloc(sizeof(*t));
	size_t n = MIN(f->mech.n, sizeof(t->mech) - 1);

	t->c = c;
	t->conn = conn;
	t->protocol = f->protocol;
	for (size_t i = 0; i < n; i++)
		t->mech[i] = f->mech.p[i] >= 'a' && f->mech.p[i] <= 'z'
				 ? (char)(f->mech.p[i] - 32)
				 : f->mech.p[i];
	t->address = x_cstr(f->address);
	t->naddress = f->address.n;
	t->text = x_cstr(f->text);
	t->ntext = f->text.n;
	t->exporter = x_dup(f->exporter);
	t->cert = x_dup(f->cert);
	map_put_u64(c->attempts, conn, t);
	s->nattempts++;
	return t;
}

void
attempt_start(struct server *s, struct client *c, uint64_t conn,
    const struct attempt_facts *f, const str *initial)
{
	struct attempt *t;
	enum sasl_result r;

	attempt_abort(s, c, conn);
	t = attempt_new(s, c, conn, f);
	if (s->nattempts > ATTEMPTS_MAX) {
		log_warn("too many logins at once");
		attempt_refuse(s, t, AUTH_TEMP);
		return;
	}
	r = sasl_start(&t->x, s->a, f->mech, t->exporter, t->cert);
	if (r != SASL_CHALLENGE)
		attempt_refuse(s, t, r == SASL_NOMECH ? AUTH_MECH : AUTH_TEMP);
	else if (initial != NULL)
		attempt_input(s, t, *initial);
	else if (t->x.mech == MECH_USERPASS)
		attempt_refuse(s, t, AUTH_MALFORMED);
	else
		c->ops->challenge(s, c, conn,
		    t->x.mech == MECH_LOGIN ? S("Username:") : S(""));
}

void
attempt_step(struct server *s, struct client *c, uint64_t conn, str data)
{
	struct attempt *t = map_get_u64(c->attempts, conn);

	/* None: it ended while this was on its way. Not expected: nothing
	 * was asked. */
	if (t != NULL && !t->hashing && t->at == 0)
		attempt_input(s, t, data);
}

void
attempt_abort(struct server *s, struct client *c, uint64_t conn)
{
	struct attempt *t = map_get_u64(c->attempts, conn);

	if (t != NULL)
		attempt_leave(s, t);
}

void
client_init(struct client *c, const struct client_ops *ops)
{
	c->ops = ops;
	c->attempts = map_new();
}

void
client_end(struct server *s, struct client *c)
{
	size_t at = 0;
	void *v;

	if (c->attempts == NULL)
		return;
	while (map_next(c->attempts, &at, NULL, &v))
		attempt_leave(s, v);
	map_free(&c->attempts);
}

int
attempts_due(struct server *s)
{
	int64_t now = os_mono_ms();

	while (s->nheap > 0 && s->heap[0]->due_ms <= now)
		attempt_refuse(s, s->heap[0], s->heap[0]->why);
	if (s->nheap == 0)
		return -1;
	return (int)MIN(s->heap[0]->due_ms - now, 60000);
}
