/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * CREATE (with USE, RFC 6154), DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE,
 * STATUS (RFC 8438, RFC 8474, RFC 7889).
 */
#include "imap/imap_int.h"

/* ---- CREATE ---- */

struct create_args {
	str name;
	unsigned use;
	bool unknown_use;
};

static bool
use_get(struct parse *p, struct create_args *args)
{
	str name;

	if (!scan_char(&p->s, '\\') || !imap_atom(&p->s, &name))
		return parse_bad(p, "A special use was expected");
	for (size_t i = 0; i < special_uses_n; i++) {
		if (str_caseeq(name, special_uses[i].name)) {
			args->use |= special_uses[i].attr;
			return true;
		}
	}
	args->unknown_use = true;
	return true;
}

/* "(USE (\Sent \Trash))" */
static bool
create_params(struct parse *p, struct create_args *args)
{
	if (!scan_char(&p->s, '(') || !imap_word(&p->s, S("USE")) ||
	    !imap_sp(&p->s) || !scan_char(&p->s, '('))
		return parse_bad(p, "(USE (...)) was expected");
	if (!scan_char(&p->s, ')')) {
		do {
			if (!use_get(p, args))
				return false;
		} while (imap_sp(&p->s));
		if (!scan_char(&p->s, ')'))
			return false;
	}
	return scan_char(&p->s, ')');
}

bool
parse_create(struct parse *p)
{
	struct create_args *args = ARGS(p, struct create_args);

	if (args == NULL || !arg_mailbox(p, &args->name))
		return false;
	return !imap_sp(&p->s) || create_params(p, args);
}

enum step
cmd_create(struct session *s, struct cmd *x)
{
	const struct create_args *args = x->args;
	unsigned virtual = MB_ALL | MB_FLAGGED;
	struct buf b = {0};
	uint32_t id = 0;
	str name;
	enum err e;

	/* One use for a mailbox, and none that would be a view of others. */
	if (args->unknown_use || (args->use & virtual) ||
	    (args->use & (args->use - 1))) {
		answer_no(x, "USEATTR", "Not with that special use");
		return STEP_DONE;
	}
	e = name_get(s, x->ar, args->name, &name);
	if (e == OK)
		e = mailbox_create(s->acct, name, args->use, &id);
	if (e == ERR_CANNOT && str_eq(name, S("INBOX")))
		e = ERR_EXISTS; /* it always does */
	if (e != OK) {
		answer_err(x, e);
		return STEP_DONE;
	}
	if (name_changed(s, x->ar, args->name))
		put_oldname(s, "", name, &args->name);
	buf_s(&b, "MAILBOXID (");
	mailbox_objectid(s->acct, id, &b);
	buf_c(&b, ')');
	answer(x, ANSWER_OK, arena_buf(x->ar, &b), "Created");
	buf_free(&b);
	return STEP_DONE;
}

/* ---- DELETE, RENAME ---- */

/* A level that only its children keep is not deleted before them. */
static bool
is_level(struct session *s, struct cmd *x, str name)
{
	struct mailbox_info m;

	return mailbox_find(s->acct, x->ar, name, &m) == OK &&
	       (m.attrs & MB_NOSELECT);
}

enum step
cmd_delete(struct session *s, struct cmd *x)
{
	const str *raw = x->args;
	str name;
	enum err e = name_get(s, x->ar, *raw, &name);

	if (e == OK)
		e = mailbox_delete(s->acct, name);
	if (e == ERR_CANNOT && is_level(s, x, name)) {
		answer_no(x, "HASCHILDREN", "There are mailboxes below it");
		return STEP_DONE;
	}
	if (e != OK) {
		answer_err(x, e == ERR_INVALID ? ERR_NOTFOUND : e);
		return STEP_DONE;
	}
	if (name_changed(s, x->ar, *raw))
		put_oldname(s, "\\NonExistent", name, raw);
	if (s->view != NULL && view_gone(s->view)) {
		session_unselect(s);
		out_s(s->conn, "* OK [CLOSED] The mailbox was deleted\r\n");
	}
	answer_ok(x, "Deleted");
	return STEP_DONE;
}

struct rename_args {
	str from, to;
};

bool
parse_rename(struct parse *p)
{
	struct rename_args *args = ARGS(p, struct rename_args);

	return args != NULL && arg_mailbox(p, &args->from) &&
	       arg_mailbox(p, &args->to);
}

enum step
cmd_rename(struct session *s, struct cmd *x)
{
	const struct rename_args *args = x->args;
	str from, to;
	enum err e = name_get(s, x->ar, args->from, &from);

	if (e == ERR_INVALID)
		e = ERR_NOTFOUND;
	if (e == OK)
		e = name_get(s, x->ar, args->to, &to);
	if (e == OK)
		e = mailbox_rename(s->acct, from, to);
	if (e != OK) {
		answer_err(x, e);
		return STEP_DONE;
	}
	if (name_changed(s, x->ar, args->from) ||
	    name_changed(s, x->ar, args->to))
		put_oldname(s, "", to, &args->from);
	answer_ok(x, "Renamed");
	return STEP_DONE;
}

/* ---- subscriptions ---- */

static enum step
subscribe(struct session *s, struct cmd *x, bool yes)
{
	const str *raw = x->args;
	str name;
	enum err e = name_get(s, x->ar, *raw, &name);

	if (e == OK)
		e = mailbox_subscribe(s->acct, name, yes);
	if (e != OK)
		answer_err(x, e);
	else
		answer_ok(x, yes ? "Subscribed" : "Unsubscribed");
	return STEP_DONE;
}

enum step
cmd_subscribe(struct session *s, struct cmd *x)
{
	return subscribe(s, x, true);
}

enum step
cmd_unsubscribe(struct session *s, struct cmd *x)
{
	return subscribe(s, x, false);
}

/* ---- STATUS ---- */

static const struct {
	str name;
	unsigned bit;
} status_names[] = {
    {S("MESSAGES"), STATUS_MESSAGES},
    {S("RECENT"), STATUS_RECENT},
    {S("UIDNEXT"), STATUS_UIDNEXT},
    {S("UIDVALIDITY"), STATUS_UIDVALIDITY},
    {S("UNSEEN"), STATUS_UNSEEN},
    {S("DELETED"), STATUS_DELETED},
    {S("SIZE"), STATUS_SIZE},
    {S("MAILBOXID"), STATUS_MAILBOXID},
    {S("APPENDLIMIT"), STATUS_APPENDLIMIT},
};

static bool
status_item(struct parse *p, unsigned *items)
{
	str name;

	if (!imap_atom(&p->s, &name))
		return false;
	for (size_t i = 0; i < NELEM(status_names); i++) {
		if (str_caseeq(name, status_names[i].name)) {
			*items |= status_names[i].bit;
			return true;
		}
	}
	return false;
}

bool
status_items(struct parse *p, unsigned *items)
{
	*items = 0;
	if (!scan_char(&p->s, '('))
		return parse_bad(p, "A list of items was expected");
	do {
		if (!status_item(p, items))
			return parse_bad(p, "There is no such status item");
	} while (imap_sp(&p->s));
	return scan_char(&p->s, ')');
}

static void
put_status_item(struct session *s, const struct mailbox_info *m,
    const struct mailbox_status *st, unsigned bit, struct buf *out)
{
	switch (bit) {
	case STATUS_MESSAGES:
		buf_u64(out, st->messages);
		break;
	case STATUS_RECENT:
		buf_u64(out, st->recent);
		break;
	case STATUS_UIDNEXT:
		buf_u64(out, st->uidnext);
		break;
	case STATUS_UIDVALIDITY:
		buf_u64(out, st->uidvalidity);
		break;
	case STATUS_UNSEEN:
		buf_u64(out, st->unseen);
		break;
	case STATUS_DELETED:
		buf_u64(out, st->deleted);
		break;
	case STATUS_SIZE:
		buf_u64(out, st->size);
		break;
	case STATUS_MAILBOXID:
		buf_c(out, '(');
		mailbox_objectid(s->acct, m->id, out);
		buf_c(out, ')');
		break;
	case STATUS_APPENDLIMIT:
		buf_u64(out, limits.message_size_max);
		break;
	}
}

enum err
put_status(struct session *s, const struct mailbox_info *m, unsigned items,
    struct buf *out)
{
	struct mailbox_status st;
	enum err e = mailbox_status(s->acct, m->id, &st);
	char between = '(';

	if (e != OK)
		return e;
	buf_s(out, "* STATUS ");
	imap_put_mailbox(out, m->name, s->utf8);
	buf_c(out, ' ');
	for (size_t i = 0; i < NELEM(status_names); i++) {
		if ((items & status_names[i].bit) == 0)
			continue;
		buf_c(out, between);
		between = ' ';
		buf_str_add(out, status_names[i].name);
		buf_c(out, ' ');
		put_status_item(s, m, &st, status_names[i].bit, out);
	}
	buf_s(out, ")\r\n");
	return OK;
}

struct status_args {
	str name;
	unsigned items;
};

bool
parse_status(struct parse *p)
{
	struct status_args *args = ARGS(p, struct status_args);

	if (args == NULL || !arg_mailbox(p, &args->name))
		return false;
	if (!imap_sp(&p->s))
		return parse_bad(p, "A list of items was expected");
	return status_items(p, &args->items);
}

enum step
cmd_status(struct session *s, struct cmd *x)
{
	const struct status_args *args = x->args;
	struct mailbox_info m;
	struct buf b = {0};
	enum err e;

	if (!name_find(s, x, args->name, false, &m))
		return STEP_DONE;
	e = put_status(s, &m, args->items, &b);
	if (e == OK) {
		out_str(s->conn, buf_str(&b));
		answer_ok(x, "That is how it stands");
	} else {
		answer_err(x, e);
	}
	buf_free(&b);
	return STEP_DONE;
}
