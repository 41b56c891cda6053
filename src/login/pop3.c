/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * POP3's AUTHORIZATION state: CAPA, USER, PASS, AUTH, STLS, LANG, UTF8 and
 * QUIT (RFC 1939, 2449, 2595, 5034, 6856).
 */
#include "login/login_int.h"
#include "proto/pop3.h"

static void
greet(struct conn *c, struct session *s)
{
	struct buf b = {0};

	conn_describe(c, S("pop3, not logged in"));
	/* No <...>: APOP is not offered. */
	buf_s(&b, "+OK ");
	login_hostname(s, &b);
	buf_s(&b, " restante ready\r\n");
	out_str(c, buf_str(&b));
	buf_free(&b);
}

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

#define PRIVACY \
	"-ERR No password in clear: send STLS first, or connect with TLS"

/* ---- commands ---- */

static enum next
cmd_capa(struct conn *c, struct session *s, str rest)
{
	struct buf mechs = {0}, b = {0};
	struct pop3_caps caps = {0};

	login_mechs(c, s, &mechs);
	caps.stls = login_can_tls(c, s);
	caps.user = login_secure(c, s);
	caps.mechs = buf_str(&mechs);
	caps.login_delay_s = login_delay(s);
	pop3_capa(&caps, &b);
	out_str(c, buf_str(&b));
	buf_free(&b);
	buf_free(&mechs);
	return NEXT_INPUT;
}

static enum next
cmd_user(struct conn *c, struct session *s, str rest)
{
	login_wipe(&s->name);
	s->has_name = false;
	if (!login_secure(c, s))
		return answer(c, PRIVACY);
	if (rest.n == 0)
		return bad(c, s, "-ERR Say USER name");
	login_keep(&s->name, rest);
	s->has_name = true;
	return answer(c, "+OK Now the password");
}

static enum next
cmd_pass(struct conn *c, struct session *s, str rest)
{
	struct buf both = {0};
	enum next next;

	if (!login_secure(c, s))
		return answer(c, PRIVACY);
	if (!s->has_name)
		return bad(c, s, "-ERR Say USER first");
	login_keep(&both, buf_str(&s->name));
	login_keep(&both, str_of("", 1));
	login_keep(&both, rest);
	login_wipe(&s->name);
	s->has_name = false;
	next = login_start(c, s, S(""), true, buf_str(&both));
	login_wipe(&both);
	return next;
}

/* AUTH alone lists the mechanisms, as older clients expect. */
static enum next
list_mechs(struct conn *c, str mechs)
{
	str one;

	out_s(c, "+OK\r\n");
	while (sasl_mech_next(&mechs, &one))
		out_f(c, "%.*s\r\n", STR_ARG(one));
	out_s(c, ".\r\n");
	return NEXT_INPUT;
}

static enum next
cmd_auth(struct conn *c, struct session *s, str rest)
{
	struct buf mechs = {0}, initial = {0};
	str asked = STR_NONE, mech, word = STR_NONE, more;
	enum next next;

	login_mechs(c, s, &mechs);
	if (!pop3_word(&rest, &asked))
		next = list_mechs(c, buf_str(&mechs));
	else if (!sasl_mech_valid(asked) ||
		 (pop3_word(&rest, &word) && pop3_word(&rest, &more)))
		next = bad(c, s, "-ERR Say AUTH mechanism");
	else if (sasl_mech_plaintext(asked) && !login_secure(c, s))
		next = answer(c, PRIVACY);
	else if (!sasl_mech_in(buf_str(&mechs), asked, &mech))
		next = bad(c, s,
		    "-ERR That mechanism is not offered here; CAPA lists "
		    "those that are");
	else if (word.n > 0 && sasl_initial(word, &initial) != OK)
		next = bad(c, s, "-ERR The initial response is no base64");
	else
		next = login_start(c, s, mech, word.n > 0, buf_str(&initial));
	buf_free(&mechs);
	login_wipe(&initial);
	return next;
}

static enum next
cmd_stls(struct conn *c, struct session *s, str rest)
{
	struct tls_facts tls;

	conn_tls(c, &tls);
	if (tls.on)
		return bad(c, s, "-ERR TLS is on already");
	if (!login_can_tls(c, s))
		return bad(c, s, "-ERR STLS is not offered here");
	if (s->utf8)
		return bad(c, s, "-ERR STLS comes before UTF8");
	answer(c, "+OK Begin TLS now");
	return login_tls(c, s);
}

static enum next
cmd_lang(struct conn *c, struct session *s, str rest)
{
	struct buf b = {0};

	if (pop3_lang(rest, &b))
		out_str(c, buf_str(&b));
	else
		answer(c, "-ERR That language is not spoken here");
	buf_free(&b);
	return NEXT_INPUT;
}

static enum next
cmd_utf8(struct conn *c, struct session *s, str rest)
{
	s->utf8 = true;
	return answer(c, "+OK UTF-8 it is");
}

static enum next
cmd_quit(struct conn *c, struct session *s, str rest)
{
	answer(c, "+OK Until next time");
	return NEXT_CLOSE;
}

static const struct row {
	str name;
	enum { NO_ARG, MAY_ARG } arg;
	bool ends_bad; /* a good one ends a row of bad commands */
	enum next (*run)(struct conn *c, struct session *s, str rest);
} rows[] = {
    {S("CAPA"), NO_ARG, true, cmd_capa},
    {S("USER"), MAY_ARG, false, cmd_user},
    {S("PASS"), MAY_ARG, false, cmd_pass},
    {S("AUTH"), MAY_ARG, false, cmd_auth},
    {S("STLS"), NO_ARG, false, cmd_stls},
    {S("LANG"), MAY_ARG, true, cmd_lang},
    {S("UTF8"), NO_ARG, true, cmd_utf8},
    {S("QUIT"), NO_ARG, true, cmd_quit},
};
static const str later[] = {S("STAT"), S("LIST"), S("RETR"), S("DELE"),
    S("NOOP"), S("RSET"), S("TOP"), S("UIDL"), S("LAST")};

static enum next
command(struct conn *c, struct session *s)
{
	str verb, rest;
	bool has_rest;

	if (!pop3_split(buf_str(&s->line), &verb, &rest, &has_rest))
		return bad(c, s, "-ERR That is no command; CAPA says what is");
	for (size_t i = 0; i < NELEM(rows); i++) {
		if (!str_caseeq(verb, rows[i].name))
			continue;
		if (rows[i].arg == NO_ARG && str_trim(rest).n > 0)
			return bad(
			    c, s, "-ERR Nothing may follow that command");
		if (rows[i].ends_bad)
			s->bad = 0;
		return rows[i].run(c, s, rest);
	}
	for (size_t i = 0; i < NELEM(later); i++)
		if (str_caseeq(verb, later[i]))
			return bad(
			    c, s, "-ERR Log in first: USER and PASS, or AUTH");
	if (str_caseeq(verb, S("APOP")))
		return bad(
		    c, s, "-ERR APOP is not offered: USER and PASS, or AUTH");
	return bad(c, s, "-ERR There is no such command; CAPA says what is");
}

/* ---- endings ---- */

static void
failed(struct conn *c, struct session *s, enum auth_fail why)
{
	static const char *const text[] = {
	    [AUTH_WRONG] = "-ERR [AUTH] Wrong name or password",
	    [AUTH_TEMP] = "-ERR [SYS/TEMP] Nobody can log in just now: try "
			  "again in a moment",
	    [AUTH_MECH] = "-ERR That mechanism is not offered here",
	    [AUTH_MALFORMED] = "-ERR That is not how the mechanism goes",
	    [AUTH_EXPIRED] = "-ERR [AUTH] The password has expired",
	    [AUTH_THROTTLED] = "-ERR [AUTH] Wrong name or password",
	};

	answer(c, text[why]);
}

static void
cancelled(struct conn *c, struct session *s, bool malformed)
{
	answer(c, malformed ? "-ERR That is no base64: login given up"
			    : "-ERR Login given up, as you wished");
}

static void
pass(struct conn *c, struct session *s, struct buf *tag, struct buf *text)
{
	struct buf mechs = {0}, what = {0};
	struct pop3_pass p = {0};

	login_mechs(c, s, &mechs);
	p.utf8 = s->utf8;
	p.user = login_secure(c, s);
	p.mechs = buf_str(&mechs);
	pop3_pass_put(&p, tag);
	buf_free(&mechs);
	buf_s(text, "Logged in");
	buf_s(&what, "pop3 ");
	buf_str_add(&what, buf_str(&s->who));
	conn_describe(c, buf_str(&what));
	buf_free(&what);
}

/* HTTP, as a browser that was sent here speaks it (R25). */
static bool
idle_line(str line)
{
	str rest = line;
	str verb = str_cut(&rest, ' ');

	if (verb.n == 0 || rest.n == 0 || str_caseeq(verb, S("PASS")) ||
	    str_caseeq(verb, S("USER")))
		return false;
	return rest.p[0] == '/' || str_casestarts(rest, S("http")) ||
	       str_casefind(rest, S(" HTTP/")) < rest.n;
}

const struct dialect login_dialect_pop3 = {
    .protocol = PROTO_POP3,
    .greet = greet,
    .command = command,
    .failed = failed,
    .cancelled = cancelled,
    .line_end = NULL,
    .pass = pass,
    .too_long = "-ERR Too much, or too much that makes no sense\r\n",
    .too_slow = "-ERR Logging in took too long\r\n",
    .stopping = "-ERR [SYS/TEMP] The server stops: come again soon\r\n",
    .idle_line = idle_line,
};
