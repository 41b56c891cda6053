/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * POP3's commands after login, a row each.
 */
#include "pop3/pop3_int.h"

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

/* Is there such a message? false: the client has been told. */
static bool
there(struct conn *c, struct session *s, uint32_t n)
{
	if (n > s->n) {
		out_f(c, "-ERR There is no message %u: there are %u\r\n", n,
		    s->n);
		return false;
	}
	if (pop3_marked(s, n)) {
		out_f(c,
		    "-ERR Message %u is marked as deleted; RSET takes that "
		    "back\r\n",
		    n);
		return false;
	}
	return true;
}

static enum next
cmd_stat(struct conn *c, struct session *s, const struct pop3_args *a)
{
	out_f(c, "+OK %u %llu\r\n", s->left, (unsigned long long)s->octets);
	return NEXT_INPUT;
}

/* One line of UIDL. */
static void
put_uidl(struct conn *c, struct session *s, const struct entry *e, uint32_t n)
{
	struct buf b = {0};

	buf_u64(&b, n);
	buf_c(&b, ' ');
	view_uidl(s->view, e, &b);
	buf_s(&b, "\r\n");
	out_str(c, buf_str(&b));
	buf_free(&b);
}

#define BATCH 64

/* A batch of UIDL lines from s->at on; false: the store fails. */
static bool
uidl_batch(struct conn *c, struct session *s)
{
	struct entry e[BATCH];
	size_t got = view_entries(
	    s->view, s->at, e, MIN((size_t)BATCH, s->n - s->at + 1));

	for (size_t i = 0; i < got; i++, s->at++)
		if (!pop3_marked(s, s->at))
			put_uidl(c, s, &e[i], s->at);
	return got > 0;
}

static void
list_batch(struct conn *c, struct session *s)
{
	for (unsigned i = 0; i < BATCH && s->at <= s->n; i++, s->at++)
		if (!pop3_marked(s, s->at))
			out_f(c, "%u %u\r\n", s->at, s->sizes[s->at - 1]);
}

enum next
pop3_list_more(struct conn *c, struct session *s)
{
	while (s->at <= s->n) {
		if (s->listing == LIST_SIZES)
			list_batch(c, s);
		else if (!uidl_batch(c, s))
			return NEXT_CLOSE; /* a short list would be a lie */
		if (out_full(c))
			return NEXT_MORE;
	}
	s->listing = LIST_NONE;
	out_s(c, ".\r\n");
	return NEXT_INPUT;
}

static enum next
cmd_list(struct conn *c, struct session *s, const struct pop3_args *a)
{
	if (a->has_n) {
		if (there(c, s, a->n))
			out_f(c, "+OK %u %u\r\n", a->n, s->sizes[a->n - 1]);
		return NEXT_INPUT;
	}
	out_f(c, "+OK %u messages (%llu octets)\r\n", s->left,
	    (unsigned long long)s->octets);
	s->listing = LIST_SIZES;
	s->at = 1;
	return pop3_list_more(c, s);
}

static enum next
cmd_uidl(struct conn *c, struct session *s, const struct pop3_args *a)
{
	struct entry e;

	if (!a->has_n) {
		answer(c, "+OK The unique ids:");
		s->listing = LIST_UIDL;
		s->at = 1;
		return pop3_list_more(c, s);
	}
	if (!there(c, s, a->n))
		return NEXT_INPUT;
	if (view_entries(s->view, a->n, &e, 1) != 1) {
		out_str(c, str_c(pop3_refusal(ERR_IO)));
		return NEXT_INPUT;
	}
	out_s(c, "+OK ");
	put_uidl(c, s, &e, a->n);
	return NEXT_INPUT;
}

static enum next
cmd_retr(struct conn *c, struct session *s, const struct pop3_args *a)
{
	return there(c, s, a->n) ? pop3_send(c, s, a->n, -1) : NEXT_INPUT;
}

static enum next
cmd_top(struct conn *c, struct session *s, const struct pop3_args *a)
{
	return there(c, s, a->n) ? pop3_send(c, s, a->n, a->lines) : NEXT_INPUT;
}

static enum next
cmd_dele(struct conn *c, struct session *s, const struct pop3_args *a)
{
	if (!there(c, s, a->n))
		return NEXT_INPUT;
	pop3_mark(s, a->n);
	out_f(c, "+OK Message %u will be deleted at QUIT\r\n", a->n);
	return NEXT_INPUT;
}

static enum next
cmd_rset(struct conn *c, struct session *s, const struct pop3_args *a)
{
	pop3_unmark_all(s);
	out_f(c, "+OK %u messages (%llu octets)\r\n", s->left,
	    (unsigned long long)s->octets);
	return NEXT_INPUT;
}

static enum next
cmd_noop(struct conn *c, struct session *s, const struct pop3_args *a)
{
	return answer(c, "+OK Nothing done");
}

static enum next
cmd_capa(struct conn *c, struct session *s, const struct pop3_args *a)
{
	struct pop3_caps caps = {.user = s->user, .mechs = s->mechs};
	struct buf b = {0};

	pthread_mutex_lock(&s->env->lock);
	caps.login_delay_s = s->env->login_delay_s;
	pthread_mutex_unlock(&s->env->lock);
	pop3_capa(&caps, &b);
	out_str(c, buf_str(&b));
	buf_free(&b);
	return NEXT_INPUT;
}

static enum next
cmd_lang(struct conn *c, struct session *s, const struct pop3_args *a)
{
	struct buf b = {0};

	if (pop3_lang(a->rest, &b))
		out_str(c, buf_str(&b));
	else
		answer(c, "-ERR That language is not spoken here");
	buf_free(&b);
	return NEXT_INPUT;
}

static enum next
cmd_quit(struct conn *c, struct session *s, const struct pop3_args *a)
{
	uint32_t marked = s->n - s->left;

	if (pop3_update(s) != OK)
		answer(
		    c, "-ERR [SYS/TEMP] Nothing was deleted: try again later");
	else if (marked > 0)
		out_f(
		    c, "+OK %u messages deleted, %u left\r\n", marked, s->left);
	else
		answer(c, "+OK Until next time");
	return NEXT_CLOSE;
}

/* ---- the table ---- */

enum syntax {
	NO_ARG,
	NUMBER, /* of a message */
	MAY_NUMBER,
	NUMBER_LINES, /* TOP */
	ANY_ARG
};

static const struct row {
	str name;
	enum syntax syntax;
	enum next (*run)(
	    struct conn *c, struct session *s, const struct pop3_args *a);
} rows[] = {
    {S("RETR"), NUMBER, cmd_retr},
    {S("DELE"), NUMBER, cmd_dele},
    {S("TOP"), NUMBER_LINES, cmd_top},
    {S("LIST"), MAY_NUMBER, cmd_list},
    {S("UIDL"), MAY_NUMBER, cmd_uidl},
    {S("STAT"), NO_ARG, cmd_stat},
    {S("NOOP"), NO_ARG, cmd_noop},
    {S("RSET"), NO_ARG, cmd_rset},
    {S("CAPA"), NO_ARG, cmd_capa},
    {S("LANG"), ANY_ARG, cmd_lang},
    {S("QUIT"), NO_ARG, cmd_quit},
};
/* Of the state before. */
static const str before[] = {
    S("USER"), S("PASS"), S("AUTH"), S("APOP"), S("STLS"), S("UTF8")};

/* NULL, or what is wrong. */
static const char *
parse(enum syntax syntax, str rest, struct pop3_args *a)
{
	str word, more;

	a->rest = rest;
	if (syntax == ANY_ARG)
		return NULL;
	if (syntax == NO_ARG)
		return pop3_word(&rest, &word)
			   ? "-ERR Nothing may follow that command"
			   : NULL;
	if (!pop3_word(&rest, &word))
		return syntax == MAY_NUMBER
			   ? NULL
			   : "-ERR Say which message, by its number";
	if (!pop3_number(word, &a->n))
		return "-ERR That is no message number";
	a->has_n = true;
	if (syntax == NUMBER_LINES) {
		if (!pop3_word(&rest, &word) || !pop3_count(word, &a->lines))
			return "-ERR Say TOP message lines";
	}
	return pop3_word(&rest, &more)
		   ? "-ERR That is too much behind the command"
		   : NULL;
}

enum next
pop3_command(struct conn *c, struct session *s)
{
	struct pop3_args a = {0};
	str verb, rest;
	const char *why;
	bool has_rest;

	if (!pop3_split(buf_str(&s->line), &verb, &rest, &has_rest))
		return bad(c, s, "-ERR That is no command; CAPA says what is");
	for (size_t i = 0; i < NELEM(rows); i++) {
		if (!str_caseeq(verb, rows[i].name))
			continue;
		if ((why = parse(rows[i].syntax, rest, &a)) != NULL)
			return bad(c, s, why);
		s->bad = 0;
		return rows[i].run(c, s, &a);
	}
	for (size_t i = 0; i < NELEM(before); i++)
		if (str_caseeq(verb, before[i]))
			return bad(c, s, "-ERR You are logged in already");
	return bad(c, s, "-ERR There is no such command; CAPA says what is");
}
