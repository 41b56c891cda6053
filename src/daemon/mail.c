/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The process mail: the store, every session that has logged in, and what
 * the command line asks. The main thread hears the supervisor; the pool
 * does all else.
 */
#include <sysexits.h>
#include <unistd.h>

#include "daemon/mail_int.h"

#define THREADS 64
#define GRANTS_MS 60000
/* A grant is there before anybody presents it, and is taken then. */
#define AUTH_REST_MS 20
#define LAST_WORDS_MS 100 /* when the store has stopped */

/* ---- links ---- */

static void
job(struct link *l, void (*fn)(void *job), struct msg *m, uint64_t account)
{
	struct mail_job *j = x_alloc(sizeof(*j));

	j->mail = l->arg;
	j->from = l;
	j->account = account;
	if (m != NULL) {
		j->m = *m;
		*m = (struct msg){0}; /* ours to free now */
	}
	net_job(j->mail->net, fn, j);
}

static void
hear_auth(void *link)
{
	link_hear(link);
}

static bool
from_front(struct link *l, struct msg *m)
{
	if (m->type != MSG_SESSION)
		return false;
	job(l, session_job, m, 0);
	return true;
}

static bool
from_intake(struct link *l, struct msg *m)
{
	if (m->type != MSG_DELIVER)
		return false;
	job(l, deliver_job, m, 0);
	return true;
}

static bool
from_auth(struct link *l, struct msg *m)
{
	struct mail *mail = l->arg;
	uint64_t account;

	if (m->type == MSG_GRANT)
		return grants_add(mail->grants, m);
	account = msg_get_u64(m);
	if (!msg_end(m))
		return false;
	if (m->type == MSG_REVOKE)
		job(l, revoke_job, NULL, account);
	else if (m->type == MSG_FORGET)
		job(l, forget_job, NULL, account);
	else
		return false;
	return true;
}

static void
tell_bad(struct link *l)
{
	struct mail *mail = l->arg;
	struct msg m;

	msg_new(&m, MSG_BAD_PEER);
	msg_u8(&m, l == &mail->auth     ? PROC_AUTH
		   : l == &mail->intake ? PROC_INTAKE
					: PROC_FRONT);
	msg_u32(&m, l->index);
	(void)chan_send(mail->up, &m);
}

/* ---- the supervisor ---- */

static void
pop3_options(const struct mail *m, struct pop3_opts *o)
{
	uint64_t delay = 0;

	*o = (struct pop3_opts){.net = m->net, .store = m->store};
	if (str_u64(m->settings->pop3_login_delay, &delay))
		o->login_delay_s = (uint32_t)MIN(delay, 86400);
}

static bool
take_settings(struct mail *mail, struct msg *m)
{
	struct settings *s = settings_new();
	struct pop3_opts o;
	str encoded = msg_get_str(m);

	if (!msg_end(m) || settings_decode(s, encoded) != OK) {
		settings_free(&s);
		return false;
	}
	settings_free(&mail->settings);
	mail->settings = s;
	limits_copy(&limits, &s->limits);
	log_least(s->log_level);
	pop3_options(mail, &o);
	pop3_configure(mail->pop3, &o);
	return true;
}

static bool
take_peer(struct mail *mail, struct msg *m)
{
	enum proc kind = msg_get_u8(m);
	uint32_t index = msg_get_u32(m);
	int fd = msg_get_fd(m);
	struct link *l = NULL;

	if (kind == PROC_AUTH && index == 0)
		l = &mail->auth;
	else if (kind == PROC_INTAKE && index == 0)
		l = &mail->intake;
	else if (kind == PROC_FRONT && index < mail->child->fronts)
		l = &mail->fronts[index];
	if (!msg_end(m) || fd < 0 || l == NULL) {
		if (fd >= 0)
			os_close(&fd);
		return false;
	}
	link_bind(l, fd);
	return true;
}

static bool
take_listener(struct mail *mail, struct msg *m)
{
	uint8_t protocol = msg_get_u8(m);
	int fd;

	(void)msg_get_u8(m);
	fd = msg_get_fd(m);
	if (!msg_end(m) || fd < 0 || protocol != PROTO_CONTROL) {
		if (fd >= 0)
			os_close(&fd);
		return false;
	}
	control_begin(mail, fd);
	return true;
}

/* False: it is time to end. */
static bool
hear(struct mail *mail)
{
	struct msg m;
	bool ok = false;
	enum err e = chan_wait(mail->up, &m, 3600 * 1000);

	if (e == ERR_UNAVAILABLE)
		return false;
	if (e != OK)
		return true;
	if (m.type == MSG_STOP) {
		msg_free(&m);
		return false;
	}
	if (m.type == MSG_SETTINGS)
		ok = take_settings(mail, &m);
	else if (m.type == MSG_PEER)
		ok = take_peer(mail, &m);
	else if (m.type == MSG_LISTEN)
		ok = take_listener(mail, &m);
	if (!ok)
		log_error(
		    "the supervisor is not understood", KV_N("type", m.type));
	msg_free(&m);
	return true;
}

/* ---- the whole ---- */

static void
poke(void *arg, uint64_t watcher)
{
	conn_poke(arg, watcher);
}

static void *
last_words(void *arg)
{
	struct timespec t = {.tv_nsec = LAST_WORDS_MS * 1000000};

	nanosleep(&t, NULL);
	_exit(STORE_EXIT_FATAL);
}

/* The store gives ERR_UNAVAILABLE from now on: those that wait are told,
 * rather than cut off. */
static void
store_stops(void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, last_words, NULL) != 0)
		_exit(STORE_EXIT_FATAL);
	pthread_detach(t);
}

static void
progress(void *arg, const char *what, uint64_t done, uint64_t all)
{
	static int64_t last;
	int64_t now = os_mono_ms();

	if (last != 0 && now - last < 5000 && done < all)
		return;
	last = now;
	log_info(what, KV_N("done", done), KV_N("all", all));
}

static void
expire_grants(void *arg)
{
	grants_expire(((struct mail *)arg)->grants);
}

static void
net_begin(struct mail *m)
{
	const struct settings *s = m->child->settings;
	uint64_t threads = THREADS, fds = 0;
	struct net_opts o = {.threads_min = 4,
	    .conns_max = (uint32_t)s->limits.connections_max,
	    .ended = session_ended,
	    .arg = m};

	(void)str_u64(s->threads, &threads);
	o.threads_max = (unsigned)MAX(threads, 2);
	o.threads_min = MIN(o.threads_min, o.threads_max);
	/* Sessions, the store's files, channels. */
	if (os_fd_limit((uint64_t)o.conns_max + 4096, &fds) == OK)
		m->fds_max = fds;
	m->net = net_new(&o);
	link_init(&m->auth, m->net, "auth", from_auth, m);
	grants_hear(m->grants, hear_auth, &m->auth);
	m->auth.rest_ms = AUTH_REST_MS;
	link_init(&m->intake, m->net, "intake", from_intake, m);
	m->auth.bad = m->intake.bad = tell_bad;
	m->fronts = x_array(m->child->fronts, sizeof(*m->fronts));
	for (uint32_t i = 0; i < m->child->fronts; i++) {
		link_init(&m->fronts[i], m->net, "front", from_front, m);
		m->fronts[i].index = i;
		m->fronts[i].bad = tell_bad;
	}
	net_tick(m->net, GRANTS_MS, expire_grants, m);
	net_tick(m->net, REST_MS, child_rest, NULL);
}

static enum err
open_all(struct mail *m)
{
	const struct child *c = m->child;
	struct store_opts o = {.dir = c->data,
	    .poke = poke,
	    .poke_arg = m->net,
	    .fatal = store_stops,
	    .dedup_across_accounts = c->settings->dedup_across_accounts,
	    .rebuild = c->rebuild,
	    .progress = progress};
	struct pop3_opts p;
	enum err e;

	e = store_open(&o, &m->store);
	if (e != OK) {
		log_error("the store cannot be opened", KV_ERR(e));
		return e;
	}
	m->imap = (struct imap_env){m->net, m->store};
	pop3_options(m, &p);
	m->pop3 = pop3_env_new(&p);
	return OK;
}

static void
close_all(struct mail *m)
{
	control_end(m);
	net_stop(m->net);
	link_close(&m->auth);
	link_close(&m->intake);
	for (uint32_t i = 0; i < m->child->fronts; i++)
		link_close(&m->fronts[i]);
	control_free_all(m);
	net_free(&m->net);
	pop3_env_free(&m->pop3);
	store_close(&m->store);
	grants_free(&m->grants);
	accounts_free(&m->accounts);
	x_free(&m->fronts);
	chan_free(&m->up);
	settings_free(&m->settings);
}

int
mail_main(void *arg)
{
	struct mail m = {.child = arg, .control_fd = -1};
	struct msg ready;
	enum err e;

	/* The charsets' tables are files outside the box. */
	mime_charsets_load();
	m.settings = settings_new();
	m.grants = grants_new();
	m.accounts = accounts_new();
	pthread_mutex_init(&m.control_lock, NULL);
	net_begin(&m);
	if (child_box(m.child) != OK)
		return 1;
	m.up = chan_new(m.child->chan);
	if ((e = open_all(&m)) != OK)
		return e == ERR_CORRUPT ? EX_CONFIG : 1;
	if (net_start(m.net) != OK)
		return 1;
	msg_new(&ready, MSG_READY);
	if (chan_send(m.up, &ready) != OK)
		return 1;
	while (hear(&m))
		;
	close_all(&m);
	return 0;
}
