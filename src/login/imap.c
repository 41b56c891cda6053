/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * IMAP before login: CAPABILITY, NOOP, LOGOUT, ID, STARTTLS, LOGIN and
 * AUTHENTICATE. Every other command of IMAP is refused as one that wants a
 * login first.
 */
#include "login/login_int.h"
#include "proto/imap.h"
#include "proto/imap_caps.h"
#include "proto/imap_print.h"

static void
caps(struct conn *c, struct session *s, struct buf *out)
{
	struct buf mechs = {0};
	struct tls_facts tls;
	struct imap_caps_facts f = {0};

	conn_tls(c, &tls);
	login_mechs(c, s, &mechs);
	f.when = tls.on ? IMAP_CAPS_TLS : IMAP_CAPS_CLEAR;
	f.starttls = login_can_tls(c, s);
	f.login_disabled = !login_secure(c, s);
	f.mechanisms = buf_str(&mechs);
	buf_s(out, "CAPABILITY ");
	imap_caps_put(out, &f);
	buf_free(&mechs);
}

static void
greet(struct conn *c, struct session *s)
{
	struct buf b = {0};

	conn_describe(c, S("imap, not logged in"));
	buf_s(&b, "* OK [");
	caps(c, s, &b);
	buf_s(&b, "] ");
	login_hostname(s, &b);
	buf_s(&b, " restante ready\r\n");
	out_str(c, buf_str(&b));
	buf_free(&b);
}

/* ---- gathering ---- */

struct row {
	str name;
	bool literals; /* the command may hold some */
	enum next (*run)(
	    struct conn *c, struct session *s, struct imap_head *h);
};
static const struct row *row_of(str name);

/* Is it worth asking for the literal that the client announces? What would be
 * refused anyway is refused before the literal is sent. */
static bool
literal_wanted(struct conn *c, struct session *s)
{
	struct imap_head h;
	const struct row *r;

	if (!imap_head_get(buf_str(&s->line), &h))
		return false;
	r = row_of(h.name);
	if (r == NULL || !r->literals)
		return false;
	return str_caseeq(h.name, S("ID")) || login_secure(c, s);
}

static enum gather
imap_line_end(struct conn *c, struct session *s)
{
	str line = str_from(buf_str(&s->line), s->literals);
	struct imap_lit l;

	switch (imap_lit_end(line, &l)) {
	case IMAP_LIT_NONE:
		return GATHER_RUN;
	case IMAP_LIT_BAD:
		/* Whether octets follow, and how many, nobody knows. */
		s->overlong = str_ends(line, S("+}"));
		s->refused = true;
		return GATHER_RUN;
	case IMAP_LIT_OK:
		break;
	}
	if (l.n > limits.prelogin_bytes_max ||
	    s->line.n + 2 + l.n > limits.prelogin_bytes_max) {
		limit_hit(LIMIT_prelogin_bytes_max, STR_NONE);
		s->overlong = l.nonsync;
		s->refused = true;
		return GATHER_RUN;
	}
	if (!l.nonsync) {
		if (!literal_wanted(c, s)) {
			s->refused = true;
			return GATHER_RUN;
		}
		out_s(c, "+ Go on\r\n");
	}
	login_keep(&s->line, S("\r\n"));
	s->literal = l.n;
	s->literals = s->line.n;
	return GATHER_MORE;
}

/* ---- commands ---- */

/* "tag NO text". */
static enum next
answer(struct conn *c, struct imap_head *h, const char *text)
{
	out_str(c, h->tag);
	out_s(c, " ");
	out_str(c, str_c(text));
	out_s(c, "\r\n");
	return NEXT_INPUT;
}

static enum next
bad(struct conn *c, struct session *s, struct imap_head *h, const char *text)
{
	s->bad++;
	return answer(c, h, text);
}

static enum next
cmd_capability(struct conn *c, struct session *s, struct imap_head *h)
{
	struct buf b = {0};

	buf_s(&b, "* ");
	caps(c, s, &b);
	buf_s(&b, "\r\n");
	out_str(c, buf_str(&b));
	buf_free(&b);
	return answer(c, h, "OK That is all");
}

static enum next
cmd_noop(struct conn *c, struct session *s, struct imap_head *h)
{
	return answer(c, h, "OK Nothing done");
}

static enum next
cmd_logout(struct conn *c, struct session *s, struct imap_head *h)
{
	out_s(c, "* BYE Until next time\r\n");
	answer(c, h, "OK Logged out");
	return NEXT_CLOSE;
}

/* ID NIL | ID (field value ...): the client's name goes into the log. */
static enum next
cmd_id(struct conn *c, struct session *s, struct imap_head *h)
{
	struct arena *a = arena_new(65536);
	struct scan *t = &h->args;
	struct buf said = {.max = 1000};
	bool good = imap_sp(t);
	str name, value;

	if (good && !imap_word(t, S("NIL"))) {
		good = scan_char(t, '(');
		while (good && !scan_char(t, ')')) {
			good = imap_string(t, a, &name) && imap_sp(t) &&
			       imap_nstring(t, a, &value);
			if (good && value.p != NULL)
				buf_f(&said, "%s%.*s=%.*s",
				    said.n > 0 ? " " : "", STR_ARG(name),
				    STR_ARG(value));
			if (good && scan_peek(t) != ')')
				good = imap_sp(t);
		}
	}
	good = good && scan_end(t);
	if (good && said.n > 0)
		log_info("client", KV_S("id", buf_str(&said)));
	buf_free(&said);
	arena_free(&a);
	if (!good)
		return bad(
		    c, s, h, "BAD Say ID NIL, or ID (\"name\" \"value\")");
	out_s(c, "* ID (\"name\" \"restante\")\r\n");
	return answer(c, h, "OK Nice to meet you");
}

static enum next
cmd_starttls(struct conn *c, struct session *s, struct imap_head *h)
{
	struct tls_facts tls;

	conn_tls(c, &tls);
	if (tls.on)
		return bad(c, s, h, "BAD TLS is on already");
	if (!login_can_tls(c, s))
		return bad(c, s, h, "BAD STARTTLS is not offered here");
	answer(c, h, "OK Begin TLS now");
	return login_tls(c, s);
}

#define PRIVACY                                                               \
	"NO [PRIVACYREQUIRED] No password in clear: send STARTTLS first, or " \
	"connect with TLS"

static enum next
cmd_login(struct conn *c, struct session *s, struct imap_head *h)
{
	struct arena *a;
	struct scan *t = &h->args;
	struct buf both = {0};
	enum next next;
	str name, password;

	if (!login_secure(c, s))
		return answer(c, h, PRIVACY);
	a = arena_new(4 * limits.prelogin_bytes_max);
	if (!imap_sp(t) || !imap_astring(t, a, &name) || !imap_sp(t) ||
	    !imap_astring(t, a, &password) || !scan_end(t)) {
		next = bad(c, s, h, "BAD Say LOGIN name password");
	} else {
		login_keep(&both, name);
		login_keep(&both, str_of("", 1));
		login_keep(&both, password);
		buf_reset(&s->tag);
		buf_str_add(&s->tag, h->tag);
		next = login_start(c, s, S(""), true, buf_str(&both));
		login_wipe(&both);
	}
	arena_reset(a); /* overwritten: (5) of login.h */
	arena_free(&a);
	return next;
}

static enum next
cmd_authenticate(struct conn *c, struct session *s, struct imap_head *h)
{
	struct buf mechs = {0}, initial = {0};
	struct scan *t = &h->args;
	str asked, mech, word = STR_NONE;
	bool form;
	enum next next;

	login_mechs(c, s, &mechs);
	form = imap_sp(t) && imap_atom(t, &asked) && sasl_mech_valid(asked);
	if (form && imap_sp(t)) {
		word = scan_rest(t);
		form = word.n > 0;
	} else {
		form = form && scan_end(t);
	}
	if (!form)
		next = bad(c, s, h, "BAD Say AUTHENTICATE mechanism");
	else if (sasl_mech_plaintext(asked) && !login_secure(c, s))
		next = answer(c, h, PRIVACY);
	else if (!sasl_mech_in(buf_str(&mechs), asked, &mech))
		next = answer(c, h,
		    "NO [CANNOT] That mechanism is not offered here; "
		    "CAPABILITY lists those that are");
	else if (word.n > 0 && sasl_initial(word, &initial) != OK)
		next = bad(c, s, h, "BAD The initial response is no base64");
	else {
		buf_reset(&s->tag);
		buf_str_add(&s->tag, h->tag);
		next = login_start(c, s, mech, word.n > 0, buf_str(&initial));
	}
	buf_free(&mechs);
	login_wipe(&initial);
	return next;
}

static const struct row rows[] = {
    {S("CAPABILITY"), false, cmd_capability},
    {S("NOOP"), false, cmd_noop},
    {S("LOGOUT"), false, cmd_logout},
    {S("ID"), true, cmd_id},
    {S("STARTTLS"), false, cmd_starttls},
    {S("LOGIN"), true, cmd_login},
    {S("AUTHENTICATE"), false, cmd_authenticate},
};

/* Commands of later states. */
static const str later[] = {S("ENABLE"), S("SELECT"), S("EXAMINE"), S("CREATE"),
    S("DELETE"), S("RENAME"), S("SUBSCRIBE"), S("UNSUBSCRIBE"), S("LIST"),
    S("LSUB"), S("XLIST"), S("NAMESPACE"), S("STATUS"), S("APPEND"), S("IDLE"),
    S("CLOSE"), S("UNSELECT"), S("EXPUNGE"), S("SEARCH"), S("FETCH"),
    S("STORE"), S("COPY"), S("MOVE"), S("UID"), S("CHECK"), S("SORT"),
    S("THREAD"), S("GETQUOTA"), S("GETQUOTAROOT"), S("GETACL"), S("MYRIGHTS"),
    S("COMPRESS"), S("NOTIFY"), S("REPLACE"), S("UNAUTHENTICATE"),
    S("GETMETADATA"), S("SETMETADATA"), S("DONE")};

static const struct row *
row_of(str name)
{
	for (size_t i = 0; i < NELEM(rows); i++)
		if (str_caseeq(name, rows[i].name))
			return &rows[i];
	return NULL;
}

static enum next
command(struct conn *c, struct session *s)
{
	struct imap_head h;
	const struct row *r;
	bool refused = s->refused;

	s->refused = false;
	if (!imap_head_get(buf_str(&s->line), &h)) {
		/* A word alone is not told back as a tag: it may be a password
		 * whose literal or exchange was refused. */
		s->bad++;
		out_s(c, "* BAD A line is: tag, space, command\r\n");
		return NEXT_INPUT;
	}
	if ((r = row_of(h.name)) == NULL) {
		for (size_t i = 0; i < NELEM(later); i++)
			if (str_caseeq(h.name, later[i]))
				return bad(c, s, &h, "BAD Log in first");
		return bad(c, s, &h, "BAD There is no such command");
	}
	if (refused && r->run != cmd_login)
		return bad(c, s, &h, "BAD That literal is not taken here");
	if (refused && login_secure(c, s))
		return bad(c, s, &h, "BAD [LIMIT] That literal is too long");
	if (!r->literals && r->run != cmd_authenticate && !scan_end(&h.args))
		return bad(c, s, &h, "BAD Nothing may follow that command");
	if (r->run != cmd_login && r->run != cmd_authenticate)
		s->bad = 0;
	return r->run(c, s, &h);
}

/* ---- endings ---- */

static void
failed(struct conn *c, struct session *s, enum auth_fail why)
{
	static const char *const text[] = {
	    [AUTH_WRONG] = "NO [AUTHENTICATIONFAILED] Wrong name or password",
	    [AUTH_TEMP] = "NO [UNAVAILABLE] Nobody can log in just now: try "
			  "again in a moment",
	    [AUTH_MECH] = "NO [CANNOT] That mechanism is not offered here",
	    [AUTH_MALFORMED] = "BAD That is not how the mechanism goes",
	    [AUTH_EXPIRED] = "NO [EXPIRED] The password has expired",
	    [AUTH_THROTTLED] =
		"NO [AUTHENTICATIONFAILED] Wrong name or password",
	};

	out_str(c, buf_str(&s->tag));
	out_f(c, " %s\r\n", text[why]);
}

static void
cancelled(struct conn *c, struct session *s, bool malformed)
{
	out_str(c, buf_str(&s->tag));
	if (malformed)
		out_s(c, " BAD That is no base64: login given up\r\n");
	else
		out_s(c, " BAD Login given up, as you wished\r\n");
}

static void
pass(struct conn *c, struct session *s, struct buf *tag, struct buf *text)
{
	struct buf what = {0};

	buf_str_add(tag, buf_str(&s->tag));
	buf_s(text, "Logged in");
	buf_s(&what, "imap ");
	buf_str_add(&what, buf_str(&s->who));
	conn_describe(c, buf_str(&what));
	buf_free(&what);
}

/* HTTP, as a browser that was sent here speaks it (R25). */
static bool
idle_line(str line)
{
	str rest = line, verb = str_cut(&rest, ' ');

	if (verb.n == 0 || verb.n > 8 || rest.n == 0)
		return false;
	return rest.p[0] == '/' || str_casestarts(rest, S("http")) ||
	       str_casefind(rest, S(" HTTP/")) < rest.n;
}

const struct dialect login_dialect_imap = {
    .protocol = PROTO_IMAP,
    .greet = greet,
    .command = command,
    .failed = failed,
    .cancelled = cancelled,
    .line_end = imap_line_end,
    .pass = pass,
    .too_long = "* BYE Too much, or too much that makes no sense\r\n",
    .too_slow = "* BYE Logging in took too long\r\n",
    .stopping = "* BYE [UNAVAILABLE] The server stops: come again soon\r\n",
    .idle_line = idle_line,
};
