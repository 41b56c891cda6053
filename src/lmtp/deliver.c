/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The message is here: it is described, and handed to mail with the grants
 * of its recipients. Many recipients go in several batches, one after the
 * other, since a message between processes is bounded.
 */
#include "lmtp/lmtp_int.h"
#include "mime/mime.h"
#include "os/os.h"

/* Of MSG_MAX, what recipients may take; content that then finds no room goes
 * in a file. */
#define BATCH_BYTES 90000

static void
say(struct conn *c, const struct rcpt *r, const char *reply)
{
	/* "250 2.0.0 <path> text" */
	out_str(c, str_head(str_c(reply), 10));
	out_s(c, "<");
	out_str(c, r->path);
	out_s(c, "> ");
	out_str(c, str_from(str_c(reply), 10));
	out_s(c, "\r\n");
}

static const char *
result_reply(enum err e)
{
	switch (e) {
	case OK:
		return "250 2.0.0 Delivered";
	case ERR_FULL:
		return "452 4.3.1 The disk is full: try again later";
	case ERR_OVERQUOTA:
		return "452 4.2.2 The mailbox is full";
	case ERR_LIMIT:
		return "452 4.2.2 The mailbox has reached a limit";
	case ERR_TOOBIG:
		return "552 5.3.4 The message is too large";
	case ERR_NOTFOUND:
		return "550 5.1.1 Nobody of that name lives here any more";
	case ERR_NOMEM:
		return "451 4.3.1 Out of memory: try again";
	default:
		return "451 4.3.0 Not delivered now: try again";
	}
}

static const char *
fault_reply(unsigned faults)
{
	if (faults & DATA_NUL)
		return "550 5.5.2 NUL in the message";
	if (faults & DATA_BARE_CR)
		return "550 5.5.2 Bare CR in the message: lines end with CR LF";
	if (faults & DATA_BARE_LF)
		return "550 5.5.2 Bare LF in the message: lines end with CR LF";
	if (faults & DATA_TOOBIG)
		return "552 5.3.4 The message is too large";
	return "451 4.3.1 Out of memory: try again";
}

/* The same for everybody that was not answered yet; ends the transaction. */
static enum next
all(struct conn *c, struct session *s, const char *reply)
{
	for (; s->answered < s->nok; s->answered++)
		say(c, &s->v[s->answered], reply);
	lmtp_reset(s);
	return s->stopping ? NEXT_CLOSE : NEXT_INPUT;
}

/* ---- the recipient's own header lines ---- */

static void
put_client(struct conn *c, struct session *s, struct buf *b)
{
	int family = conn_peer(c)->ss.ss_family;
	uint16_t port;

	buf_s(b, "Received: from ");
	buf_str_add(b, buf_str(&s->helo));
	if (family != AF_INET && family != AF_INET6) {
		buf_s(b, " (local)\r\n");
		return;
	}
	buf_s(b, " ([");
	if (family == AF_INET6)
		buf_s(b, "IPv6:");
	os_addr_print(conn_peer(c), b, &port);
	buf_s(b, "])\r\n");
}

static str
prefix(struct conn *c, struct session *s, const struct rcpt *r, str id)
{
	struct tls_facts tls;
	struct buf b = {0};
	str out;

	conn_tls(c, &tls);
	buf_s(&b, "Return-Path: <");
	buf_str_add(&b, s->mail.from.path);
	buf_s(&b, ">\r\nDelivered-To: ");
	buf_str_add(&b, r->path);
	buf_s(&b, "\r\n");
	put_client(c, s, &b);
	buf_s(&b, "\tby ");
	lmtp_hostname(s->env, &b);
	buf_f(&b, " (restante) with %sLMTP%s id %.*s\r\n\tfor <",
	    s->mail.utf8 ? "UTF8" : "", tls.on ? "S" : "", STR_ARG(id));
	buf_str_add(&b, r->path);
	buf_s(&b, ">; ");
	mime_date_print(s->arrival, &b);
	buf_s(&b, "\r\n");
	out = arena_buf(s->a, &b);
	buf_free(&b);
	return out;
}

static bool
prefixes(struct conn *c, struct session *s)
{
	uint8_t random[8];

	os_random(random, sizeof(random));
	buf_reset(&s->id);
	hex_put(&s->id, str_of(random, sizeof(random)));
	for (size_t i = 0; i < s->nok; i++)
		s->v[i].prefix = prefix(c, s, &s->v[i], buf_str(&s->id));
	return !arena_failed(s->a);
}

/* ---- to mail ---- */

/* The next batch: recipients from s->sent on. */
static enum next
send_batch(struct conn *c, struct session *s)
{
	size_t bytes = 0, to = s->sent;
	struct msg m;
	enum err e;

	while (to < s->nok && (bytes += s->v[to].prefix.n + 32) <= BATCH_BYTES)
		to++;
	msg_new(&m, MSG_DELIVER);
	msg_u64(&m, conn_self(c));
	msg_u32(&m, (uint32_t)(to - s->sent));
	for (size_t i = s->sent; i < to; i++) {
		msg_bytes(&m, s->v[i].grant, sizeof(s->v[i].grant));
		msg_str(&m, s->v[i].prefix);
	}
	msg_i64(&m, s->arrival.sec);
	msg_i64(&m, s->arrival.zone_min);
	if (s->data.fd >= 0)
		e = msg_blob_fd(&m, s->data.fd, s->message.n);
	else
		e = msg_blob(&m, s->message);
	if (e != OK || (e = msg_blob(&m, buf_str(&s->summary))) != OK) {
		msg_free(&m);
		return all(c, s, result_reply(e));
	}
	s->mail_epoch = chan_epoch(s->env->mail);
	if ((e = chan_send(s->env->mail, &m)) != OK)
		return all(c, s, result_reply(e));
	s->sent = to;
	s->mode = IN_DELIVERY;
	if (s->sent == s->nok) { /* nobody else will need it */
		data_free(&s->data);
		buf_free(&s->summary);
	}
	return NEXT_HOLD;
}

/* The last byte of the message has come. */
enum next
lmtp_data_done(struct conn *c, struct session *s)
{
	enum err e;

	s->mode = IN_COMMAND;
	s->answered = s->sent = 0;
	if (s->data.faults != DATA_GOOD) {
		log_info("message refused",
		    KV_C("why", fault_reply(s->data.faults)),
		    KV_S("from", s->mail.from.path));
		return all(c, s, fault_reply(s->data.faults));
	}
	s->arrival = os_now();
	e = data_whole(&s->data, &s->message);
	if (e == OK)
		e = mime_summarise(s->message, &s->summary);
	if (e == OK && !prefixes(c, s))
		e = ERR_NOMEM;
	if (e != OK)
		return all(c, s, result_reply(e));
	return send_batch(c, s);
}

enum next
lmtp_delivered(struct conn *c, struct session *s, struct msg *m)
{
	uint32_t n;
	uint8_t v[4096];

	(void)msg_get_u64(m);
	n = msg_get_u32(m);
	if (n != s->sent - s->answered || n > sizeof(v))
		return lmtp_delivery_lost(c, s);
	for (uint32_t i = 0; i < n; i++)
		v[i] = msg_get_u8(m);
	if (!msg_end(m))
		return lmtp_delivery_lost(c, s);
	for (uint32_t i = 0; i < n; i++) {
		enum err e = v[i] < ERR_MAX ? (enum err)v[i] : ERR_INVALID;
		struct rcpt *r = &s->v[s->answered++];

		log_at(e == OK ? LOG_INFO : LOG_WARN,
		    e == OK ? "delivered" : "not delivered",
		    KV_S("id", buf_str(&s->id)),
		    KV_S("from", s->mail.from.path), KV_S("to", r->path),
		    KV_N("size", s->message.n), KV_ERR(e));
		say(c, r, result_reply(e));
	}
	if (s->sent < s->nok)
		return send_batch(c, s);
	return all(c, s, "");
}

/* mail has gone: whether it had stored the message, nobody knows; the client
 * tries again. */
enum next
lmtp_delivery_lost(struct conn *c, struct session *s)
{
	return all(c, s, result_reply(ERR_UNAVAILABLE));
}

enum err
lmtp_delivery_get(struct msg *m, struct arena *a, struct lmtp_delivery *d)
{
	*d = (struct lmtp_delivery){0};
	d->conn = msg_get_u64(m);
	d->n = msg_get_u32(m);
	if (d->n == 0 || d->n > MSG_MAX / 17)
		return ERR_INVALID;
	if ((d->to = arena_array(a, d->n, sizeof(*d->to))) == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < d->n; i++) {
		msg_get_bytes(m, d->to[i].grant, sizeof(d->to[i].grant));
		d->to[i].prefix = msg_get_str(m);
	}
	d->arrival.sec = msg_get_i64(m);
	d->arrival.zone_min = (int16_t)msg_get_i64(m);
	if (d->arrival.zone_min < -1439 || d->arrival.zone_min > 1439)
		return ERR_INVALID;
	if (msg_get_blob(m, limits.message_size_max, &d->message) != OK)
		return ERR_INVALID;
	/* A summary repeats what it describes, but not much more. */
	if (msg_get_blob(m, UINT32_MAX, &d->summary) != OK) {
		blob_free(&d->message);
		return ERR_INVALID;
	}
	if (msg_end(m))
		return OK;
	blob_free(&d->message);
	blob_free(&d->summary);
	return ERR_INVALID;
}
