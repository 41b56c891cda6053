/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The supervisor: binds, opens certificates and keys, starts the others and
 * starts them again when they die. It parses no byte from the network and
 * reads no private key: children are forked from it.
 *
 * (1) A child that died is back at once; one that keeps dying, after a
 *     growing pause of at most a second.
 * (2) When a child starts, it is told everything by messages, and every
 *     living peer gets a new channel to it.
 * (3) mail that dies twice within a minute by a fault of memory starts by
 *     making its index anew: what it maps may be what kills it.
 * (4) Nothing is said to be ready before every child has said so.
 * (5) Of root's rights only those stay that starting a child anew and
 *     reading new certificates need.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/daemon_int.h"
#include "daemon/supervisor.h"

#define PAUSE_MAX_MS 1000
#define STEADY_MS 60000 /* alive so long: earlier deaths are forgotten */
#define READY_MS 600000 /* replay of a long log may take its time */
#define STOP_MS 20000
#define RENEW_MS (12 * 3600 * 1000)

static int (*const mains[])(void *) = {
    [PROC_FRONT] = front_main,
    [PROC_INTAKE] = intake_main,
    [PROC_AUTH] = auth_main,
    [PROC_KEYS] = keys_main,
    [PROC_MAIL] = mail_main,
};
static const char *const names[] = {
    "supervisor", "front", "intake", "auth", "keys", "mail"};

static bool
talks(enum proc a, enum proc b)
{
	static const struct {
		enum proc a, b;
	} pairs[] = {
	    {PROC_FRONT, PROC_AUTH},
	    {PROC_FRONT, PROC_MAIL},
	    {PROC_FRONT, PROC_KEYS},
	    {PROC_INTAKE, PROC_AUTH},
	    {PROC_INTAKE, PROC_MAIL},
	    {PROC_INTAKE, PROC_KEYS},
	    {PROC_AUTH, PROC_MAIL},
	};

	for (size_t i = 0; i < NELEM(pairs); i++)
		if ((pairs[i].a == a && pairs[i].b == b) ||
		    (pairs[i].a == b && pairs[i].b == a))
			return true;
	return false;
}

/* ---- telling a child ---- */

static void
tell(struct slot *s, struct msg *m)
{
	if (chan_send(s->chan, m) != OK)
		log_debug(
		    "a child does not listen", KV_C("child", names[s->kind]));
}

static void
tell_settings(struct supervisor *v, struct slot *s)
{
	struct buf b = {0};
	struct msg m;

	settings_encode(*v->settings, &b);
	msg_new(&m, MSG_SETTINGS);
	msg_str(&m, buf_str(&b));
	tell(s, &m);
	buf_free(&b);
}

static void
tell_keys(struct supervisor *v, struct slot *s)
{
	struct msg m;
	int fd;

	for (uint32_t i = 0; i < v->ncerts; i++) {
		if ((fd = fcntl(v->keys[i], F_DUPFD_CLOEXEC, 0)) < 0)
			return;
		msg_new(&m, MSG_KEYS);
		msg_u32(&m, v->ncerts);
		msg_u32(&m, v->key_base + i);
		msg_fd(&m, fd);
		tell(s, &m);
	}
}

static void
tell_certs(struct supervisor *v, struct slot *s)
{
	struct buf b = {0};
	struct msg m;

	enc_u32(&b, v->ncerts);
	for (uint32_t i = 0; i < v->ncerts; i++)
		enc_str(&b, buf_str(&v->certs[i]));
	enc_str(&b, buf_str(&v->client_ca));
	msg_new(&m, MSG_CERTS);
	msg_u32(&m, v->key_base);
	if (msg_blob(&m, buf_str(&b)) == OK)
		tell(s, &m);
	else
		msg_free(&m);
	buf_free(&b);
}

static void
tell_listeners(struct supervisor *v, struct slot *s)
{
	struct msg m;
	int fd;

	for (size_t i = 0; i < v->nlisteners; i++) {
		struct listener *l = &v->listeners[i];

		if (l->serves != s->kind || l->fd < 0 || s->kind == PROC_AUTH)
			continue;
		if ((fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0)) < 0)
			continue;
		msg_new(&m, MSG_LISTEN);
		msg_u8(&m, (uint8_t)l->protocol);
		msg_u8(&m, l->tls);
		msg_fd(&m, fd);
		tell(s, &m);
	}
}

static void
tell_peer(struct slot *s, const struct slot *of, int fd)
{
	struct msg m;

	msg_new(&m, MSG_PEER);
	msg_u8(&m, (uint8_t)of->kind);
	msg_u32(&m, of->index);
	msg_fd(&m, fd);
	tell(s, &m);
}

/* A channel between two living children. */
static void
join(struct slot *a, struct slot *b)
{
	int fd[2];

	if (os_socketpair(SOCK_SEQPACKET, fd) != 0) {
		log_error("no socketpair", KV_ERRNO(errno));
		return;
	}
	tell_peer(a, b, fd[0]);
	tell_peer(b, a, fd[1]);
}

/* ---- starting ---- */

/* The child's main, after the fork: descriptors stand from 3 on. */
static int
born(void *arg)
{
	struct child *c = arg;
	int next = 3;

	c->chan = next++;
	if (c->control >= 0)
		c->control = next++;
	if (c->dovecot >= 0)
		c->dovecot = next++;
	log_setup(names[c->kind], c->settings->log_level);
	limits_copy(&limits, &c->settings->limits);
	os_no_core();
	os_memory();
	return mains[c->kind](c);
}

static void
prepare(struct supervisor *v, struct slot *s, struct child *c)
{
	*c = (struct child){
	    .kind = s->kind,
	    .index = s->index,
	    .fronts = v->fronts,
	    .settings = *v->settings,
	    .data = v->data,
	    .uid = v->ids[s->kind].uid,
	    .gid = v->ids[s->kind].gid,
	    .counts = v->counts,
	    .rebuild = s->rebuild,
	    .control = -1,
	    .dovecot = -1,
	};
	for (size_t i = 0; i < v->nlisteners && s->kind == PROC_AUTH; i++) {
		if (v->listeners[i].serves != PROC_AUTH)
			continue;
		if (v->listeners[i].protocol == PROTO_CONTROL)
			c->control = v->listeners[i].fd;
		else
			c->dovecot = v->listeners[i].fd;
	}
	if (s->kind == PROC_FRONT)
		memset(v->counts + (size_t)s->index * 65536, 0,
		    65536 * sizeof(uint32_t));
}

static enum err
start(struct supervisor *v, struct slot *s)
{
	struct child c;
	int pair[2], keep[3], n = 0;
	enum err e;

	prepare(v, s, &c);
	if (os_socketpair(SOCK_SEQPACKET, pair) != 0)
		return err_errno(errno);
	keep[n++] = pair[1];
	if (c.control >= 0)
		keep[n++] = c.control;
	if (c.dovecot >= 0)
		keep[n++] = c.dovecot;
	fflush(NULL);
	e = os_spawn(&s->child, names[s->kind], keep, (size_t)n, born, &c);
	os_close(&pair[1]);
	if (e != OK) {
		os_close(&pair[0]);
		log_error(
		    "cannot start", KV_C("child", names[s->kind]), KV_ERR(e));
		return e;
	}
	s->alive = true;
	s->ready = s->rebuild = false;
	s->started_ms = os_mono_ms();
	s->chan = chan_new(pair[0]);
	tell_settings(v, s);
	if (s->kind == PROC_KEYS)
		tell_keys(v, s);
	if (s->kind == PROC_FRONT || s->kind == PROC_INTAKE)
		tell_certs(v, s);
	for (size_t i = 0; i < v->nslots; i++) /* (2) */
		if (v->slots[i].alive && &v->slots[i] != s &&
		    talks(s->kind, v->slots[i].kind))
			join(s, &v->slots[i]);
	tell_listeners(v, s);
	return OK;
}

/* ---- dying ---- */

static void
bury(struct supervisor *v, struct slot *s)
{
	int64_t now = os_mono_ms();
	bool memory;
	int status = 0;

	while (waitpid(s->child.pid, &status, 0) < 0 && errno == EINTR)
		;
	os_close(&s->child.pidfd);
	chan_free(&s->chan);
	s->alive = false;
	s->fatal = WIFEXITED(status) && WEXITSTATUS(status) == EX_CONFIG;
	if (v->stopping)
		return;
	log_warn("a process died", KV_C("child", names[s->kind]),
	    KV_N("pid", s->child.pid),
	    KV_N("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
	    KV_N("code", WIFEXITED(status) ? WEXITSTATUS(status) : -1));
	if (now - s->started_ms > STEADY_MS)
		s->deaths = 0;
	memory = WIFSIGNALED(status) &&
		 (WTERMSIG(status) == SIGBUS || WTERMSIG(status) == SIGSEGV ||
		     WTERMSIG(status) == SIGABRT);
	if (s->kind == PROC_MAIL && memory) { /* (3) */
		s->rebuild = s->fault_ms != 0 && now - s->fault_ms < STEADY_MS;
		s->fault_ms = now;
	}
	/* (1) */
	s->start_ms =
	    now +
	    (s->deaths == 0 ? 0 : MIN(50 << MIN(s->deaths, 5), PAUSE_MAX_MS));
	s->deaths++;
}

static void
revive(struct supervisor *v)
{
	int64_t now = os_mono_ms();

	for (size_t i = 0; i < v->nslots; i++) {
		struct slot *s = &v->slots[i];

		if (!s->alive && !v->stopping && now >= s->start_ms &&
		    start(v, s) != OK)
			s->start_ms = now + PAUSE_MAX_MS;
	}
}

/* ---- listening to children and signals ---- */

/* A peer broke the rules of messages: it is ended, and comes back clean.
 * Only mail and auth are believed: a front must not be able to end them. */
static void
bad_peer(struct supervisor *v, const struct slot *from, struct msg *m)
{
	enum proc kind = msg_get_u8(m);
	uint32_t index = msg_get_u32(m);

	if (!msg_end(m) || (from->kind != PROC_MAIL && from->kind != PROC_AUTH))
		return;
	for (size_t i = 0; i < v->nslots; i++) {
		struct slot *s = &v->slots[i];

		if (s->kind != kind || s->index != index || !s->alive)
			continue;
		log_error("a process broke the rules: ended",
		    KV_C("child", names[kind]), KV_N("index", index));
		kill(s->child.pid, SIGKILL);
	}
}

static void
hear(struct supervisor *v, struct slot *s)
{
	struct msg m;
	bool dead = false;

	while (s->chan != NULL && chan_recv(s->chan, &m, &dead)) {
		if (m.type == MSG_READY)
			s->ready = true;
		else if (m.type == MSG_BAD_PEER)
			bad_peer(v, s, &m);
		msg_free(&m);
	}
}

/* Keys first: fronts ask for what they are told of. */
static void
tell_tls(struct supervisor *v)
{
	for (size_t i = 0; i < v->nslots; i++)
		if (v->slots[i].alive && v->slots[i].kind == PROC_KEYS)
			tell_keys(v, &v->slots[i]);
	for (size_t i = 0; i < v->nslots; i++)
		if (v->slots[i].alive && (v->slots[i].kind == PROC_FRONT ||
					     v->slots[i].kind == PROC_INTAKE))
			tell_certs(v, &v->slots[i]);
}

/* The certificate that we made ourselves is renewed in time. */
static void
renew(struct supervisor *v)
{
	struct buf why = {0};
	int64_t now = os_mono_ms();

	if (now < v->renew_ms)
		return;
	v->renew_ms = now + RENEW_MS;
	if ((*v->settings)->tls_cert.n > 0 || !cert_due(v->data))
		return;
	if (supervisor_certs(v, *v->settings, &why) == OK)
		tell_tls(v);
	else
		log_error(
		    "the old certificate stays", KV_S("why", buf_str(&why)));
	buf_free(&why);
}

static void
reload(struct supervisor *v)
{
	struct settings *fresh = v->reload(v->reload_arg);
	struct buf why = {0};

	if (fresh == NULL)
		return;
	if (supervisor_certs(v, fresh, &why) != OK) {
		log_error(
		    "the old certificates stay", KV_S("why", buf_str(&why)));
		buf_free(&why);
		settings_free(&fresh);
		return;
	}
	settings_free(v->settings);
	*v->settings = fresh;
	limits_copy(&limits, &fresh->limits);
	log_least(fresh->log_level);
	for (size_t i = 0; i < v->nslots; i++) {
		if (!v->slots[i].alive)
			continue;
		tell_settings(v, &v->slots[i]);
	}
	tell_tls(v);
	log_info("settings and certificates read anew");
}

static void
take_signals(struct supervisor *v)
{
	struct signalfd_siginfo si;

	while (read(v->signals, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGHUP)
			reload(v);
		else if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
			v->stopping = true;
	}
}

/* Waits for anything, at most ms, and deals with it. */
static void
turn(struct supervisor *v, int ms)
{
	struct pollfd p[2 * SLOTS_MAX + 1];
	nfds_t n = 0;

	p[n++] = (struct pollfd){v->signals, POLLIN, 0};
	for (size_t i = 0; i < v->nslots; i++) {
		struct slot *s = &v->slots[i];
		short want = POLLIN;

		if (s->alive && s->chan != NULL && chan_flush(s->chan))
			want |= POLLOUT;
		p[n++] =
		    (struct pollfd){s->alive ? s->child.pidfd : -1, POLLIN, 0};
		p[n++] =
		    (struct pollfd){s->alive ? chan_fd(s->chan) : -1, want, 0};
	}
	if (poll(p, n, ms) <= 0)
		return;
	if (p[0].revents != 0)
		take_signals(v);
	for (size_t i = 0; i < v->nslots; i++) {
		if (p[2 + 2 * i].revents & POLLIN)
			hear(v, &v->slots[i]);
		else if (p[2 + 2 * i].revents & (POLLHUP | POLLERR) &&
			 p[1 + 2 * i].revents == 0)
			(void)poll(NULL, 0, 1); /* its pidfd follows at once */
		if (p[1 + 2 * i].revents != 0)
			bury(v, &v->slots[i]);
	}
}

/* The time until the next child may start, at most a second. */
static int
next_start(const struct supervisor *v)
{
	int64_t now = os_mono_ms(), least = 1000;

	for (size_t i = 0; i < v->nslots; i++)
		if (!v->slots[i].alive)
			least = MIN(least, MAX(v->slots[i].start_ms - now, 0));
	return (int)least;
}

static bool
all_ready(const struct supervisor *v)
{
	for (size_t i = 0; i < v->nslots; i++)
		if (!v->slots[i].ready || !v->slots[i].alive)
			return false;
	return true;
}

static bool
any_alive(const struct supervisor *v)
{
	for (size_t i = 0; i < v->nslots; i++)
		if (v->slots[i].alive)
			return true;
	return false;
}

static bool
any_fatal(const struct supervisor *v)
{
	for (size_t i = 0; i < v->nslots; i++)
		if (v->slots[i].fatal)
			return true;
	return false;
}

/* Everybody says goodbye; fronts and intake first, since they lean on the
 * others; who does not end in time is ended. */
static void
stop_kind(struct supervisor *v, enum proc from, enum proc to, int64_t until)
{
	struct msg m;
	bool left = true;

	for (size_t i = 0; i < v->nslots; i++) {
		if (!v->slots[i].alive || v->slots[i].kind < from ||
		    v->slots[i].kind > to)
			continue;
		msg_new(&m, MSG_STOP);
		tell(&v->slots[i], &m);
	}
	while (left && os_mono_ms() < until) {
		turn(v, 100);
		left = false;
		for (size_t i = 0; i < v->nslots; i++)
			left |= v->slots[i].alive && v->slots[i].kind >= from &&
				v->slots[i].kind <= to;
	}
}

static void
stop_all(struct supervisor *v)
{
	int64_t until = os_mono_ms() + STOP_MS;

	os_notify("STOPPING=1");
	v->stopping = true;
	/* mail first: its goodbyes go out through the fronts' pumps. */
	stop_kind(v, PROC_MAIL, PROC_MAIL, until);
	stop_kind(v, PROC_FRONT, PROC_KEYS, until);
	for (size_t i = 0; i < v->nslots; i++)
		if (v->slots[i].alive)
			kill(v->slots[i].child.pid, SIGKILL);
	while (any_alive(v))
		turn(v, 100);
}

/* ---- the whole ---- */

static void
add_slot(struct supervisor *v, enum proc kind, uint32_t index)
{
	v->slots[v->nslots++] = (struct slot){.kind = kind, .index = index};
}

static bool
take_signal_set(struct supervisor *v)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return sigprocmask(SIG_BLOCK, &set, NULL) == 0 &&
	       (v->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) >=
		   0;
}

static int
serve(struct supervisor *v)
{
	int64_t until = os_mono_ms() + READY_MS;
	bool said = false;

	/* keys and auth first: fronts ask them. */
	add_slot(v, PROC_KEYS, 0);
	add_slot(v, PROC_AUTH, 0);
	add_slot(v, PROC_MAIL, 0);
	add_slot(v, PROC_INTAKE, 0);
	for (uint32_t i = 0; i < v->fronts; i++)
		add_slot(v, PROC_FRONT, i);
	while (!v->stopping) {
		revive(v);
		renew(v);
		turn(v, next_start(v));
		if (!said && any_fatal(v)) {
			stop_all(v);
			return EX_CONFIG;
		}
		if (!said && all_ready(v)) { /* (4) */
			said = true;
			supervisor_say(v);
			os_notify("READY=1");
		} else if (!said && os_mono_ms() > until) {
			stop_all(v);
			return EX_UNAVAILABLE;
		}
	}
	log_info("stopping");
	stop_all(v);
	return EX_OK;
}

int
daemon_serve(struct settings **s, const char *data,
    struct settings *(*reload_fn)(void *arg), void *arg)
{
	struct supervisor *v = x_alloc(sizeof(*v));
	struct buf why = {0};
	int code;

	v->settings = s;
	v->data = data;
	v->reload = reload_fn;
	v->reload_arg = arg;
	log_setup("supervisor", (*s)->log_level);
	os_no_core();
	code = supervisor_prepare(v, &why);
	if (code == EX_OK && !take_signal_set(v))
		code = EX_OSERR;
	/* All is open and bound: (5). */
	if (code == EX_OK && os_keep_few_rights() != OK)
		code = EX_OSERR;
	if (code == EX_OK)
		code = serve(v);
	if (why.n > 0)
		fprintf(
		    stderr, "restante serve: %.*s\n", STR_ARG(buf_str(&why)));
	buf_free(&why);
	supervisor_close(v);
	x_free(&v);
	return code;
}
