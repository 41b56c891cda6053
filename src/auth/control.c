/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The control socket: the command line's verbs, run by the server.
 *
 * (1) Only root and the user of this process are listened to (R122).
 * (2) One verb at a time per connection, on a thread of the pool; its
 *     output is sent as fast as the peer reads.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "auth/serve.h"

#define ARGS_MAX 8

struct control {
	struct watch w;
	struct control *next;
	struct chan *ch;
	struct verb_job *job; /* runs */
	struct buf lines;     /* enc_str each */
	size_t sent;          /* bytes of lines */
	bool ended;           /* the result is there to be sent */
	enum err result;
	struct buf why;
};

struct verb_job {
	struct job j;
	struct server *s;
	struct control *c; /* NULL: it has gone */
	struct msg m;      /* holds verb and args */
	str verb, arg[ARGS_MAX];
	size_t n;
	int fd;
	enum err e;
	struct buf lines, why;
	struct effects fx;
};

static void
control_free(struct server *s, struct watch *w)
{
	struct control *c = (struct control *)w;

	chan_free(&c->ch);
	buf_free(&c->lines);
	buf_free(&c->why);
	x_free(&c);
}

static void
control_drop(struct server *s, struct control *c)
{
	struct control **at;

	if (c->job != NULL)
		c->job->c = NULL;
	c->job = NULL;
	for (at = &s->controls; *at != NULL && *at != c; at = &(*at)->next)
		;
	if (*at == NULL)
		return;
	*at = c->next;
	s->ncontrols--;
	watch_end(s, &c->w);
}

static void
verb_line(void *ctx, str line)
{
	enc_str(ctx, line);
}

static void
verb_work(struct job *j)
{
	struct verb_job *v = (struct verb_job *)j;

	v->e = verb_run(v->s->a, v->verb, v->arg, v->n, v->fd, verb_line,
	    &v->lines, &v->why, &v->fx);
	if (!buf_ok(&v->lines) && v->e == OK)
		v->e = ERR_NOMEM;
}

/* (2): sends while it is taken; the last word is the result. */
static void
control_pump(struct server *s, struct control *c)
{
	struct msg m;
	struct dec d;
	bool full = false;

	while (c->ended && !(full = chan_flush(c->ch))) {
		if (c->sent < c->lines.n) {
			d = dec_of(str_from(buf_str(&c->lines), c->sent));
			msg_new(&m, MSG_CTL_LINE);
			msg_str(&m, dec_str(&d));
			c->sent = (size_t)(d.p - c->lines.p);
		} else {
			c->ended = false;
			msg_new(&m, MSG_CTL_END);
			msg_u8(&m, (uint8_t)c->result);
			msg_str(&m, buf_str(&c->why));
			buf_free(&c->lines);
			c->sent = 0;
		}
		if (chan_send(c->ch, &m) != OK) {
			control_drop(s, c);
			return;
		}
	}
	if (!c->ended)
		full = chan_flush(c->ch);
	watch_set(s, &c->w, full ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void
verb_done(struct job *j, void *arg)
{
	struct verb_job *v = (struct verb_job *)j;
	struct control *c = v->c;

	if (v->e == OK)
		follow_up(arg, &v->fx);
	log_info("command", KV_S("verb", v->verb), KV_ERR(v->e));
	if (c != NULL) {
		c->job = NULL;
		buf_free(&c->lines);
		buf_free(&c->why);
		c->lines = v->lines;
		c->why = v->why;
		c->result = v->e;
		c->sent = 0;
		c->ended = true;
		control_pump(arg, c);
	} else {
		buf_free(&v->lines);
		buf_free(&v->why);
	}
	if (v->fd >= 0)
		os_close(&v->fd);
	if (v->m.b.p != NULL)
		x_wipe(v->m.b.p, v->m.b.n);
	msg_free(&v->m);
	x_free(&v);
}

/* Takes m. False: the peer is dropped. */
static bool
control_message(struct server *s, struct control *c, struct msg *m)
{
	struct verb_job *v = x_alloc(sizeof(*v));
	uint32_t n;

	v->j.run = verb_work;
	v->j.done = verb_done;
	v->s = s;
	v->c = c;
	v->m = *m;
	v->verb = msg_get_str(&v->m);
	n = msg_get_u32(&v->m);
	for (uint32_t i = 0; i < n && i < ARGS_MAX; i++)
		v->arg[i] = msg_get_str(&v->m);
	v->n = n;
	v->fd = v->m.nfds > 0 ? msg_get_fd(&v->m) : -1;
	if (v->m.type == MSG_CTL && n <= ARGS_MAX && msg_end(&v->m) &&
	    c->job == NULL && !c->ended && pool_put(s->pool, &v->j)) {
		c->job = v;
		return true;
	}
	if (v->fd >= 0)
		os_close(&v->fd);
	if (v->m.b.p != NULL)
		x_wipe(v->m.b.p, v->m.b.n);
	msg_free(&v->m);
	x_free(&v);
	return false;
}

static void
control_ready(struct server *s, struct watch *w, uint32_t events)
{
	struct control *c = (struct control *)w;
	bool dead = false;
	struct msg m;

	while (!dead && chan_recv(c->ch, &m, &dead))
		if (!control_message(s, c, &m))
			dead = true;
	if (dead)
		control_drop(s, c);
	else
		control_pump(s, c);
}

void
control_accept(struct server *s, struct watch *w, uint32_t events)
{
	struct os_addr from;
	struct control *c;
	uid_t uid;
	int fd;

	if ((fd = os_accept(w->fd, &from)) < 0)
		return;
	if (os_peer_uid(fd, &uid) != 0 || (uid != 0 && uid != geteuid())) {
		log_warn("a stranger at the control socket", KV_N("uid", uid));
		os_close(&fd);
		return;
	}
	if (s->ncontrols >= CONTROLS_MAX) {
		os_close(&fd);
		return;
	}
	c = x_alloc(sizeof(*c));
	c->w.ready = control_ready;
	c->w.free = control_free;
	c->ch = chan_new(fd);
	if (watch_add(s, &c->w, fd, EPOLLIN) != OK) {
		control_free(s, &c->w);
		return;
	}
	c->next = s->controls;
	s->controls = c;
	s->ncontrols++;
}

void
controls_end(struct server *s)
{
	while (s->controls != NULL)
		control_drop(s, s->controls);
}
