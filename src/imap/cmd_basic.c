/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * CAPABILITY, NOOP, LOGOUT, ID (RFC 2971), ENABLE (RFC 5161), NAMESPACE
 * (RFC 2342), IDLE (RFC 2177).
 */
#include "imap/imap_int.h"

enum {
	ID_PAIRS_MAX = 30, /* RFC 2971 3.3 */
	ID_LOG_MAX = 900   /* bytes of the client's ID that are logged */
};

void
put_caps(struct buf *out)
{
	struct imap_caps_facts f = {.when = IMAP_CAPS_IN};

	imap_caps_put(out, &f);
}

enum step
cmd_capability(struct session *s, struct cmd *x)
{
	struct buf b = {0};

	buf_s(&b, "* CAPABILITY ");
	put_caps(&b);
	buf_s(&b, "\r\n");
	out_str(s->conn, buf_str(&b));
	buf_free(&b);
	answer_ok(x, "That is what there is");
	return STEP_DONE;
}

enum step
cmd_noop(struct session *s, struct cmd *x)
{
	answer_ok(x, "Nothing done");
	return STEP_DONE;
}

enum step
cmd_logout(struct session *s, struct cmd *x)
{
	session_bye(s, "Until next time");
	answer_ok(x, "Logged out");
	return STEP_CLOSE;
}

/* ---- ID ---- */

/* id-params: the fields as "name=value name=value" for the log. */
static bool
id_pairs(struct parse *p, struct buf *b)
{
	for (int i = 0; i < ID_PAIRS_MAX; i++) {
		str name, value;

		if (!imap_string(&p->s, p->ar, &name) || !imap_sp(&p->s) ||
		    !imap_nstring(&p->s, p->ar, &value))
			return false;
		if (b->n + name.n + value.n < ID_LOG_MAX) {
			if (b->n > 0)
				buf_c(b, ' ');
			buf_str_add(b, name);
			buf_c(b, '=');
			buf_str_add(b, value);
		}
		if (scan_char(&p->s, ')'))
			return true;
		if (!imap_sp(&p->s))
			return false;
	}
	return false;
}

bool
parse_id(struct parse *p)
{
	str *args = ARGS(p, str);
	struct buf b = {0};
	bool good;

	if (args == NULL || !imap_sp(&p->s))
		return parse_bad(p, "NIL or a list was expected");
	if (imap_word(&p->s, S("NIL")))
		return true;
	if (!scan_char(&p->s, '('))
		return parse_bad(p, "NIL or a list was expected");
	if (scan_char(&p->s, ')'))
		return true;
	good = id_pairs(p, &b);
	if (good)
		*args = arena_buf(p->ar, &b);
	buf_free(&b);
	return good ||
	       parse_bad(p, "At most 30 pairs of strings were expected");
}

enum step
cmd_id(struct session *s, struct cmd *x)
{
	const str *args = x->args;

	if (args->n > 0)
		log_info("imap: client says who it is", KV_S("user", s->user),
		    KV_S("id", *args));
	out_s(s->conn, "* ID (\"name\" \"restante\" \"version\" \"" //
	    RESTANTE_VERSION "\")\r\n");
	answer_ok(x, "Pleased to meet you");
	return STEP_DONE;
}

/* ---- ENABLE ---- */

struct enable_args {
	bool rev2, utf8;
};

bool
parse_enable(struct parse *p)
{
	struct enable_args *args = ARGS(p, struct enable_args);
	str name;

	if (args == NULL || scan_end(&p->s))
		return parse_bad(p, "The name of an extension was expected");
	while (!scan_end(&p->s)) {
		if (!imap_sp(&p->s) || !imap_atom(&p->s, &name))
			return parse_bad(
			    p, "The name of an extension was expected");
		args->rev2 |= str_caseeq(name, S("IMAP4rev2"));
		args->utf8 |= str_caseeq(name, S("UTF8=ACCEPT"));
	}
	return true;
}

enum step
cmd_enable(struct session *s, struct cmd *x)
{
	const struct enable_args *args = x->args;

	s->rev2 |= args->rev2;
	s->utf8 |= args->rev2 || args->utf8;
	out_f(s->conn, "* ENABLED%s%s\r\n", args->rev2 ? " IMAP4rev2" : "",
	    args->utf8 ? " UTF8=ACCEPT" : "");
	answer_ok(x, "Enabled");
	return STEP_DONE;
}

/* ---- NAMESPACE, IDLE ---- */

enum step
cmd_namespace(struct session *s, struct cmd *x)
{
	out_s(s->conn, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
	answer_ok(x, "All mailboxes are yours");
	return STEP_DONE;
}

enum step
cmd_idle(struct session *s, struct cmd *x)
{
	out_s(s->conn, "+ idling\r\n");
	return STEP_IDLE;
}
