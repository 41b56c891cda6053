/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The LMTP session: who may deliver, gathering commands and messages, the
 * phases. See lmtp_int.h.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "lmtp/lmtp_int.h"

/* ---- networks ---- */

static bool
network_get(str word, struct network *n)
{
	char text[64];
	str rest = word, addr = str_cut(&rest, '/');
	uint32_t bits;

	if (addr.n == 0 || addr.n >= sizeof(text))
		return false;
	memcpy(text, addr.p, addr.n);
	text[addr.n] = '\0';
	*n = (struct network){0};
	if (inet_pton(AF_INET, text, n->addr) == 1)
		n->len = 4;
	else if (inet_pton(AF_INET6, text, n->addr) == 1)
		n->len = 16;
	else
		return false;
	bits = n->len * 8u;
	if (addr.n < word.n && (!str_u32(rest, &bits) || bits > n->len * 8u))
		return false;
	n->bits = (uint8_t)bits;
	return true;
}

/* The next word of the list; false at its end. */
static bool
next_word(str *list, str *word)
{
	while (list->n > 0) {
		size_t n = 0;

		while (n < list->n && strchr(", \t\r\n", list->p[n]) == NULL)
			n++;
		*word = str_head(*list, n);
		*list = str_from(*list, n + 1);
		if (word->n > 0)
			return true;
	}
	return false;
}

bool
lmtp_networks_valid(str list)
{
	struct network n;
	str word;

	while (next_word(&list, &word))
		if (!network_get(word, &n))
			return false;
	return true;
}

static bool
network_has(const struct network *n, const uint8_t *addr, size_t len)
{
	size_t whole = n->bits / 8, left = n->bits % 8;

	if (len != n->len || memcmp(n->addr, addr, whole) != 0)
		return false;
	return left == 0 ||
	       ((n->addr[whole] ^ addr[whole]) & (0xff00 >> left) & 0xff) == 0;
}

static bool
known_network(struct lmtp_env *e, const struct os_addr *peer)
{
	const uint8_t *addr;
	size_t len = 4;
	bool known = false;

	if (peer->ss.ss_family == AF_INET) {
		addr = (const uint8_t *)&((const struct sockaddr_in *)&peer->ss)
			   ->sin_addr;
	} else if (peer->ss.ss_family == AF_INET6) {
		const struct in6_addr *a =
		    &((const struct sockaddr_in6 *)&peer->ss)->sin6_addr;

		addr = a->s6_addr;
		len = 16;
		if (IN6_IS_ADDR_V4MAPPED(a)) {
			addr += 12;
			len = 4;
		}
	} else {
		return false;
	}
	pthread_mutex_lock(&e->lock);
	for (size_t i = 0; i < e->nnetworks; i++)
		known = known || network_has(&e->networks[i], addr, len);
	pthread_mutex_unlock(&e->lock);
	return known;
}

/* ---- the environment ---- */

struct lmtp_env *
lmtp_env_new(const struct lmtp_opts *o)
{
	struct lmtp_env *e = x_alloc(sizeof(*e));

	e->kind = USER_ENV;
	e->net = o->net;
	e->auth = o->auth;
	e->mail = o->mail;
	pthread_mutex_init(&e->lock, NULL);
	lmtp_configure(e, o);
	return e;
}

void
lmtp_configure(struct lmtp_env *e, const struct lmtp_opts *o)
{
	str list = o->networks, word;
	struct network n;

	pthread_mutex_lock(&e->lock);
	x_free_str(&e->hostname);
	e->hostname = x_dup(o->hostname);
	e->bare_lf_fix = o->bare_lf_fix;
	e->tls = o->tls;
	e->client_ca = o->client_ca;
	x_free(&e->networks);
	e->nnetworks = 0;
	while (next_word(&list, &word)) {
		if (!network_get(word, &n)) {
			log_warn("no network", KV_S("lmtp_networks", word));
			continue;
		}
		e->networks =
		    x_grow(e->networks, e->nnetworks + 1, sizeof(*e->networks));
		e->networks[e->nnetworks++] = n;
	}
	pthread_mutex_unlock(&e->lock);
}

void
lmtp_env_free(struct lmtp_env **ep)
{
	struct lmtp_env *e = *ep;

	if (e == NULL)
		return;
	x_free_str(&e->hostname);
	x_free(&e->networks);
	pthread_mutex_destroy(&e->lock);
	x_free(ep);
}

void
lmtp_hostname(struct lmtp_env *e, struct buf *out)
{
	pthread_mutex_lock(&e->lock);
	buf_str_add(out, e->hostname);
	pthread_mutex_unlock(&e->lock);
}

static bool
env_flag(struct lmtp_env *e, const bool *flag)
{
	bool v;

	pthread_mutex_lock(&e->lock);
	v = *flag;
	pthread_mutex_unlock(&e->lock);
	return v;
}

bool
lmtp_offers_tls(struct conn *c, struct session *s)
{
	struct tls_facts tls;

	conn_tls(c, &tls);
	return !tls.on && env_flag(s->env, &s->env->tls);
}

bool
lmtp_may_deliver(struct conn *c, struct session *s)
{
	struct tls_facts tls;

	conn_tls(c, &tls);
	if (s->trusted || tls.client_name.n > 0) {
		conn_authenticated(c, true);
		return true;
	}
	if (tls.on)
		out_s(c,
		    "550 5.7.1 From there, mail is taken only with a client "
		    "certificate\r\n");
	else
		out_s(c, "530 5.7.0 Send STARTTLS first, with a client "
			 "certificate\r\n");
	return false;
}

/* ---- the transaction ---- */

void
lmtp_reset(struct session *s)
{
	data_free(&s->data);
	buf_free(&s->summary);
	buf_free(&s->id);
	s->message = STR_NONE;
	s->v = NULL;
	s->nok = s->told = s->n = s->cap = 0;
	s->sent = s->answered = 0;
	s->has_mail = s->bdat = s->bdat_skip = s->bdat_last = false;
	s->mail = (struct smtp_mail){0};
	s->mode = IN_COMMAND;
	arena_free(&s->a);
}

/* ---- gathering ---- */

static enum gather
gather_line(struct conn *c, struct session *s, str in)
{
	size_t n = str_chr(in, '\n');
	bool whole = n < in.n;

	n = whole ? n + 1 : in.n;
	if (s->line.n + n > limits.prelogin_bytes_max) {
		limit_hit(LIMIT_prelogin_bytes_max, STR_NONE);
		s->overlong = true;
		return GATHER_RUN;
	}
	buf_str_add(&s->line, str_head(in, n));
	conn_eat(c, n);
	if (!whole)
		return GATHER_MORE;
	s->line.n--;
	if (s->line.n > 0 && s->line.p[s->line.n - 1] == '\r')
		s->line.n--;
	return GATHER_RUN;
}

static enum gather
gather_bdat(struct conn *c, struct session *s, str in)
{
	size_t n = (size_t)MIN(in.n, s->bdat_left);

	if (!s->bdat_skip)
		data_add(&s->data, str_head(in, n));
	conn_eat(c, n);
	s->bdat_left -= n;
	return s->bdat_left == 0 ? GATHER_RUN : GATHER_MORE;
}

static enum gather
gather(struct conn *c)
{
	struct session *s = conn_user(c);
	enum gather g = GATHER_MORE;
	bool end;
	str in;

	if (s->kind != USER_SESSION)
		return GATHER_CLOSE;
	conn_timer(c, (int64_t)limits.lmtp_idle_s * 1000);
	while (g == GATHER_MORE && (in = conn_input(c)).n > 0) {
		switch (s->mode) {
		case IN_COMMAND:
			g = gather_line(c, s, in);
			break;
		case IN_DATA:
			conn_eat(c, data_eat(&s->data, in, &end));
			if (end)
				g = GATHER_RUN;
			break;
		case IN_BDAT:
			g = gather_bdat(c, s, in);
			break;
		case IN_DELIVERY:
			return GATHER_MORE;
		}
	}
	return g;
}

/* ---- running ---- */

static enum next
greet(struct conn *c, struct session *s)
{
	struct buf b = {0};

	if (!s->trusted && !env_flag(s->env, &s->env->client_ca)) {
		out_s(c, "554 5.7.1 Mail is not taken from there: see "
			 "lmtp_networks\r\n");
		return NEXT_CLOSE;
	}
	buf_s(&b, "220 ");
	lmtp_hostname(s->env, &b);
	buf_s(&b, " restante LMTP ready\r\n");
	out_str(c, buf_str(&b));
	buf_free(&b);
	return NEXT_INPUT;
}

static enum next
open_session(struct conn *c)
{
	struct session *s = x_alloc(sizeof(*s));

	s->kind = USER_SESSION;
	s->env = conn_user(c);
	s->data.fd = -1;
	s->trusted = os_addr_loopback(conn_peer(c)) ||
		     known_network(s->env, conn_peer(c));
	conn_set_user(c, s);
	conn_describe(c, S("lmtp"));
	conn_authenticated(c, s->trusted);
	conn_timer(c, (int64_t)limits.lmtp_idle_s * 1000);
	return greet(c, s);
}

static enum next
bdat_done(struct conn *c, struct session *s)
{
	s->mode = IN_COMMAND;
	if (s->bdat_skip) {
		out_s(c, "503 5.5.1 Say MAIL FROM and RCPT TO first\r\n");
		return NEXT_INPUT;
	}
	if (s->bdat_last)
		return lmtp_data_done(c, s);
	if (s->data.faults & DATA_TOOBIG)
		out_s(c, "552 5.3.4 The message is too large\r\n");
	else if (s->data.faults != DATA_GOOD)
		out_s(c, "451 4.3.1 Out of memory: try again\r\n");
	else
		out_s(c, "250 2.0.0 And then?\r\n");
	return NEXT_INPUT;
}

static enum next
input(struct conn *c, struct session *s)
{
	enum next next;

	if (s->overlong) {
		out_s(c, "500 5.5.2 That line is too long\r\n");
		return NEXT_CLOSE;
	}
	switch (s->mode) {
	case IN_COMMAND:
		next = lmtp_command(c, s);
		/* An empty chunk brings no input that could end it. */
		if (next == NEXT_INPUT && s->mode == IN_BDAT &&
		    s->bdat_left == 0)
			return bdat_done(c, s);
		return next;
	case IN_DATA:
		return lmtp_data_done(c, s);
	case IN_BDAT:
		return bdat_done(c, s);
	case IN_DELIVERY:
		break;
	}
	return NEXT_HOLD;
}

static void
drop(void *p)
{
	struct msg *m = p;

	msg_free(m);
	x_free(&m);
}

static enum next
poked(struct conn *c, struct session *s)
{
	enum next next = NEXT_INPUT;
	struct msg *m;
	bool delivered = false;

	while ((m = conn_mail(c)) != NULL) {
		if (m->type != MSG_DELIVERED) {
			lmtp_rcpt_reply(s, m);
		} else if (s->mode == IN_DELIVERY) {
			next = lmtp_delivered(c, s, m);
			delivered = true;
		}
		drop(m);
	}
	if (s->told < s->n && s->auth_epoch != chan_epoch(s->env->auth))
		lmtp_rcpt_lost(s);
	lmtp_rcpt_flush(c, s);
	if (s->mode == IN_DELIVERY) {
		if (s->mail_epoch != chan_epoch(s->env->mail))
			return lmtp_delivery_lost(c, s);
		return NEXT_HOLD;
	}
	if (delivered)
		return next;
	if (s->held)
		return s->told < s->n ? NEXT_HOLD : input(c, s);
	return NEXT_INPUT;
}

static enum next
idled(struct conn *c, struct session *s)
{
	if (s->mode == IN_DELIVERY || s->told < s->n)
		conn_timer(c, (int64_t)limits.lmtp_idle_s * 1000);
	if (s->mode == IN_DELIVERY)
		return NEXT_HOLD;
	if (s->told < s->n) { /* auth is silent: the client is not to blame */
		lmtp_rcpt_lost(s);
		lmtp_rcpt_flush(c, s);
		return s->held ? input(c, s) : NEXT_INPUT;
	}
	limit_hit(LIMIT_lmtp_idle_s, STR_NONE);
	out_s(c, "421 4.4.2 Nothing came for too long\r\n");
	return NEXT_CLOSE;
}

static enum next
stop(struct conn *c, struct session *s)
{
	/* What mail is about to make durable is still answered for. */
	if (s->mode == IN_DELIVERY && !s->stopping) {
		s->stopping = true;
		return NEXT_HOLD;
	}
	out_s(c, "421 4.3.2 The server stops: come again soon\r\n");
	return NEXT_CLOSE;
}

static enum next
run(struct conn *c, enum why why)
{
	struct session *s = conn_user(c);

	if (s->kind != USER_SESSION)
		return why == WHY_OPEN ? open_session(c) : NEXT_CLOSE;
	switch (why) {
	case WHY_INPUT:
		return input(c, s);
	case WHY_POKE:
		return poked(c, s);
	case WHY_TIMER:
		return idled(c, s);
	case WHY_STOP:
		return stop(c, s);
	case WHY_OPEN:
	case WHY_MORE:
		break;
	}
	return NEXT_INPUT;
}

static void
closed(struct conn *c)
{
	struct session *s = conn_user(c);

	if (s->kind != USER_SESSION)
		return;
	lmtp_reset(s);
	buf_free(&s->line);
	buf_free(&s->helo);
	x_free(&s);
}

const struct service lmtp_service = {"lmtp", gather, run, closed,
    "421 4.3.2 Too many connections: try again later\r\n"};

bool
lmtp_reply(struct lmtp_env *e, struct msg *m)
{
	struct msg *copy;
	struct dec d = m->d;
	conn_id id = dec_u64(&d);

	if (d.bad || (m->type != MSG_RCPT_OK && m->type != MSG_RCPT_NO &&
			 m->type != MSG_DELIVERED)) {
		msg_free(m);
		return false;
	}
	copy = x_alloc(sizeof(*copy));
	*copy = *m;
	*m = (struct msg){0};
	conn_post(e->net, id, copy, drop);
	return true;
}
