/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The session before login, for both protocols: gathering a command, the
 * time and bytes it may take, the phases. See login_int.h.
 */
#include "login/login_int.h"

/* ---- the environment ---- */

struct login_env *
login_env_new(const struct login_opts *o)
{
	struct login_env *e = x_alloc(sizeof(*e));

	e->kind = USER_ENV;
	e->net = o->net;
	e->auth = o->auth;
	e->mail = o->mail;
	pthread_mutex_init(&e->lock, NULL);
	login_configure(e, o);
	return e;
}

void
login_configure(struct login_env *e, const struct login_opts *o)
{
	pthread_mutex_lock(&e->lock);
	x_free_str(&e->hostname);
	e->hostname = x_dup(o->hostname);
	e->tls = o->tls;
	e->clear_never = o->clear_never;
	e->login_delay_s = o->login_delay_s;
	pthread_mutex_unlock(&e->lock);
}

void
login_env_free(struct login_env **ep)
{
	struct login_env *e = *ep;

	if (e == NULL)
		return;
	x_free_str(&e->hostname);
	x_free_str(&e->mechs_clear);
	x_free_str(&e->mechs_tls);
	pthread_mutex_destroy(&e->lock);
	x_free(ep);
}

void
login_hostname(struct session *s, struct buf *out)
{
	pthread_mutex_lock(&s->env->lock);
	buf_str_add(out, s->env->hostname);
	pthread_mutex_unlock(&s->env->lock);
}

uint32_t
login_delay(struct session *s)
{
	uint32_t v;

	pthread_mutex_lock(&s->env->lock);
	v = s->env->login_delay_s;
	pthread_mutex_unlock(&s->env->lock);
	return v;
}

bool
login_secure(struct conn *c, struct session *s)
{
	struct tls_facts tls;
	bool never;

	conn_tls(c, &tls);
	if (tls.on)
		return true;
	pthread_mutex_lock(&s->env->lock);
	never = s->env->clear_never;
	pthread_mutex_unlock(&s->env->lock);
	return !never && os_addr_loopback(conn_peer(c));
}

bool
login_can_tls(struct conn *c, struct session *s)
{
	struct tls_facts tls;
	bool can;

	conn_tls(c, &tls);
	pthread_mutex_lock(&s->env->lock);
	can = s->env->tls;
	pthread_mutex_unlock(&s->env->lock);
	return can && !tls.on;
}

void
login_mechs(struct conn *c, struct session *s, struct buf *out)
{
	struct tls_facts tls;
	bool secure = login_secure(c, s);
	str list, name;

	conn_tls(c, &tls);
	pthread_mutex_lock(&s->env->lock);
	list = tls.on ? s->env->mechs_tls : s->env->mechs_clear;
	while (sasl_mech_next(&list, &name)) {
		if (!secure && sasl_mech_plaintext(name))
			continue;
		if (!tls.has_exporter && str_ends(name, S("-PLUS")))
			continue;
		if (tls.client_name.n == 0 && str_eq(name, S("EXTERNAL")))
			continue;
		if (!sasl_mech_valid(name))
			continue;
		if (out->n > 0)
			buf_c(out, ' ');
		buf_str_add(out, name);
	}
	pthread_mutex_unlock(&s->env->lock);
}

/* ---- bytes ---- */

void
login_keep(struct buf *b, str s)
{
	struct buf bigger = {0};

	if (s.n == 0)
		return;
	if (b->cap - b->n < s.n) {
		/* By hand, since realloc would leave the old bytes about. */
		if (buf_room(&bigger, MAX(2 * b->n + s.n, 256)) == NULL)
			return;
		buf_str_add(&bigger, buf_str(b));
		login_wipe(b);
		*b = bigger;
	}
	buf_str_add(b, s);
}

void
login_wipe(struct buf *b)
{
	if (b->p != NULL)
		x_wipe(b->p, b->cap);
	buf_free(b);
	*b = (struct buf){0};
}

/* ---- gathering ---- */

/* A line has come to its end at the end of s->line. */
static enum gather
line_end(struct conn *c, struct session *s)
{
	/* A bare LF ends a line too, for people with telnet; from here on all
	 * lines end alike. */
	s->line.n--;
	if (s->line.n > s->literals && s->line.p[s->line.n - 1] == '\r')
		s->line.n--;
	if (!s->seen_line) {
		s->seen_line = true;
		if (s->d->idle_line(buf_str(&s->line)))
			return GATHER_CLOSE;
	}
	if (s->state != AT_COMMAND || s->d->line_end == NULL)
		return GATHER_RUN;
	return s->d->line_end(c, s);
}

/* TLS spoken to a port that expects words, for one. */
static bool
first_bytes_wrong(const struct session *s, str in)
{
	return !s->seen_line && s->line.n == 0 && in.n >= 2 &&
	       in.p[0] == 0x16 && in.p[1] == 0x03;
}

static enum gather
gather(struct conn *c)
{
	struct session *s = conn_user(c);
	str in = conn_input(c);

	if (s->kind != USER_SESSION)
		return GATHER_CLOSE;
	if (first_bytes_wrong(s, in))
		return GATHER_CLOSE;
	while (in.n > 0) {
		size_t n = str_chr(in, '\n');
		bool whole = n < in.n;

		n = whole ? n + 1 : in.n;
		if (s->literal > 0) {
			n = MIN(in.n, s->literal);
			whole = false;
		}
		if (s->line.n + n > limits.prelogin_bytes_max) {
			limit_hit(LIMIT_prelogin_bytes_max, STR_NONE);
			s->overlong = true;
			return GATHER_RUN;
		}
		login_keep(&s->line, str_head(in, n));
		conn_eat(c, n);
		in = conn_input(c);
		if (s->literal > 0) {
			s->literal -= n;
			s->literals = s->line.n;
		} else if (whole) {
			enum gather g = line_end(c, s);

			if (g != GATHER_MORE)
				return g;
		}
	}
	return GATHER_MORE;
}

/* ---- running ---- */

static enum next
input(struct conn *c, struct session *s)
{
	enum next next;

	if (s->overlong) {
		out_str(c, str_c(s->d->too_long));
		return NEXT_CLOSE;
	}
	if (s->state == AT_RESPONSE || s->state == AT_FINAL)
		next = login_response(c, s, buf_str(&s->line));
	else
		next = s->d->command(c, s);
	login_wipe(&s->line);
	s->literal = s->literals = 0;
	if (s->bad >= limits.bad_commands_max) {
		limit_hit(LIMIT_bad_commands_max, STR_NONE);
		out_str(c, str_c(s->d->too_long));
		return NEXT_CLOSE;
	}
	return next;
}

enum next
login_tls(struct conn *c, struct session *s)
{
	login_wipe(&s->tag);
	login_wipe(&s->name);
	login_wipe(&s->who);
	s->has_name = s->utf8 = false;
	s->seen_line = false;
	return NEXT_TLS;
}

static enum next
open_session(struct conn *c, const struct dialect *d)
{
	struct session *s = x_alloc(sizeof(*s));

	s->kind = USER_SESSION;
	s->d = d;
	s->env = conn_user(c);
	conn_set_user(c, s);
	conn_timer(c, (int64_t)limits.prelogin_s * 1000);
	d->greet(c, s);
	return NEXT_INPUT;
}

static enum next
run(struct conn *c, enum why why, const struct dialect *d)
{
	struct session *s = conn_user(c);

	if (s->kind != USER_SESSION)
		return why == WHY_OPEN ? open_session(c, d) : NEXT_CLOSE;
	switch (why) {
	case WHY_OPEN:
		return NEXT_INPUT;
	case WHY_INPUT:
		return input(c, s);
	case WHY_MORE:
		return s->state == AT_HANDOVER ? login_handover(c, s)
					       : NEXT_INPUT;
	case WHY_POKE:
		return login_poked(c, s);
	case WHY_TIMER:
		limit_hit(LIMIT_prelogin_s, STR_NONE);
		out_str(c, str_c(d->too_slow));
		return NEXT_CLOSE;
	case WHY_STOP:
		break;
	}
	out_str(c, str_c(d->stopping));
	return NEXT_CLOSE;
}

static void
closed(struct conn *c)
{
	struct session *s = conn_user(c);

	if (s->kind != USER_SESSION)
		return;
	login_abort(c, s);
	login_wipe(&s->line);
	login_wipe(&s->tag);
	login_wipe(&s->name);
	login_wipe(&s->who);
	x_wipe(s, sizeof(*s));
	x_free(&s);
}

static enum next
run_imap(struct conn *c, enum why why)
{
	return run(c, why, &login_dialect_imap);
}

static enum next
run_pop3(struct conn *c, enum why why)
{
	return run(c, why, &login_dialect_pop3);
}

const struct service login_imap = {"imap", gather, run_imap, closed,
    "* BYE [UNAVAILABLE] Too many connections: try again later\r\n"};
const struct service login_pop3 = {"pop3", gather, run_pop3, closed,
    "-ERR [SYS/TEMP] Too many connections: try again later\r\n"};
