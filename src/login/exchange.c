/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The exchange with auth, and the hand-over to mail.
 *
 * (1) While auth works the connection waits without a thread; auth's death
 *     is seen by the epoch of its channel, and is a temporary failure (R32).
 * (2) One client's bad base64, its cancelling and its vanishing end its own
 *     exchange and nothing else (R31).
 * (3) mail says the tagged OK. A client in clear is passed as its own
 *     socket; one with TLS stays here, pumped into a socketpair.
 */
#include <errno.h>

#include "login/login_int.h"

static enum next
failed(struct conn *c, struct session *s, enum auth_fail why)
{
	s->exchange = false;
	s->state = AT_COMMAND;
	s->d->failed(c, s, why);
	return NEXT_INPUT;
}

enum next
login_start(
    struct conn *c, struct session *s, str mech, bool has_initial, str initial)
{
	struct login_env *e = s->env;
	struct tls_facts tls;
	struct buf text = {0};
	struct msg m;
	uint16_t port;
	char key[16];

	conn_tls(c, &tls);
	os_addr_print(conn_peer(c), &text, &port);
	msg_new(&m, MSG_AUTH_START);
	msg_u64(&m, conn_self(c));
	msg_u8(&m, s->d->protocol);
	msg_str(&m, mech);
	msg_u8(&m, has_initial);
	msg_str(&m, initial);
	msg_str(&m, os_addr_key(conn_peer(c), key));
	msg_str(&m, buf_str(&text));
	msg_u8(&m, tls.on);
	msg_str(&m, tls.has_exporter
			? str_of(tls.exporter, sizeof(tls.exporter))
			: STR_NONE);
	msg_str(&m, tls.client_name);
	buf_free(&text);
	s->epoch = chan_epoch(e->auth);
	if (chan_send(e->auth, &m) != OK)
		return failed(c, s, AUTH_TEMP);
	s->exchange = true;
	s->state = AT_AUTH;
	return NEXT_WAIT;
}

void
login_abort(struct conn *c, struct session *s)
{
	struct msg m;

	if (!s->exchange)
		return;
	s->exchange = false;
	msg_new(&m, MSG_AUTH_ABORT);
	msg_u64(&m, conn_self(c));
	if (chan_send(s->env->auth, &m) != OK)
		log_debug("no auth to tell that a login was given up");
}

/* A line where a response to a challenge was due. */
enum next
login_response(struct conn *c, struct session *s, str line)
{
	struct buf data = {0};
	enum sasl_line kind = sasl_line(line, &data);
	enum next next = NEXT_INPUT;
	struct msg m;

	if (kind != SASL_DATA || (s->state == AT_FINAL && data.n > 0)) {
		login_abort(c, s);
		s->state = AT_COMMAND;
		s->d->cancelled(c, s, kind != SASL_CANCEL);
	} else if (s->state == AT_FINAL) {
		next = login_handover(c, s);
	} else {
		msg_new(&m, MSG_AUTH_STEP);
		msg_u64(&m, conn_self(c));
		msg_str(&m, buf_str(&data));
		if (s->epoch != chan_epoch(s->env->auth)) {
			msg_free(&m);
			next = failed(c, s, AUTH_TEMP);
		} else if (chan_send(s->env->auth, &m) != OK) {
			next = failed(c, s, AUTH_TEMP);
		} else {
			s->state = AT_AUTH;
			next = NEXT_WAIT;
		}
	}
	login_wipe(&data);
	return next;
}

/* ---- replies ---- */

static enum next
challenge(struct conn *c, str data, struct session *s, enum state then)
{
	struct buf b = {0};

	base64_put(&b, data);
	out_f(c, "+ %.*s\r\n", STR_ARG(buf_str(&b)));
	buf_free(&b);
	s->state = then;
	return NEXT_INPUT;
}

static enum next
done(struct conn *c, struct session *s, struct msg *m)
{
	str name, final;
	bool has_final;

	msg_get_bytes(m, s->grant, sizeof(s->grant));
	(void)msg_get_u64(m);
	name = msg_get_str(m);
	has_final = msg_get_u8(m) != 0;
	final = msg_get_str(m);
	if (!msg_end(m))
		return failed(c, s, AUTH_TEMP);
	s->exchange = false;
	buf_reset(&s->who);
	buf_str_add(&s->who, name);
	if (has_final)
		return challenge(c, final, s, AT_FINAL);
	return login_handover(c, s);
}

static enum next
reply(struct conn *c, struct session *s, struct msg *m)
{
	uint8_t why;
	str data;

	(void)msg_get_u64(m);
	switch (m->type) {
	case MSG_AUTH_CHALLENGE:
		data = msg_get_str(m);
		if (!msg_end(m))
			break;
		return challenge(c, data, s, AT_RESPONSE);
	case MSG_AUTH_DONE:
		return done(c, s, m);
	case MSG_AUTH_FAILED:
		why = msg_get_u8(m);
		(void)msg_get_u32(m);
		if (!msg_end(m) || why < AUTH_WRONG || why > AUTH_THROTTLED)
			break;
		return failed(c, s, (enum auth_fail)why);
	default:
		break;
	}
	return failed(c, s, AUTH_TEMP);
}

static void
drop(void *p)
{
	struct msg *m = p;

	msg_free(m);
	x_free(&m);
}

/* Something came from outside: auth's reply, or the news that auth has been
 * started anew. */
enum next
login_poked(struct conn *c, struct session *s)
{
	struct msg *m;
	enum next next;

	while ((m = conn_mail(c)) != NULL) {
		/* What answers an exchange that was given up is dropped. */
		if (s->state != AT_AUTH) {
			drop(m);
			continue;
		}
		next = reply(c, s, m);
		drop(m);
		return next;
	}
	if (s->state == AT_AUTH) {
		if (s->epoch != chan_epoch(s->env->auth))
			return failed(c, s, AUTH_TEMP); /* (1) */
		return NEXT_WAIT;
	}
	return s->state == AT_HANDOVER ? NEXT_MORE : NEXT_INPUT;
}

static bool
keep_mechs(struct login_env *e, struct msg *m)
{
	str clear = msg_get_str(m), tls = msg_get_str(m);

	if (!msg_end(m) || clear.n > MECHS_MAX || tls.n > MECHS_MAX)
		return false;
	pthread_mutex_lock(&e->lock);
	x_free_str(&e->mechs_clear);
	x_free_str(&e->mechs_tls);
	e->mechs_clear = x_dup(clear);
	e->mechs_tls = x_dup(tls);
	pthread_mutex_unlock(&e->lock);
	return true;
}

bool
login_auth_reply(struct login_env *e, struct msg *m)
{
	struct msg *copy;
	struct dec d;
	conn_id id;
	bool ok;

	switch (m->type) {
	case MSG_AUTH_MECHS:
		ok = keep_mechs(e, m);
		msg_free(m);
		return ok;
	case MSG_AUTH_CHALLENGE:
	case MSG_AUTH_DONE:
	case MSG_AUTH_FAILED:
		d = m->d;
		id = dec_u64(&d);
		if (d.bad)
			break;
		copy = x_alloc(sizeof(*copy));
		*copy = *m;
		*m = (struct msg){0};
		conn_post(e->net, id, copy, drop);
		return true;
	default:
		break;
	}
	msg_free(m);
	return false;
}

/* ---- the hand-over ---- */

static void
session_msg(struct conn *c, struct session *s, struct msg *m)
{
	struct buf tag = {0}, text = {0};

	s->d->pass(c, s, &tag, &text);
	msg_new(m, MSG_SESSION);
	msg_u64(m, conn_self(c));
	msg_bytes(m, s->grant, sizeof(s->grant));
	msg_u8(m, s->d->protocol);
	msg_str(m, buf_str(&tag));
	msg_str(m, buf_str(&text));
	buf_free(&tag);
	buf_free(&text);
}

static void
session_msg_end(struct conn *c, struct msg *m, str input, int fd)
{
	struct tls_facts tls;
	struct buf text = {0};
	uint16_t port = 0;

	conn_tls(c, &tls);
	os_addr_print(conn_peer(c), &text, &port);
	msg_str(m, input);
	msg_str(m, buf_str(&text));
	msg_u16(m, port);
	msg_u8(m, tls.on);
	msg_str(m, tls.version);
	msg_str(m, tls.cipher);
	msg_fd(m, fd);
	buf_free(&text);
}

/* TLS ends here: mail gets one end of a socketpair. Input that is already
 * there goes through the pump. */
static enum next
hand_over_tls(struct conn *c, struct session *s)
{
	struct msg m;
	int fd[2];

	if (os_socketpair(SOCK_STREAM, fd) != 0) {
		log_warn("no socketpair for a session", KV_ERRNO(errno));
		return failed(c, s, AUTH_TEMP);
	}
	session_msg(c, s, &m);
	session_msg_end(c, &m, STR_NONE, fd[0]);
	if (chan_send(s->env->mail, &m) != OK) {
		os_close(&fd[1]);
		return failed(c, s, AUTH_TEMP);
	}
	conn_timer(c, 0);
	conn_authenticated(c, true);
	conn_pump(c, fd[1]);
	return NEXT_PUMP;
}

enum next
login_handover(struct conn *c, struct session *s)
{
	struct buf rest = {0};
	struct tls_facts tls;
	struct msg m;
	int fd;

	s->state = AT_HANDOVER;
	if (out_queued(c) > 0)
		return NEXT_MORE;
	if (chan_fd(s->env->mail) < 0)
		return failed(c, s, AUTH_TEMP);
	conn_tls(c, &tls);
	if (tls.on)
		return hand_over_tls(c, s);
	session_msg(c, s, &m);
	if ((fd = conn_detach(c, &rest)) < 0) {
		msg_free(&m);
		buf_free(&rest);
		return NEXT_CLOSE;
	}
	session_msg_end(c, &m, buf_str(&rest), fd);
	/* mail may have gone this very moment; the client shall know. */
	if (chan_offer(s->env->mail, &m) != OK) {
		(void)os_write_all(fd, s->d->stopping, strlen(s->d->stopping));
		msg_free(&m);
	}
	login_wipe(&rest);
	return NEXT_GONE;
}
