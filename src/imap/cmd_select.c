/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * SELECT, EXAMINE, UNSELECT (RFC 3691), CLOSE, CHECK.
 */
#include "imap/imap_int.h"

static void
tell_selected(
    struct session *s, struct arena *ar, str raw, const struct mailbox_info *m)
{
	struct buf b = {0};
	uint32_t unseen = view_unseen_first(s->view);

	tell_flags(s, ar);
	tell_exists(s);
	if (unseen > 0 && !s->rev2)
		buf_f(
		    &b, "* OK [UNSEEN %u] First that is not seen\r\n", unseen);
	buf_f(&b, "* OK [UIDVALIDITY %u] UIDs are valid\r\n",
	    view_uidvalidity(s->view));
	buf_f(&b, "* OK [UIDNEXT %u] Next UID\r\n", view_uidnext(s->view));
	buf_s(&b, "* OK [MAILBOXID (");
	mailbox_objectid(s->acct, m->id, &b);
	buf_s(&b, ")] Its id\r\n");
	out_str(s->conn, buf_str(&b));
	buf_free(&b);
	if (s->rev2)
		put_oldname(
		    s, "", m->name, name_changed(s, ar, raw) ? &raw : NULL);
}

static enum step
select_as(struct session *s, struct cmd *x, bool readonly)
{
	const str *raw = x->args;
	struct mailbox_info m;
	enum err e;

	/* Whatever comes of it, the old one is left (RFC 3501 6.3.1). */
	if (s->view != NULL) {
		session_unselect(s);
		out_s(s->conn, "* OK [CLOSED] Previous mailbox closed\r\n");
	}
	if (!name_find(s, x, *raw, false, &m))
		return STEP_DONE;
	e = view_open(s->acct, m.id, readonly, conn_self(s->conn), &s->view);
	if (e != OK) {
		answer_err(x, e);
		return STEP_DONE;
	}
	tell_selected(s, x->ar, *raw, &m);
	session_describe(s, m.name);
	if (view_readonly(s->view))
		answer(x, ANSWER_OK, S("READ-ONLY"), "Selected");
	else
		answer(x, ANSWER_OK, S("READ-WRITE"), "Selected");
	return STEP_DONE;
}

enum step
cmd_select(struct session *s, struct cmd *x)
{
	return select_as(s, x, false);
}

enum step
cmd_examine(struct session *s, struct cmd *x)
{
	return select_as(s, x, true);
}

enum step
cmd_unselect(struct session *s, struct cmd *x)
{
	session_unselect(s);
	answer_ok(x, "Left");
	return STEP_DONE;
}

enum step
cmd_close(struct session *s, struct cmd *x)
{
	enum err e = OK;

	if (!view_readonly(s->view) && !view_gone(s->view))
		e = store_expunge(s->view, NULL, false, NULL);
	if (e != OK) {
		answer_err(x, e);
		return STEP_DONE;
	}
	session_unselect(s);
	answer_ok(x, "Closed");
	return STEP_DONE;
}

enum step
cmd_check(struct session *s, struct cmd *x)
{
	answer_ok(x, "What was acknowledged is on the disk");
	return STEP_DONE;
}
