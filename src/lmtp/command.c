/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * LMTP's commands but RCPT: LHLO, MAIL, DATA, BDAT, RSET, NOOP, VRFY, HELP,
 * STARTTLS, QUIT (RFC 2033, 3030, 3207).
 */
#include "lmtp/lmtp_int.h"

static enum next
answer(struct conn *c, const char *text)
{
	out_str(c, str_c(text));
	out_s(c, "\r\n");
	return NEXT_INPUT;
}

static enum next
bad(struct conn *c, struct session *s, const char *text)
{
	s->bad++;
	return answer(c, text);
}

static enum next
cmd_lhlo(struct conn *c, struct session *s, str rest)
{
	struct buf b = {0};
	str name;

	if (!smtp_helo(rest, &name))
		return bad(c, s, "501 5.5.4 Say LHLO and your host's name");
	lmtp_reset(s);
	buf_reset(&s->helo);
	buf_str_add(&s->helo, name);
	buf_s(&b, "250-");
	lmtp_hostname(s->env, &b);
	buf_f(&b,
	    "\r\n250-PIPELINING\r\n250-SIZE %llu\r\n250-8BITMIME\r\n"
	    "250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250-BINARYMIME\r\n",
	    (unsigned long long)limits.message_size_max);
	if (lmtp_offers_tls(c, s))
		buf_s(&b, "250-STARTTLS\r\n");
	buf_s(&b, "250 CHUNKING\r\n");
	out_str(c, buf_str(&b));
	buf_free(&b);
	return NEXT_INPUT;
}

static enum next
cmd_helo(struct conn *c, struct session *s, str rest)
{
	return bad(c, s, "500 5.5.1 This is LMTP: say LHLO");
}

static enum next
cmd_mail(struct conn *c, struct session *s, str rest)
{
	struct smtp_mail m;
	const char *why;

	if (s->helo.n == 0)
		return bad(c, s, "503 5.5.1 Say LHLO first");
	if (s->has_mail)
		return bad(
		    c, s, "503 5.5.1 One sender is enough: RSET starts anew");
	if (!lmtp_may_deliver(c, s))
		return NEXT_INPUT;
	s->a = arena_new((1u << 20) + limits.lmtp_recipients_max * 4096);
	why = smtp_mail(s->a, rest, &m);
	if (why == NULL && m.size > limits.message_size_max) {
		limit_hit(LIMIT_message_size_max, STR_NONE);
		why = "552 5.3.4 The message is too large; LHLO says how large "
		      "it may be\r\n";
	}
	if (why == NULL) {
		m.from.path = arena_dup(s->a, m.from.path);
		s->mail = m;
		s->has_mail = true;
		return answer(c, "250 2.1.0 For whom is it?");
	}
	arena_free(&s->a);
	out_str(c, str_c(why));
	return NEXT_INPUT;
}

static bool
fixes_lf(struct session *s)
{
	bool fix;

	pthread_mutex_lock(&s->env->lock);
	fix = s->env->bare_lf_fix;
	pthread_mutex_unlock(&s->env->lock);
	return fix;
}

static enum next
cmd_data(struct conn *c, struct session *s, str rest)
{
	if (!s->has_mail)
		return bad(c, s, "503 5.5.1 Say MAIL FROM and RCPT TO first");
	if (s->nok == 0)
		return answer(c, "503 5.5.1 No recipient was accepted");
	if (s->bdat)
		return bad(c, s, "503 5.5.1 DATA after BDAT does not go");
	if (s->mail.body == SMTP_BINARYMIME)
		return bad(c, s, "503 5.5.1 BINARYMIME wants BDAT");
	data_begin(&s->data, fixes_lf(s));
	s->mode = IN_DATA;
	return answer(c, "354 Send the message; end it with a lone dot");
}

/* The octets follow the command in any case; what is refused is read and
 * dropped. */
static enum next
cmd_bdat(struct conn *c, struct session *s, str rest)
{
	uint64_t size;
	bool last;

	if (!smtp_bdat(rest, &size, &last)) {
		out_s(c, "501 5.5.4 Say BDAT size, or BDAT size LAST\r\n");
		return NEXT_CLOSE; /* how much follows is unknown */
	}
	if (size > INT64_MAX) {
		out_s(c, "552 5.3.4 Nobody has that much to say\r\n");
		return NEXT_CLOSE;
	}
	s->bdat_skip = s->nok == 0;
	s->bdat_last = last;
	s->bdat_left = size;
	if (!s->bdat_skip && !s->bdat) {
		s->bdat = true;
		data_begin(&s->data, false);
	}
	s->mode = IN_BDAT;
	return NEXT_INPUT;
}

static enum next
cmd_rset(struct conn *c, struct session *s, str rest)
{
	lmtp_reset(s);
	return answer(c, "250 2.0.0 Forgotten");
}

static enum next
cmd_noop(struct conn *c, struct session *s, str rest)
{
	return answer(c, "250 2.0.0 Nothing done");
}

static enum next
cmd_vrfy(struct conn *c, struct session *s, str rest)
{
	return answer(c, "252 2.5.2 Say RCPT TO: its reply tells");
}

static enum next
cmd_expn(struct conn *c, struct session *s, str rest)
{
	return answer(c, "502 5.5.1 There are no lists here");
}

static enum next
cmd_help(struct conn *c, struct session *s, str rest)
{
	return answer(c,
	    "214-2.0.0 LHLO name, MAIL FROM:<address>, RCPT TO:<address>, "
	    "DATA,\r\n"
	    "214 2.0.0 BDAT size [LAST], RSET, NOOP, VRFY, STARTTLS, QUIT");
}

static enum next
cmd_starttls(struct conn *c, struct session *s, str rest)
{
	struct tls_facts tls;

	conn_tls(c, &tls);
	if (tls.on)
		return bad(c, s, "503 5.5.1 TLS is on already");
	if (!lmtp_offers_tls(c, s))
		return bad(c, s, "502 5.5.1 STARTTLS is not offered here");
	answer(c, "220 2.0.0 Begin TLS now");
	/* Nothing of what was said before counts. */
	lmtp_reset(s);
	buf_free(&s->helo);
	return NEXT_TLS;
}

static enum next
cmd_quit(struct conn *c, struct session *s, str rest)
{
	answer(c, "221 2.0.0 Until next time");
	return NEXT_CLOSE;
}

static enum next
cmd_browser(struct conn *c, struct session *s, str rest)
{
	return NEXT_CLOSE;
}

static const struct row {
	str name;
	bool arg; /* something may follow */
	enum next (*run)(struct conn *c, struct session *s, str rest);
} rows[] = {
    {S("RCPT"), true, lmtp_rcpt},
    {S("MAIL"), true, cmd_mail},
    {S("DATA"), false, cmd_data},
    {S("BDAT"), true, cmd_bdat},
    {S("RSET"), false, cmd_rset},
    {S("NOOP"), true, cmd_noop},
    {S("QUIT"), false, cmd_quit},
    {S("LHLO"), true, cmd_lhlo},
    {S("STARTTLS"), false, cmd_starttls},
    {S("VRFY"), true, cmd_vrfy},
    {S("EXPN"), true, cmd_expn},
    {S("HELP"), true, cmd_help},
    {S("HELO"), true, cmd_helo},
    {S("EHLO"), true, cmd_helo},
    {S("GET"), true, cmd_browser},
    {S("POST"), true, cmd_browser},
    {S("PUT"), true, cmd_browser},
    {S("HEAD"), true, cmd_browser},
    {S("OPTIONS"), true, cmd_browser},
    {S("CONNECT"), true, cmd_browser},
};

/* A whole line is in s->line. NEXT_HOLD: it waits there for the replies
 * about earlier recipients. */
enum next
lmtp_command(struct conn *c, struct session *s)
{
	str verb, rest;
	const struct row *r = NULL;
	uint32_t bad_before = s->bad;
	enum next next;

	if (smtp_split(buf_str(&s->line), &verb, &rest))
		for (size_t i = 0; r == NULL && i < NELEM(rows); i++)
			if (str_caseeq(verb, rows[i].name))
				r = &rows[i];
	if (s->told < s->n &&
	    (r == NULL || r->run != lmtp_rcpt ||
		s->n - s->told >= limits.lmtp_recipients_max)) {
		s->held = true;
		return NEXT_HOLD;
	}
	s->held = false;
	if (r == NULL)
		next = bad(
		    c, s, "500 5.5.1 There is no such command; HELP lists all");
	else if (!r->arg && rest.n > 0)
		next = bad(c, s, "501 5.5.4 Nothing may follow that command");
	else
		next = r->run(c, s, rest);
	buf_free(&s->line);
	if (s->bad == bad_before)
		s->bad = 0;
	if (s->bad >= limits.bad_commands_max) {
		limit_hit(LIMIT_bad_commands_max, STR_NONE);
		out_s(c, "421 4.7.0 Too much that makes no sense\r\n");
		return NEXT_CLOSE;
	}
	return next;
}
