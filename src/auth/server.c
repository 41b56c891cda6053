/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The auth process: channels to the supervisor, the fronts, the intakes and
 * mail; recipients; grants. See serve.h.
 *
 * (1) A grant reaches mail before the peer that will present it hears of
 *     it; when mail cannot be told, nobody is let in.
 * (2) A peer that sends what is no message, or what is not its to send, is
 *     dropped, with all that it had under way (R90).
 */
#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "auth/serve.h"

#define EVENTS 64
#define MESSAGES 64 /* of one peer before others have their turn */

struct peer {
	struct watch w;
	struct client c; /* fronts */
	struct peer *next;
	enum proc kind;
	uint32_t index;
	struct chan *ch;
	bool own; /* the channel is ours to free */
};

/* ---- watches ---- */

enum err
watch_add(struct server *s, struct watch *w, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	w->fd = fd;
	w->events = events;
	if (epoll_ctl(s->ep, EPOLL_CTL_ADD, fd, &ev) == 0)
		return OK;
	log_error("epoll_ctl", KV_ERRNO(errno));
	return ERR_NOMEM;
}

void
watch_set(struct server *s, struct watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (w->dead || w->events == events)
		return;
	w->events = events;
	(void)epoll_ctl(s->ep, EPOLL_CTL_MOD, w->fd, &ev);
}

void
watch_end(struct server *s, struct watch *w)
{
	if (w->dead)
		return;
	w->dead = true;
	(void)epoll_ctl(s->ep, EPOLL_CTL_DEL, w->fd, NULL);
	w->next = s->dead;
	s->dead = w;
}

static void
bury(struct server *s)
{
	struct watch *w;

	while ((w = s->dead) != NULL) {
		s->dead = w->next;
		w->free(s, w);
	}
}

/* ---- peers ---- */

static void
peer_free(struct server *s, struct watch *w)
{
	struct peer *p = (struct peer *)w;

	if (p->own)
		chan_free(&p->ch);
	x_free(&p);
}

static void
peer_drop(struct server *s, struct peer *p)
{
	struct peer **at;

	for (at = &s->peers; *at != NULL && *at != p; at = &(*at)->next)
		;
	if (*at == NULL)
		return;
	*at = p->next;
	client_end(s, &p->c);
	watch_end(s, &p->w);
}

static struct peer *
peer_find(struct server *s, enum proc kind, uint32_t index)
{
	struct peer *p;

	for (p = s->peers; p != NULL; p = p->next)
		if (p->kind == kind && p->index == index)
			return p;
	return NULL;
}

static void
peer_send(struct server *s, struct peer *p, struct msg *m)
{
	if (chan_send(p->ch, m) != OK && p->kind != PROC_SUPERVISOR) {
		log_warn("a peer does not read", KV_N("kind", p->kind),
		    KV_N("index", p->index));
		peer_drop(s, p);
	}
}

bool
tell_mail(struct server *s, struct msg *m)
{
	struct peer *p = peer_find(s, PROC_MAIL, 0);

	if (p != NULL)
		return chan_send(p->ch, m) == OK;
	msg_free(m);
	return false;
}

static void
tell_mechs(struct server *s, struct peer *p)
{
	struct msg m;

	msg_new(&m, MSG_AUTH_MECHS);
	msg_str(&m, buf_str(&s->mechs[0]));
	msg_str(&m, buf_str(&s->mechs[1]));
	peer_send(s, p, &m);
}

/* Tells every front what is served, if that has changed. */
static void
mechs_check(struct server *s)
{
	struct buf now[2] = {0};
	struct peer *p, *next;
	bool same;

	mechs_put(s->a, &now[0], false);
	mechs_put(s->a, &now[1], true);
	same = str_eq(buf_str(&now[0]), buf_str(&s->mechs[0])) &&
	       str_eq(buf_str(&now[1]), buf_str(&s->mechs[1]));
	for (int i = 0; i < 2; i++) {
		buf_free(&s->mechs[i]);
		s->mechs[i] = now[i];
	}
	for (p = same ? NULL : s->peers; p != NULL; p = next) {
		next = p->next;
		if (p->kind == PROC_FRONT)
			tell_mechs(s, p);
	}
}

/* ---- grants ---- */

static bool
grant(struct server *s, const struct peer *p, uint64_t conn,
    enum grant_kind kind, uint8_t protocol, uint64_t account, str name,
    uint32_t valid_ms, uint8_t number[16])
{
	struct msg m;

	os_random(number, 16);
	msg_new(&m, MSG_GRANT);
	msg_bytes(&m, number, 16);
	msg_u8(&m, (uint8_t)kind);
	msg_u8(&m, protocol);
	msg_u64(&m, account);
	msg_str(&m, name);
	msg_u32(&m, p->index);
	msg_u64(&m, conn);
	msg_u32(&m, valid_ms);
	return tell_mail(s, &m);
}

/* ---- fronts ---- */

static struct peer *
peer_of(struct client *c)
{
	return (struct peer *)((char *)c - offsetof(struct peer, c));
}

static void
front_challenge(struct server *s, struct client *c, uint64_t conn, str data)
{
	struct msg m;

	msg_new(&m, MSG_AUTH_CHALLENGE);
	msg_u64(&m, conn);
	msg_str(&m, data);
	peer_send(s, peer_of(c), &m);
}

static bool
front_done(struct server *s, struct client *c, const struct attempt *t,
    const struct acct *u, str final)
{
	struct peer *p = peer_of(c);
	uint8_t number[16];
	struct msg m;

	/* (1) */
	if (!grant(s, p, t->conn, GRANT_LOGIN, t->protocol, u->id, acct_name(u),
		GRANT_LOGIN_MS, number))
		return false;
	msg_new(&m, MSG_AUTH_DONE);
	msg_u64(&m, t->conn);
	msg_bytes(&m, number, 16);
	msg_u64(&m, u->id);
	msg_str(&m, acct_name(u));
	msg_u8(&m, final.n > 0);
	msg_str(&m, final);
	x_wipe(number, sizeof(number));
	(void)chan_send(p->ch, &m);
	return true;
}

static void
front_failed(struct server *s, struct client *c, const struct attempt *t,
    enum auth_fail why, uint32_t delay_ms)
{
	struct msg m;

	msg_new(&m, MSG_AUTH_FAILED);
	msg_u64(&m, t->conn);
	msg_u8(&m, (uint8_t)why);
	msg_u32(&m, delay_ms);
	(void)chan_send(peer_of(c)->ch, &m);
}

static const struct client_ops front_ops = {
    front_challenge, front_done, front_failed};

static bool
front_start(struct server *s, struct peer *p, struct msg *m)
{
	struct attempt_facts f = {0};
	uint64_t conn = msg_get_u64(m);
	bool has, tls;
	str initial;

	f.protocol = msg_get_u8(m);
	f.mech = msg_get_str(m);
	has = msg_get_u8(m) != 0;
	initial = msg_get_str(m);
	f.address = msg_get_str(m);
	f.text = msg_get_str(m);
	tls = msg_get_u8(m) != 0;
	f.exporter = msg_get_str(m);
	f.cert = msg_get_str(m);
	if (!msg_end(m) || f.address.n > 16 || f.text.n > 256 ||
	    f.exporter.n > 256 ||
	    (f.protocol != PROTO_IMAP && f.protocol != PROTO_POP3))
		return false;
	if (!tls)
		f.exporter = f.cert = STR_NONE;
	if (initial.p == NULL)
		initial = S("");
	attempt_start(s, &p->c, conn, &f, has ? &initial : NULL);
	return true;
}

static bool
front_message(struct server *s, struct peer *p, struct msg *m)
{
	uint64_t conn;
	str data;

	switch (m->type) {
	case MSG_AUTH_START:
		return front_start(s, p, m);
	case MSG_AUTH_STEP:
		conn = msg_get_u64(m);
		data = msg_get_str(m);
		if (!msg_end(m))
			return false;
		attempt_step(s, &p->c, conn, data);
		return true;
	case MSG_AUTH_ABORT:
		conn = msg_get_u64(m);
		if (!msg_end(m))
			return false;
		attempt_abort(s, &p->c, conn);
		return true;
	default:
		return false;
	}
}

/* ---- intakes ---- */

static void
rcpt_no(struct server *s, struct peer *p, uint64_t conn, uint32_t index,
    enum rcpt_fail why)
{
	struct msg m;

	msg_new(&m, MSG_RCPT_NO);
	msg_u64(&m, conn);
	msg_u32(&m, index);
	msg_u8(&m, (uint8_t)why);
	peer_send(s, p, &m);
}

static void
rcpt(struct server *s, struct peer *p, uint64_t conn, uint32_t index, str addr)
{
	struct auth_recipient r;
	struct buf mem = {0};
	enum rcpt_fail why = 0;
	uint8_t number[16];
	struct msg m;

	if (auth_recipient(s->a, addr, &mem, &r, &why) != OK)
		why = RCPT_TEMP;
	if (why == 0 && !grant(s, p, conn, GRANT_APPEND, PROTO_LMTP, r.account,
			    r.name, GRANT_APPEND_MS, number))
		why = RCPT_TEMP;
	if (why != 0) {
		rcpt_no(s, p, conn, index, why);
	} else {
		msg_new(&m, MSG_RCPT_OK);
		msg_u64(&m, conn);
		msg_u32(&m, index);
		msg_bytes(&m, number, 16);
		msg_u64(&m, r.account);
		msg_str(&m, r.name);
		msg_str(&m, r.detail);
		peer_send(s, p, &m);
	}
	buf_free(&mem);
}

static bool
intake_message(struct server *s, struct peer *p, struct msg *m)
{
	uint64_t conn = msg_get_u64(m);
	uint32_t index = msg_get_u32(m);
	str addr = msg_get_str(m);

	(void)msg_get_u8(m); /* UTF-8 or not: addresses are checked anyway */
	if (m->type != MSG_RCPT || !msg_end(m))
		return false;
	rcpt(s, p, conn, index, addr);
	return true;
}

/* ---- mail ---- */

static bool
forget_note(void *arg, uint64_t id)
{
	enc_u64(arg, id);
	return true;
}

/* As many as the channel takes; the rest when it has been read. */
static void
forget_some(struct server *s, struct peer *p)
{
	struct dec d;
	struct msg m;

	while (s->forget.n >= 8 && !chan_flush(p->ch)) {
		d = dec_of(str_from(buf_str(&s->forget), s->forget.n - 8));
		msg_new(&m, MSG_FORGET);
		msg_u64(&m, dec_u64(&d));
		if (chan_send(p->ch, &m) != OK)
			return;
		s->forget.n -= 8;
	}
}

static bool
mail_message(struct server *s, struct msg *m)
{
	uint64_t id;

	if (m->type != MSG_FORGOTTEN)
		return false;
	id = msg_get_u64(m);
	if (!msg_end(m))
		return false;
	if (forget_done(s->a, id) != OK)
		log_warn(
		    "cannot note that mail was freed", KV_N("account", id));
	return true;
}

void
follow_up(struct server *s, const struct effects *fx)
{
	struct msg m;

	if (fx->changed != 0)
		cache_drop(s->cache, fx->changed);
	if (fx->revoke != 0) {
		msg_new(&m, MSG_REVOKE);
		msg_u64(&m, fx->revoke);
		(void)tell_mail(s, &m);
	}
	if (fx->forget != 0) {
		msg_new(&m, MSG_FORGET);
		msg_u64(&m, fx->forget);
		(void)tell_mail(s, &m);
	}
	mechs_check(s);
}

/* ---- the supervisor ---- */

static void peer_ready(struct server *s, struct watch *w, uint32_t events);

static struct peer *
peer_add(
    struct server *s, enum proc kind, uint32_t index, struct chan *ch, bool own)
{
	struct peer *p = x_alloc(sizeof(*p));

	p->kind = kind;
	p->index = index;
	p->ch = ch;
	p->own = own;
	p->w.ready = peer_ready;
	p->w.free = peer_free;
	if (kind == PROC_FRONT)
		client_init(&p->c, &front_ops);
	if (watch_add(s, &p->w, chan_fd(ch), EPOLLIN) != OK) {
		client_end(s, &p->c);
		peer_free(s, &p->w);
		return NULL;
	}
	p->next = s->peers;
	s->peers = p;
	return p;
}

static bool
new_peer(struct server *s, struct msg *m)
{
	enum proc kind = msg_get_u8(m);
	uint32_t index = msg_get_u32(m);
	int fd = msg_get_fd(m);
	struct peer *p;

	if (!msg_end(m) || fd < 0 ||
	    (kind != PROC_FRONT && kind != PROC_INTAKE && kind != PROC_MAIL)) {
		if (fd >= 0)
			os_close(&fd);
		return false;
	}
	/* The one before it has died. */
	if ((p = peer_find(s, kind, index)) != NULL)
		peer_drop(s, p);
	if ((p = peer_add(s, kind, index, chan_new(fd), true)) == NULL)
		return false;
	if (kind == PROC_FRONT)
		tell_mechs(s, p);
	if (kind == PROC_MAIL) {
		s->forget.n = 0;
		if (forget_each(s->a, forget_note, &s->forget) != OK)
			log_warn("cannot read which accounts were removed");
	}
	return true;
}

static bool
supervisor_message(struct server *s, struct msg *m)
{
	struct auth_conf conf = {0};
	str encoded;

	switch (m->type) {
	case MSG_SETTINGS:
		encoded = msg_get_str(m);
		if (!msg_end(m) || s->env->settings == NULL ||
		    !s->env->settings(s->env->arg, encoded, &conf))
			return false;
		auth_configure(s->a, &conf);
		mechs_check(s);
		return true;
	case MSG_PEER:
		return new_peer(s, m);
	case MSG_STOP:
		s->stop = true;
		return msg_end(m);
	default:
		return false;
	}
}

static bool
peer_message(struct server *s, struct peer *p, struct msg *m)
{
	switch (p->kind) {
	case PROC_SUPERVISOR:
		return supervisor_message(s, m);
	case PROC_FRONT:
		return front_message(s, p, m);
	case PROC_INTAKE:
		return intake_message(s, p, m);
	case PROC_MAIL:
		return mail_message(s, m);
	default:
		return false;
	}
}

/* The supervisor ends it, and it comes back with new channels (R90). */
static void
tell_bad(struct server *s, const struct peer *p)
{
	struct peer *up = peer_find(s, PROC_SUPERVISOR, 0);
	struct msg m;

	if (up == NULL || p == up)
		return;
	msg_new(&m, MSG_BAD_PEER);
	msg_u8(&m, (uint8_t)p->kind);
	msg_u32(&m, p->index);
	(void)chan_send(up->ch, &m);
}

static void
peer_ready(struct server *s, struct watch *w, uint32_t events)
{
	struct peer *p = (struct peer *)w;
	bool dead = false, good = true;
	struct msg m;

	for (int i = 0; i < MESSAGES && !w->dead; i++) {
		if (!chan_recv(p->ch, &m, &dead))
			break;
		if (!peer_message(s, p, &m)) {
			log_error("a peer sent what it may not",
			    KV_N("kind", p->kind), KV_N("index", p->index),
			    KV_N("type", m.type));
			good = p->kind == PROC_SUPERVISOR;
			dead = !good;
		}
		/* It may have held a password (R43). */
		if (m.b.p != NULL)
			x_wipe(m.b.p, m.b.n);
		msg_free(&m);
		if (dead)
			break;
	}
	if (!dead || w->dead)
		return;
	if (!good)
		tell_bad(s, p);
	if (p->kind == PROC_SUPERVISOR)
		s->stop = true;
	peer_drop(s, p);
}

/* ---- the loop ---- */

static void
flush_peers(struct server *s)
{
	struct peer *p;

	for (p = s->peers; p != NULL; p = p->next) {
		if (p->kind == PROC_MAIL && s->forget.n > 0)
			forget_some(s, p);
		watch_set(
		    s, &p->w, chan_flush(p->ch) ? EPOLLIN | EPOLLOUT : EPOLLIN);
	}
}

static void
pool_ready(struct server *s, struct watch *w, uint32_t events)
{
	pool_reap(s->pool);
	/* A login may have given the last account its keys. */
	mechs_check(s);
}

static void
watch_nothing(struct server *s, struct watch *w)
{
}

static unsigned
threads(const struct auth_env *env)
{
	cpu_set_t set;
	int n = 2;

	if (env->threads > 0)
		return MIN(env->threads, 64);
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return (unsigned)MIN(MAX(n - 1, 1), 64);
}

static enum err
listener(struct server *s, struct watch *w, int fd,
    void (*ready)(struct server *s, struct watch *w, uint32_t events))
{
	w->ready = ready;
	w->free = watch_nothing;
	w->fd = fd;
	return fd < 0 ? OK : watch_add(s, w, fd, EPOLLIN);
}

enum err
server_open(struct server *s, struct auth *a, const struct auth_env *env)
{
	struct msg m;
	enum err e;

	s->a = a;
	s->env = env;
	s->throttle = throttle_new();
	s->cache = cache_new();
	if ((s->ep = epoll_create1(EPOLL_CLOEXEC)) < 0)
		return err_errno(errno);
	/* The hash of nobody is made before anybody asks (R33). */
	(void)login_verify(a, NULL, S("nobody"));
	if ((s->pool = pool_new(threads(env), HASH_QUEUE_MAX, s)) == NULL)
		return ERR_NOMEM;
	s->wake.ready = pool_ready;
	s->wake.free = watch_nothing;
	if ((e = watch_add(s, &s->wake, pool_fd(s->pool), EPOLLIN)) != OK ||
	    (e = listener(s, &s->control_listener, env->control,
		 control_accept)) != OK ||
	    (e = listener(
		 s, &s->dovecot_listener, env->dovecot, dovecot_accept)) != OK)
		return e;
	mechs_check(s);
	if (env->supervisor == NULL)
		return OK;
	if (peer_add(s, PROC_SUPERVISOR, 0, env->supervisor, false) == NULL)
		return ERR_NOMEM;
	msg_new(&m, MSG_READY);
	return chan_send(env->supervisor, &m);
}

void
server_turn(struct server *s, int most_ms)
{
	struct epoll_event ev[EVENTS];
	struct watch *w;
	int n, ms;

	flush_peers(s);
	ms = attempts_due(s);
	if (most_ms >= 0 && (ms < 0 || ms > most_ms))
		ms = most_ms;
	n = epoll_wait(s->ep, ev, EVENTS, ms);
	if (n < 0 && errno != EINTR) {
		log_error("epoll_wait", KV_ERRNO(errno));
		s->stop = true;
	}
	for (int i = 0; i < n; i++) {
		w = ev[i].data.ptr;
		if (!w->dead)
			w->ready(s, w, ev[i].events);
	}
	bury(s);
	/* A process that cannot write ends; the next one reads what the
	 * disk has. */
	if (auth_broken(s->a))
		s->stop = true;
}

void
server_close(struct server *s)
{
	struct peer *p;

	/* What is still queued for a living peer is given one chance. */
	for (p = s->peers; p != NULL; p = p->next)
		(void)chan_flush(p->ch);
	while (s->peers != NULL)
		peer_drop(s, s->peers);
	controls_end(s);
	dovecots_end(s);
	pool_free(&s->pool);
	bury(s);
	throttle_free(&s->throttle);
	cache_free(&s->cache);
	x_free(&s->heap);
	for (int i = 0; i < 2; i++)
		buf_free(&s->mechs[i]);
	buf_free(&s->forget);
	if (s->ep >= 0)
		os_close(&s->ep);
}

enum err
auth_serve(struct auth *a, const struct auth_env *env)
{
	struct server s = {.ep = -1};
	int control = env->control, dovecot = env->dovecot;
	enum err e;

	if ((e = server_open(&s, a, env)) == OK)
		while (!s.stop)
			server_turn(&s, -1);
	if (e == OK && auth_broken(a))
		e = ERR_IO;
	server_close(&s);
	if (control >= 0)
		os_close(&control);
	if (dovecot >= 0)
		os_close(&dovecot);
	return e;
}
