/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The commands, one row each: state, what may be told with them, and
 * arguments are checked from the row, once, before run.
 */
#include "imap/imap_int.h"

#define ANY IN_ANY
#define AUTHED IN_ANY /* "authenticated" includes "selected" */
#define UNSEL IN_AUTH
#define SEL IN_SELECTED

/* clang-format off */
const struct row imap_rows[] = {
	/* name              states  flags               parse          run              */
	{ S("CAPABILITY"),   ANY,    0,                  parse_none,    cmd_capability },
	{ S("NOOP"),         ANY,    0,                  parse_none,    cmd_noop },
	{ S("LOGOUT"),       ANY,    ROW_QUIET,          parse_none,    cmd_logout },
	{ S("ID"),           ANY,    0,                  parse_id,      cmd_id },
	{ S("STARTTLS"),     BEFORE_LOGIN, 0,            parse_none,    NULL },
	{ S("LOGIN"),        BEFORE_LOGIN, 0,            parse_none,    NULL },
	{ S("AUTHENTICATE"), BEFORE_LOGIN, 0,            parse_none,    NULL },
	{ S("ENABLE"),       UNSEL,  0,                  parse_enable,  cmd_enable },
	{ S("NAMESPACE"),    AUTHED, 0,                  parse_none,    cmd_namespace },
	{ S("SELECT"),       AUTHED, ROW_QUIET,          parse_mailbox, cmd_select },
	{ S("EXAMINE"),      AUTHED, ROW_QUIET,          parse_mailbox, cmd_examine },
	{ S("CREATE"),       AUTHED, 0,                  parse_create,  cmd_create },
	{ S("DELETE"),       AUTHED, 0,                  parse_mailbox, cmd_delete },
	{ S("RENAME"),       AUTHED, 0,                  parse_rename,  cmd_rename },
	{ S("SUBSCRIBE"),    AUTHED, 0,                  parse_mailbox, cmd_subscribe },
	{ S("UNSUBSCRIBE"),  AUTHED, 0,                  parse_mailbox, cmd_unsubscribe },
	{ S("LIST"),         AUTHED, 0,                  parse_list,    cmd_list },
	{ S("LSUB"),         AUTHED, 0,                  parse_lsub,    cmd_lsub },
	{ S("STATUS"),       AUTHED, 0,                  parse_status,  cmd_status },
	{ S("APPEND"),       AUTHED, 0,                  parse_append,  cmd_append },
	{ S("IDLE"),         AUTHED, 0,                  parse_none,    cmd_idle },
	{ S("CHECK"),        SEL,    0,                  parse_none,    cmd_check },
	{ S("CLOSE"),        SEL,    ROW_QUIET,          parse_none,    cmd_close },
	{ S("UNSELECT"),     SEL,    ROW_QUIET,          parse_none,    cmd_unselect },
	{ S("EXPUNGE"),      SEL,    ROW_UID,            parse_expunge, cmd_expunge },
	{ S("SEARCH"),       SEL,    ROW_UID | ROW_SEQ,  parse_search,  cmd_search },
	{ S("FETCH"),        SEL,    ROW_UID | ROW_SEQ,  parse_fetch,   cmd_fetch },
	{ S("STORE"),        SEL,    ROW_UID | ROW_SEQ,  parse_store,   cmd_store },
	{ S("COPY"),         SEL,    ROW_UID,            parse_copy,    cmd_copy },
	{ S("MOVE"),         SEL,    ROW_UID,            parse_copy,    cmd_move },
};
/* clang-format on */
const size_t imap_rows_n = NELEM(imap_rows);

static const struct row *
row_find(str name)
{
	for (size_t i = 0; i < imap_rows_n; i++) {
		if (str_caseeq(name, imap_rows[i].name))
			return &imap_rows[i];
	}
	return NULL;
}

/* The row of a command; *uid: it was "UID name". p->s moves behind it. */
static const struct row *
row_get(struct imap_head *h, bool *uid)
{
	const struct row *row;
	str name = h->name;

	*uid = str_caseeq(name, S("UID"));
	if (!*uid)
		return row_find(name);
	if (!imap_sp(&h->args) || !imap_atom(&h->args, &name))
		return NULL;
	row = row_find(name);
	return row != NULL && (row->flags & ROW_UID) ? row : NULL;
}

static bool
row_parse(const struct row *row, struct parse *p)
{
	p->why = NULL;
	if (!row->parse(p))
		return false;
	if (scan_end(&p->s))
		return true;
	return parse_bad(p, "There is something behind the arguments");
}

static bool
refuse(struct cmd *x, const char *text)
{
	answer_bad(x, text);
	return false;
}

static bool
state_fits(struct session *s, struct cmd *x)
{
	unsigned now = s->view != NULL ? IN_SELECTED : IN_AUTH;

	if (x->row->states & now)
		return true;
	if (x->row->states & BEFORE_LOGIN)
		return refuse(x, "You are logged in already");
	if (x->row->states & IN_SELECTED)
		return refuse(x, "No mailbox is selected");
	return refuse(x, "Not while a mailbox is selected");
}

/* What is wrong with it, in a sentence of the parser's or a general one. */
static bool
malformed(struct cmd *x, const struct parse *p)
{
	if (arena_failed(p->ar)) {
		answer_err(x, ERR_LIMIT);
		return false;
	}
	answer_bad(x, p->why != NULL
			  ? p->why
			  : "The arguments are not what was expected");
	return false;
}

bool
command_start(struct session *s, struct cmd *x, str command)
{
	struct imap_head h;
	struct parse p = {.ar = x->ar};

	if (!imap_head_get(command, &h)) {
		x->tag = h.tag;
		return refuse(x, h.tag.n == 0
				     ? "A command begins with a tag"
				     : "A command's name was expected");
	}
	x->tag = h.tag;
	x->row = row_get(&h, &x->uid);
	if (x->row == NULL)
		return refuse(x, "There is no such command");
	if (!state_fits(s, x))
		return false;
	p.s = h.args;
	p.uid = x->uid;
	if (!row_parse(x->row, &p))
		return malformed(x, &p);
	x->args = p.args;
	return true;
}

str
imap_parse_only(str command, struct arena *ar)
{
	struct imap_head h;
	struct parse p = {.ar = ar};
	const struct row *row;

	if (!imap_head_get(command, &h))
		return STR_NONE;
	row = row_get(&h, &p.uid);
	if (row == NULL)
		return STR_NONE;
	p.s = h.args;
	return row_parse(row, &p) ? row->name : STR_NONE;
}
