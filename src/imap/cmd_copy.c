/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * COPY, UID COPY, MOVE, UID MOVE (RFC 6851), with COPYUID (RFC 4315).
 */
#include "imap/imap_int.h"

struct copy_args {
	struct imap_set set;
	str name;
};

bool
parse_copy(struct parse *p)
{
	struct copy_args *args = ARGS(p, struct copy_args);

	return args != NULL && arg_set(p, &args->set) &&
	       arg_mailbox(p, &args->name);
}

/* "COPYUID validity from to": both ascend, so the sets keep the pairs. */
static str
copyuid(struct cmd *x, uint32_t validity, const uint32_t *from,
    const uint32_t *to, size_t n)
{
	struct range *r = x_array(n, sizeof(*r));
	struct ranges set = {0};
	struct buf b = {0};
	str s;

	buf_f(&b, "COPYUID %u ", validity);
	for (size_t i = 0; i < n; i++)
		r[i] = (struct range){from[i], from[i]};
	ranges_set(&set, r, n);
	ranges_print(&b, &set);
	buf_c(&b, ' ');
	for (size_t i = 0; i < n; i++)
		r[i] = (struct range){to[i], to[i]};
	ranges_set(&set, r, n);
	ranges_print(&b, &set);
	s = arena_buf(x->ar, &b);
	buf_free(&b);
	ranges_free(&set);
	x_free(&r);
	return s;
}

static void
answer_copied(struct session *s, struct cmd *x, bool move, str code)
{
	if (!move) {
		answer(x, ANSWER_OK, code, "Copied");
		return;
	}
	/* Before the EXPUNGEs that tell follows with (RFC 6851 4.3). */
	out_s(s->conn, "* OK [");
	out_str(s->conn, code);
	out_s(s->conn, "] Moved\r\n");
	answer_ok(x, "Moved");
}

static enum step
copy_or_move(struct session *s, struct cmd *x, bool move)
{
	const struct copy_args *args = x->args;
	struct ranges uids = {0};
	struct mailbox_info m;
	uint32_t validity = 0;
	uint32_t *from = NULL;
	uint32_t *to = NULL;
	size_t n = 0;
	enum err e = OK;

	if (!set_uids(s, x, &args->set, x->uid, &uids) ||
	    !name_find(s, x, args->name, true, &m))
		goto out;
	if (move && view_readonly(s->view))
		e = ERR_READONLY;
	else if (uids.n > 0)
		e = store_copy(s->view, &uids, m.id, move, x->ar, &validity,
		    &from, &to, &n);
	if (e == ERR_NOTFOUND)
		answer_no(x, "TRYCREATE", "The mailbox has just gone");
	else if (e != OK)
		answer_err(x, e);
	else if (n == 0)
		answer_ok(x, "There were none");
	else
		answer_copied(s, x, move, copyuid(x, validity, from, to, n));
out:
	ranges_free(&uids);
	return STEP_DONE;
}

enum step
cmd_copy(struct session *s, struct cmd *x)
{
	return copy_or_move(s, x, false);
}

enum step
cmd_move(struct session *s, struct cmd *x)
{
	return copy_or_move(s, x, true);
}
