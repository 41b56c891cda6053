/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * RCPT: auth is asked about all pipelined recipients at once, the replies
 * go out in the order of the commands.
 */
#include "lmtp/lmtp_int.h"

#define TEMPORARY \
	"451 4.3.0 Cannot say now whether that one lives here: try again\r\n"

static struct rcpt *
push(struct session *s)
{
	struct rcpt *r;

	if (!ARENA_PUSH(s->a, s->v, s->n, s->cap))
		return NULL;
	r = &s->v[s->n++];
	*r = (struct rcpt){.state = RCPT_ASKED, .index = s->next_index++};
	return r;
}

static void
ask(struct conn *c, struct session *s, struct rcpt *r,
    const struct smtp_path *to)
{
	struct msg m;

	if (s->told == s->n - 1)
		s->auth_epoch = chan_epoch(s->env->auth);
	msg_new(&m, MSG_RCPT);
	msg_u64(&m, conn_self(c));
	msg_u32(&m, r->index);
	msg_str(&m, to->address);
	msg_u8(&m, to->utf8);
	if (chan_send(s->env->auth, &m) != OK) {
		r->state = RCPT_NO;
		r->no = TEMPORARY;
	}
}

enum next
lmtp_rcpt(struct conn *c, struct session *s, str rest)
{
	struct smtp_path to = {0};
	const char *why = NULL;
	struct rcpt *r;

	if (!s->has_mail)
		why = "503 5.5.1 Say MAIL FROM first\r\n";
	else if (s->bdat)
		why = "503 5.5.1 The message has begun: finish it, or say "
		      "RSET\r\n";
	else if (s->nok + (s->n - s->told) >= limits.lmtp_recipients_max) {
		limit_hit(LIMIT_lmtp_recipients_max, STR_NONE);
		why = "452 4.5.3 Too many recipients: send the rest in another "
		      "transaction\r\n";
	} else if ((why = smtp_rcpt(s->a, rest, &to)) == NULL && to.utf8 &&
		   !s->mail.utf8)
		why = "553 5.6.7 That address needs SMTPUTF8 with MAIL\r\n";
	if (why != NULL && s->told == s->n) {
		out_str(c, str_c(why));
		s->bad += !s->has_mail;
		return NEXT_INPUT;
	}
	/* With others before it that wait, a refusal waits too. */
	if ((r = push(s)) == NULL) {
		out_s(c, "421 4.3.1 Out of memory\r\n");
		return NEXT_CLOSE;
	}
	if (why == NULL && (r->path = arena_dup(s->a, to.path)).p == NULL)
		why = "452 4.3.1 Out of memory\r\n";
	if (why != NULL) {
		r->state = RCPT_NO;
		r->no = why;
	} else {
		ask(c, s, r, &to);
	}
	lmtp_rcpt_flush(c, s);
	return NEXT_INPUT;
}

/* Replies, in order, as far as they are known. */
void
lmtp_rcpt_flush(struct conn *c, struct session *s)
{
	while (s->told < s->n && s->v[s->told].state != RCPT_ASKED) {
		struct rcpt *r = &s->v[s->told++];

		if (r->state == RCPT_NO) {
			out_str(c, str_c(r->no));
			continue;
		}
		out_s(c, "250 2.1.5 Mail for that one is taken\r\n");
		s->v[s->nok++] = *r;
	}
	if (s->told == s->n)
		s->told = s->n = s->nok;
}

static const char *
refusal(uint8_t why)
{
	switch (why) {
	case RCPT_UNKNOWN:
		return "550 5.1.1 Nobody of that name lives here\r\n";
	case RCPT_DISABLED:
		return "550 5.2.1 That mailbox is closed\r\n";
	case RCPT_SYNTAX:
		return "501 5.1.3 That is no address\r\n";
	default:
		return TEMPORARY;
	}
}

void
lmtp_rcpt_reply(struct session *s, struct msg *m)
{
	uint8_t grant[16] = {0}, why = 0;
	struct rcpt *r;
	uint32_t index;

	(void)msg_get_u64(m);
	index = msg_get_u32(m);
	if (m->type == MSG_RCPT_OK) {
		msg_get_bytes(m, grant, sizeof(grant));
		(void)msg_get_u64(m);
		(void)msg_get_str(m);
		(void)msg_get_str(m);
	} else {
		why = msg_get_u8(m);
	}
	/* Indices of those that wait follow each other. */
	if (s->told == s->n || index - s->v[s->told].index >= s->n - s->told)
		return;
	r = &s->v[s->told + (index - s->v[s->told].index)];
	if (r->state != RCPT_ASKED)
		return;
	if (m->type == MSG_RCPT_OK && msg_end(m)) {
		r->state = RCPT_YES;
		memcpy(r->grant, grant, sizeof(grant));
	} else {
		r->state = RCPT_NO;
		r->no = refusal(why);
	}
}

void
lmtp_rcpt_lost(struct session *s)
{
	for (size_t i = s->told; i < s->n; i++) {
		if (s->v[i].state != RCPT_ASKED)
			continue;
		s->v[i].state = RCPT_NO;
		s->v[i].no = TEMPORARY;
	}
}
