/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Sessions that front passes on, messages that intake brings, and accounts
 * that auth disables or removes. Each is a job of the pool.
 *
 * (1) An account's sessions are counted from before they begin until their
 *     connection has ended, which net tells by its label.
 * (2) Some descriptors are kept free: with a full table the kernel would
 *     drop a passed one without a word.
 */
#include <pthread.h>
#include <stdlib.h>

#include "daemon/mail_int.h"

#define FDS_KEPT 128

struct account {
	uint64_t id;
	str name;
	uint32_t sessions;
};
struct accounts {
	pthread_mutex_t lock;
	struct map *by_id; /* lock; only those that have sessions */
};

/* ---- counting ---- */

struct accounts *
accounts_new(void)
{
	struct accounts *a = x_alloc(sizeof(*a));

	pthread_mutex_init(&a->lock, NULL);
	a->by_id = map_new();
	return a;
}

static void
account_free(struct account *a)
{
	x_free_str(&a->name);
	x_free(&a);
}

void
accounts_free(struct accounts **ap)
{
	struct accounts *a = *ap;
	size_t at = 0;
	void *v;
	str key;

	*ap = NULL;
	if (a == NULL)
		return;
	while (map_next(a->by_id, &at, &key, &v))
		account_free(v);
	map_free(&a->by_id);
	pthread_mutex_destroy(&a->lock);
	x_free(&a);
}

/* False: the account has as many as it may. */
static bool
session_begins(struct accounts *a, uint64_t id, str name)
{
	struct account *c;
	bool ok;

	pthread_mutex_lock(&a->lock);
	c = map_get_u64(a->by_id, id);
	if (c == NULL) {
		c = x_alloc(sizeof(*c));
		c->id = id;
		c->name = x_dup(name);
		map_put_u64(a->by_id, id, c);
	}
	ok = c->sessions < limits.connections_per_account;
	if (ok)
		c->sessions++;
	pthread_mutex_unlock(&a->lock);
	return ok;
}

void
session_ended(void *arg, uint64_t id)
{
	struct accounts *a = ((struct mail *)arg)->accounts;
	struct account *c;

	pthread_mutex_lock(&a->lock);
	c = map_get_u64(a->by_id, id);
	if (c != NULL && --c->sessions == 0) {
		map_del_u64(a->by_id, id);
		account_free(c);
	}
	pthread_mutex_unlock(&a->lock);
}

uint64_t
sessions_account(struct mail *m, str name)
{
	struct accounts *a = m->accounts;
	uint64_t id = 0;
	size_t at = 0;
	void *v;
	str key;

	pthread_mutex_lock(&a->lock);
	while (id == 0 && map_next(a->by_id, &at, &key, &v))
		if (str_eq(((struct account *)v)->name, name))
			id = ((struct account *)v)->id;
	pthread_mutex_unlock(&a->lock);
	return id;
}

struct kick {
	struct mail *m;
	uint64_t account;
	unsigned count;
};

static void
kick_one(void *ctx, const struct net_seen *c)
{
	struct kick *k = ctx;

	if (c->label == k->account && net_kick(k->m->net, c->id))
		k->count++;
}

unsigned
sessions_kick(struct mail *m, uint64_t account)
{
	struct kick k = {m, account, 0};

	net_each(m->net, kick_one, &k);
	return k.count;
}

/* ---- sessions ---- */

bool
session_get(struct msg *m, struct asked *a)
{
	a->conn = msg_get_u64(m);
	msg_get_bytes(m, a->number, sizeof(a->number));
	a->protocol = msg_get_u8(m);
	a->tag = msg_get_str(m);
	a->reply = msg_get_str(m);
	a->input = msg_get_str(m);
	a->peer = msg_get_str(m);
	a->port = msg_get_u16(m);
	a->tls = msg_get_u8(m);
	a->version = msg_get_str(m);
	a->cipher = msg_get_str(m);
	a->fd = msg_get_fd(m);
	return msg_end(m) && a->fd >= 0 &&
	       (a->protocol == PROTO_IMAP || a->protocol == PROTO_POP3);
}

/* The client's address, as text, back to what the sessions want. */
static void
peer_address(const struct asked *a, struct os_addr *addr)
{
	struct buf text = {0};
	size_t n = 0;

	*addr = (struct os_addr){.len = sizeof(sa_family_t)};
	addr->ss.ss_family = AF_UNIX;
	buf_f(&text,
	    str_chr(a->peer, ':') < a->peer.n ? "[%.*s]:%u" : "%.*s:%u",
	    STR_ARG(a->peer), (unsigned)a->port);
	if (os_addr_parse(buf_str(&text), addr, 1, &n) != OK || n != 1) {
		*addr = (struct os_addr){.len = sizeof(sa_family_t)};
		addr->ss.ss_family = AF_UNIX;
	}
	buf_free(&text);
}

/* The last words to a client that cannot have its session. */
static void
session_refuse(struct asked *a, const char *code, const char *why)
{
	struct buf b = {0};

	if (a->protocol == PROTO_POP3)
		buf_f(&b, "-ERR [SYS/TEMP] %s\r\n", why);
	else
		buf_f(&b, "* BYE [%s] %s\r\n%.*s NO [%s] %s\r\n", code, why,
		    STR_ARG(a->tag), code, why);
	(void)!send(a->fd, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_free(&b);
	os_close(&a->fd);
}

/* Takes a->fd. */
static enum err
session_start(struct mail *m, struct asked *a, const struct grant *g, str name)
{
	struct imap_login l = {.fd = a->fd,
	    .user = name,
	    .tag = a->tag,
	    .reply = a->reply,
	    .input = a->input,
	    .tls = a->tls != 0};
	struct os_addr peer;
	enum err e;

	peer_address(a, &peer);
	l.peer = &peer;
	if (a->protocol == PROTO_POP3) {
		net_label(g->account);
		e = pop3_begin(
			m->pop3, a->fd, g, name, a->tag, a->input, &peer) != 0
			? OK
			: ERR_LIMIT;
		net_label(0);
		return e;
	}
	e = acct_open(m->store, g, name, &l.acct);
	if (e != OK) {
		session_refuse(a, "UNAVAILABLE", "The mailbox is unavailable");
		return e;
	}
	net_last();
	net_label(g->account);
	e = imap_start(&m->imap, &l);
	net_label(0);
	return e;
}

static void
session_log(const struct asked *a, str name, enum err e)
{
	struct log_kv kv[] = {KV_S("user", name),
	    KV_C("protocol", a->protocol == PROTO_IMAP ? "imap" : "pop3"),
	    KV_S("peer", a->peer), KV_S("tls", a->version),
	    KV_S("cipher", a->cipher), KV_ERR(e), {0}};

	if (e == OK)
		kv[5] = (struct log_kv){0};
	log_write(e == OK ? LOG_INFO : LOG_WARN,
	    e == OK ? "session" : "session refused", kv);
}

static enum err
session_open(struct mail *m, struct link *from, struct asked *a, str *name)
{
	struct grant_wanted want = {.number = a->number,
	    .kind = GRANT_LOGIN,
	    .protocol = a->protocol,
	    .front = from->index,
	    .conn = a->conn};
	struct grant g;
	enum err e;

	e = grants_take(m->grants, &want, &g, name);
	if (e != OK) {
		session_refuse(a, "UNAVAILABLE", "Please log in again");
		return e;
	}
	if (m->fds_max != 0 && net_fds(m->net) + FDS_KEPT >= m->fds_max) {
		session_refuse(a, "UNAVAILABLE", "Too many sessions");
		return ERR_LIMIT;
	}
	if (!session_begins(m->accounts, g.account, *name)) {
		limit_hit(LIMIT_connections_per_account, *name);
		session_refuse(a, "LIMIT", "Too many sessions of this account");
		return ERR_LIMIT;
	}
	e = session_start(m, a, &g, *name);
	if (e != OK)
		session_ended(m, g.account); /* net never had it */
	return e;
}

void
session_job(void *arg)
{
	struct mail_job *j = arg;
	struct asked a = {.fd = -1};
	struct msg no;
	str name = STR_NONE;
	enum err e = ERR_INVALID;

	if (session_get(&j->m, &a)) {
		e = session_open(j->mail, j->from, &a, &name);
		session_log(&a, name, e);
	} else {
		log_error("a session is malformed");
		if (a.fd >= 0)
			os_close(&a.fd);
		if (j->from->bad != NULL)
			j->from->bad(j->from);
	}
	if (e != OK) {
		msg_new(&no, MSG_SESSION_NO);
		msg_u64(&no, a.conn);
		(void)chan_send(j->from->ch, &no);
	}
	x_free_str(&name);
	msg_free(&j->m);
	x_free(&j);
}

/* ---- deliveries ---- */

static enum err
recipient_open(struct mail *m, const struct lmtp_delivery *d, uint32_t i,
    struct acct **acct)
{
	struct grant_wanted want = {.number = d->to[i].grant,
	    .kind = GRANT_APPEND,
	    .protocol = PROTO_LMTP,
	    .front = 0,
	    .conn = d->conn};
	struct grant g;
	enum err e;
	str name;

	e = grants_take(m->grants, &want, &g, &name);
	if (e == OK)
		e = acct_open(m->store, &g, name, acct);
	x_free_str(&name);
	return e;
}

/* A message that is being delivered. */
struct deliver {
	struct mail_job *j;
	struct arena *ar;
	struct lmtp_delivery d;
	struct delivery *v; /* those whose accounts are open */
	uint32_t *place;    /* where they stand in d */
	enum err *result;   /* for each of d */
	size_t n;
};

static void
deliver_free(struct deliver *x)
{
	arena_free(&x->ar);
	msg_free(&x->j->m);
	x_free(&x->j);
	x_free(&x);
}

/* R71: a result for each recipient, and each is true. */
static void
deliver_done(void *arg)
{
	struct deliver *x = arg;
	struct msg reply;

	for (size_t i = 0; i < x->n; i++) {
		x->result[x->place[i]] = x->v[i].result;
		acct_close(&x->v[i].account);
	}
	msg_new(&reply, MSG_DELIVERED);
	msg_u64(&reply, x->d.conn);
	msg_u32(&reply, x->d.n);
	for (uint32_t i = 0; i < x->d.n; i++)
		msg_u8(&reply,
		    (uint8_t)(x->result == NULL ? ERR_NOMEM : x->result[i]));
	log_info("delivery", KV_N("recipients", x->d.n), KV_N("accepted", x->n),
	    KV_N("octets", x->d.message.s.n));
	(void)chan_send(x->j->from->ch, &reply);
	blob_free(&x->d.message);
	blob_free(&x->d.summary);
	deliver_free(x);
}

static void
deliver(struct deliver *x)
{
	struct lmtp_delivery *d = &x->d;
	struct mail *m = x->j->mail;

	x->v = arena_array(x->ar, d->n, sizeof(*x->v));
	x->place = arena_array(x->ar, d->n, sizeof(*x->place));
	x->result = arena_array(x->ar, d->n, sizeof(*x->result));
	for (uint32_t i = 0;
	     x->v != NULL && x->place != NULL && x->result != NULL && i < d->n;
	     i++) {
		x->result[i] = recipient_open(m, d, i, &x->v[x->n].account);
		if (x->result[i] != OK)
			continue;
		x->v[x->n].prefix = d->to[i].prefix;
		x->place[x->n++] = i;
	}
	if (x->n > 0)
		store_deliver_start(m->store, x->v, x->n, d->message.s,
		    d->summary.s, d->arrival, deliver_done, x);
	else
		deliver_done(x);
}

void
deliver_job(void *arg)
{
	struct mail_job *j = arg;
	struct deliver *x = x_alloc(sizeof(*x));

	x->j = j;
	x->ar = arena_new(0);
	if (lmtp_delivery_get(&j->m, x->ar, &x->d) == OK) {
		deliver(x);
		return;
	}
	log_error("a delivery is malformed");
	if (j->from->bad != NULL)
		j->from->bad(j->from);
	deliver_free(x);
}

/* ---- accounts that end ---- */

void
revoke_job(void *arg)
{
	struct mail_job *j = arg;
	unsigned n;

	grants_revoke(j->mail->grants, j->account);
	n = sessions_kick(j->mail, j->account);
	log_info("account disabled", KV_N("account", j->account),
	    KV_N("sessions", n));
	x_free(&j);
}

void
forget_job(void *arg)
{
	struct mail_job *j = arg;
	struct mail *m = j->mail;
	struct grant g = {.kind = GRANT_ADMIN,
	    .protocol = PROTO_CONTROL,
	    .account = j->account};
	struct msg done;
	enum err e;

	grants_revoke(m->grants, j->account);
	sessions_kick(m, j->account);
	e = acct_remove(m->store, &g);
	if (e != OK && e != ERR_NOTFOUND) {
		log_error("mail of a removed account is not freed",
		    KV_N("account", j->account), KV_ERR(e));
	} else {
		msg_new(&done, MSG_FORGOTTEN);
		msg_u64(&done, j->account);
		(void)chan_send(m->auth.ch, &done);
	}
	x_free(&j);
}
