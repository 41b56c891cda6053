/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * APPEND: one message or many (RFC 3502), as literal, literal8 (RFC 3516)
 * or UTF8 (~{n}) (RFC 6855). The octets are in spools by now; in the command
 * stands only where they were announced. All are appended, or none.
 */
#include "imap/imap_int.h"

struct append_one {
	struct imap_flags flags;
	bool dated, utf8;
	struct stamp date;
	uint64_t size;
};
struct append_args {
	str name;
	struct append_one *v;
	size_t n, cap;
};

static bool
append_data(struct parse *p, struct append_one *m)
{
	struct imap_lit l;

	if (imap_word(&p->s, S("UTF8"))) {
		m->utf8 = true;
		if (!imap_sp(&p->s) || !scan_char(&p->s, '(') ||
		    !imap_literal_head(&p->s, &l) || !l.is8 ||
		    !scan_char(&p->s, ')'))
			return parse_bad(p, "UTF8 (~{size}) was expected");
	} else if (!imap_literal_head(&p->s, &l)) {
		return parse_bad(p, "A literal was expected");
	}
	m->size = l.n;
	return true;
}

static bool
append_options(struct parse *p, struct append_one *m)
{
	if (scan_peek(&p->s) == '(') {
		if (!imap_flag_list(&p->s, p->ar, &m->flags))
			return parse_bad(p, "A list of flags was expected");
		if (!imap_sp(&p->s))
			return parse_bad(p, "A message was expected");
	}
	if (scan_peek(&p->s) == '"') {
		m->dated = true;
		if (!imap_date_time(&p->s, &m->date))
			return parse_bad(p, "A date and time was expected");
		if (!imap_sp(&p->s))
			return parse_bad(p, "A message was expected");
	}
	return true;
}

bool
parse_append(struct parse *p)
{
	struct append_args *args = ARGS(p, struct append_args);

	if (args == NULL || !arg_mailbox(p, &args->name))
		return false;
	do {
		if (!imap_sp(&p->s))
			return parse_bad(p, "A message was expected");
		if (!ARENA_PUSH(p->ar, args->v, args->n, args->cap))
			return false;
		args->v[args->n] = (struct append_one){0};
		if (!append_options(p, &args->v[args->n]) ||
		    !append_data(p, &args->v[args->n]))
			return false;
		args->n++;
	} while (scan_peek(&p->s) == ' ');
	return true;
}

/* begun: the command up to the first message's announcement. Refuses what
 * can be refused before the message is sent. */
bool
append_may_come(struct session *s, struct cmd *x, str begun)
{
	struct imap_head h;
	struct append_one one = {0};
	struct parse p = {.ar = x->ar};
	struct mailbox_info m;
	str name;

	(void)imap_head_get(begun, &h);
	x->tag = h.tag;
	p.s = h.args;
	if (!arg_mailbox(&p, &name) || !imap_sp(&p.s) ||
	    !append_options(&p, &one)) {
		answer_bad(x, p.why != NULL ? p.why : "APPEND is malformed");
		return false;
	}
	return name_find(s, x, name, true, &m);
}

static struct new_message *
gather_messages(struct session *s, struct cmd *x, enum err *e)
{
	const struct append_args *args = x->args;
	struct new_message *v = arena_array(x->ar, args->n, sizeof(*v));
	struct stamp now = os_now();

	(void)s;
	*e = v == NULL ? ERR_LIMIT : OK;
	for (size_t i = 0; *e == OK && i < args->n; i++) {
		*e = spool_bytes(x->coll->spools[i], &v[i].message);
		v[i].flags = flags_of(&args->v[i].flags);
		v[i].internaldate = args->v[i].dated ? args->v[i].date : now;
	}
	return v;
}

static void
answer_appended(
    struct cmd *x, uint32_t validity, const uint32_t *uids, size_t n)
{
	struct ranges r = {0};
	struct buf b = {0};

	for (size_t i = 0; i < n; i++)
		ranges_add(&r, uids[i], uids[i]);
	buf_f(&b, "APPENDUID %u ", validity);
	ranges_print(&b, &r);
	answer(x, ANSWER_OK, arena_buf(x->ar, &b), "Appended");
	buf_free(&b);
	ranges_free(&r);
}

static bool
append_good(struct session *s, struct cmd *x)
{
	const struct append_args *args = x->args;

	if (x->coll->nspools != args->n) {
		answer_bad(x, "Each message is one literal");
		return false;
	}
	for (size_t i = 0; i < args->n; i++) {
		if (args->v[i].size == 0) {
			answer_no(x, "CANNOT", "A message without an octet");
			return false;
		}
		if (args->v[i].utf8 && !s->utf8) {
			answer_bad(x, "UTF8=ACCEPT is not enabled");
			return false;
		}
	}
	return true;
}

enum step
cmd_append(struct session *s, struct cmd *x)
{
	const struct append_args *args = x->args;
	struct new_message *v;
	struct mailbox_info m;
	uint32_t validity = 0;
	uint32_t *uids;
	enum err e;

	if (!append_good(s, x) || !name_find(s, x, args->name, true, &m))
		return STEP_DONE;
	v = gather_messages(s, x, &e);
	uids = arena_array(x->ar, args->n, sizeof(*uids));
	if (e == OK && uids == NULL)
		e = ERR_LIMIT;
	if (e == OK)
		e = store_append(s->acct, m.id, v, args->n, &validity, uids);
	if (e == ERR_NOTFOUND)
		answer_no(x, "TRYCREATE", "The mailbox has just gone");
	else if (e != OK)
		answer_err(x, e);
	else
		answer_appended(x, validity, uids, args->n);
	return STEP_DONE;
}
