/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * STORE, UID STORE, EXPUNGE, UID EXPUNGE (RFC 4315).
 */
#include "imap/imap_int.h"

struct store_args {
	struct imap_set set;
	struct imap_flags flags;
	enum flag_op op;
	bool silent;
};

static bool
store_item(struct parse *p, struct store_args *args)
{
	if (!imap_sp(&p->s))
		return parse_bad(p, "FLAGS was expected");
	args->op = FLAGS_SET;
	if (scan_char(&p->s, '+'))
		args->op = FLAGS_ADD;
	else if (scan_char(&p->s, '-'))
		args->op = FLAGS_DEL;
	if (!scan_caselit(&p->s, S("FLAGS")))
		return parse_bad(p, "FLAGS was expected");
	args->silent = scan_caselit(&p->s, S(".SILENT"));
	return true;
}

static bool
store_flag_list(struct parse *p, struct store_args *args)
{
	if (scan_peek(&p->s) == '(')
		return imap_flag_list(&p->s, p->ar, &args->flags);
	do {
		if (!imap_flag_get(&p->s, p->ar, &args->flags))
			return false;
	} while (imap_sp(&p->s));
	return true;
}

bool
parse_store(struct parse *p)
{
	struct store_args *args = ARGS(p, struct store_args);

	if (args == NULL || !arg_set(p, &args->set) || !store_item(p, args))
		return false;
	if (!imap_sp(&p->s) || !store_flag_list(p, args))
		return parse_bad(p, "Flags were expected");
	return true;
}

enum step
cmd_store(struct session *s, struct cmd *x)
{
	const struct store_args *args = x->args;
	struct flag_change c = {
	    args->op, flags_of(&args->flags), UINT64_MAX, true};
	struct ranges uids = {0};
	struct ranges modified = {0};
	struct ranges gone = {0};
	enum err e = OK;

	if (!set_uids(s, x, &args->set, x->uid, &uids))
		goto out;
	if (view_readonly(s->view))
		e = ERR_READONLY;
	else if (uids.n > 0)
		e = store_flags(s->view, &uids, &c, &modified, &gone);
	if (e != OK) {
		answer_err(x, e);
		goto out;
	}
	if (!args->silent) {
		ranges_copy(&x->also, &uids);
		ranges_minus(&x->also, &gone);
	}
	if (gone.n > 0)
		answer_err(x, ERR_EXPUNGED);
	else
		answer_ok(x, "Stored");
out:
	ranges_free(&uids);
	ranges_free(&modified);
	ranges_free(&gone);
	return STEP_DONE;
}

/* ---- EXPUNGE ---- */

bool
parse_expunge(struct parse *p)
{
	struct imap_set *set = ARGS(p, struct imap_set);

	return set != NULL && (!p->uid || arg_set(p, set));
}

enum step
cmd_expunge(struct session *s, struct cmd *x)
{
	struct ranges uids = {0};
	enum err e = OK;

	if (view_readonly(s->view)) {
		answer_err(x, ERR_READONLY);
		return STEP_DONE;
	}
	if (x->uid && !set_uids(s, x, x->args, true, &uids)) {
		ranges_free(&uids);
		return STEP_DONE;
	}
	if (!x->uid)
		e = store_expunge(s->view, NULL, false, NULL);
	else if (uids.n > 0)
		e = store_expunge(s->view, &uids, false, NULL);
	if (e != OK)
		answer_err(x, e);
	else
		answer_ok(x, "Expunged");
	ranges_free(&uids);
	return STEP_DONE;
}
