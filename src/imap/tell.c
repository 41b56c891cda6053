/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Telling what has happened to the selected mailbox: EXPUNGE, EXISTS,
 * RECENT, FLAGS and FETCH (FLAGS), between a command's output and its
 * answer, and in IDLE (RFC 3501 7.4.1, RFC 9051 7.5).
 */
#include "imap/imap_int.h"

enum { BATCH = 256 };

void
put_flags(struct session *s, const struct entry *e, struct buf *out)
{
	struct entry shown = *e;

	if (s->rev2) /* RFC 9051 knows no \Recent */
		shown.recent = false;
	buf_s(out, "FLAGS (");
	view_flags(s->view, &shown, out);
	buf_c(out, ')');
}

void
tell_exists(struct session *s)
{
	out_f(s->conn, "* %u EXISTS\r\n", view_exists(s->view));
	if (!s->rev2)
		out_f(s->conn, "* %u RECENT\r\n", view_recent(s->view));
}

void
tell_flags(struct session *s, struct arena *ar)
{
	static const char system[] =
	    "\\Answered \\Flagged \\Deleted \\Seen \\Draft";
	struct buf b = {0};
	str *names = NULL;
	size_t n = 0;

	if (view_keywords(s->view, ar, &names, &n) != OK)
		n = 0;
	buf_f(&b, "* FLAGS (%s", system);
	for (size_t i = 0; i < n; i++) {
		buf_c(&b, ' ');
		buf_str_add(&b, names[i]);
	}
	buf_s(&b, ")\r\n");
	if (view_readonly(s->view)) {
		buf_s(&b, "* OK [PERMANENTFLAGS ()] Read-only\r\n");
	} else {
		buf_f(&b, "* OK [PERMANENTFLAGS (%s", system);
		for (size_t i = 0; i < n; i++) {
			buf_c(&b, ' ');
			buf_str_add(&b, names[i]);
		}
		if (n < limits.keywords_max)
			buf_s(&b, " \\*");
		buf_s(&b, ")] Flags that are kept\r\n");
	}
	out_str(s->conn, buf_str(&b));
	buf_free(&b);
}

static enum err
sync_once(struct session *s, struct cmd *x)
{
	bool seq = (x->row->flags & ROW_SEQ) != 0 && !x->uid;
	unsigned what = seq ? SYNC_EXISTS | SYNC_FLAGS : SYNC_ALL;
	struct ranges uids = {0};
	enum err e;

	e = view_sync(s->view, what, x->ar, &x->ch);
	if (e != OK)
		return e;
	x->synced = true;
	ranges_union(&x->ch.flags, &x->also);
	view_resolve(s->view, &x->ch.flags, true, &uids);
	seqs_of(s->view, &uids, &x->seqs);
	ranges_free(&uids);
	x->at = 0;
	x->seq = 1;
	return OK;
}

static enum step
tell_expunged(struct session *s, struct cmd *x)
{
	while (x->at < x->ch.nexpunged) {
		struct buf b = {0};

		for (int i = 0; i < BATCH && x->at < x->ch.nexpunged; i++)
			buf_f(&b, "* %u EXPUNGE\r\n", x->ch.expunged[x->at++]);
		out_str(s->conn, buf_str(&b));
		buf_free(&b);
		if (out_full(s->conn))
			return STEP_MORE;
	}
	return STEP_DONE;
}

static void
tell_counts(struct session *s, struct cmd *x)
{
	if (x->counted)
		return;
	x->counted = true;
	if (x->ch.exists_changed)
		tell_exists(s);
	if (x->ch.keywords_changed)
		tell_flags(s, x->ar);
}

/* With the UID, which does no harm and helps, but where a client has asked
 * by number and compares what comes. */
static void
tell_entries(
    struct session *s, const struct cmd *x, const struct entry *e, size_t n)
{
	bool uid = x->uid || !(x->row->flags & ROW_SEQ);

	struct buf b = {0};

	for (size_t i = 0; i < n; i++) {
		buf_f(&b, "* %u FETCH (", e[i].seq);
		if (uid)
			buf_f(&b, "UID %u ", e[i].uid);
		put_flags(s, &e[i], &b);
		buf_s(&b, ")\r\n");
	}
	out_str(s->conn, buf_str(&b));
	buf_free(&b);
}

static enum step
tell_fetches(struct session *s, struct cmd *x)
{
	struct entry *e;

	if (x->seqs.n == 0)
		return STEP_DONE;
	e = x_array(BATCH, sizeof(*e));
	while (ranges_next(&x->seqs, x->seq, &x->seq)) {
		size_t n = 1;

		while (n < BATCH && ranges_has(&x->seqs, x->seq + (uint32_t)n))
			n++;
		n = view_entries(s->view, x->seq, e, n);
		if (n == 0)
			break;
		tell_entries(s, x, e, n);
		x->seq += (uint32_t)n;
		if (out_full(s->conn)) {
			x_free(&e);
			return STEP_MORE;
		}
	}
	x_free(&e);
	return STEP_DONE;
}

enum step
tell(struct session *s, struct cmd *x)
{
	enum err e;

	if (view_gone(s->view)) {
		session_bye(s, "The selected mailbox has been deleted");
		return STEP_CLOSE;
	}
	if (!x->synced) {
		if (x->also.n == 0 && !view_dirty(s->view))
			return STEP_DONE;
		/* What could not be told now is told another time. */
		if ((e = sync_once(s, x)) != OK) {
			log_warn("imap: changes could not be told", KV_ERR(e));
			return STEP_DONE;
		}
	}
	if (tell_expunged(s, x) == STEP_MORE)
		return STEP_MORE;
	tell_counts(s, x);
	return tell_fetches(s, x);
}

void
tell_free(struct cmd *x)
{
	if (x->synced)
		changes_free(&x->ch);
	ranges_free(&x->also);
	ranges_free(&x->seqs);
}
