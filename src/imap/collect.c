/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Collecting one whole command: lines, literals, and messages, which go to
 * a spool and leave only their "{n}" CR LF in the command.
 *
 * (1) Every bound is checked when a literal is announced, before a byte of
 *     it is taken.
 * (2) What was announced without asking ({n+}) is read to its end and
 *     dropped when it is refused, and so is the rest of the command: it is
 *     never run as commands (R05). Of a refused command only the tag and
 *     the tail of the current line are kept.
 * (3) A line ends with CR LF; a bare LF is taken as one.
 */
#include "imap/imap_int.h"

enum {
	TAIL = 64,      /* holds any announcement of a literal */
	SQUEEZE = 4096, /* a refused line is cut to its tail past this */
	WIND = 1 << 20  /* octets of a message that wind up the timer */
};

void
collect_free(struct collect **kp)
{
	struct collect *k = *kp;

	if (k == NULL)
		return;
	for (size_t i = 0; i < k->nspools; i++)
		spool_free(&k->spools[i]);
	x_free(&k->spools);
	x_free_str(&k->tag);
	buf_free(&k->b);
	x_free(kp);
}

/* (2): keeps at most TAIL bytes of the current line. */
static void
squeeze(struct collect *k)
{
	size_t n = MIN(k->b.n - k->seg, (size_t)TAIL);

	if (n > 0)
		memmove(k->b.p, k->b.p + k->b.n - n, n);
	k->b.n = n;
	k->seg = 0;
}

static void
refuse(struct collect *k, enum refusal why, enum err e)
{
	struct imap_head h;

	if (k->refused != REFUSED_NOT)
		return;
	k->refused = why;
	k->err = e;
	(void)imap_head_get(buf_str(&k->b), &h);
	k->tag = x_dup(h.tag);
	for (size_t i = 0; i < k->nspools; i++)
		spool_free(&k->spools[i]);
	k->nspools = 0;
	squeeze(k);
}

/* Bytes of a line, without its end. */
static void
add_line(struct collect *k, str s)
{
	if (k->refused == REFUSED_NOT &&
	    s.n > limits.line_max - MIN(k->line, limits.line_max)) {
		/* The tag is in what has come, or it is none. */
		str head = str_head(s, IMAP_TAG_MAX + 2);

		buf_str_add(&k->b, head);
		limit_hit(LIMIT_line_max, STR_NONE);
		refuse(k, REFUSED_LINE, OK);
		s = str_from(s, head.n);
	}
	if (k->refused == REFUSED_NOT) {
		k->line += s.n;
		buf_str_add(&k->b, s);
		return;
	}
	if (s.n > TAIL)
		s = str_from(s, s.n - TAIL);
	buf_str_add(&k->b, s);
	if (k->b.n - k->seg > SQUEEZE)
		squeeze(k);
}

/* Looks once whether this is APPEND, whose literals are messages but for a
 * mailbox name that is one. */
static bool
is_message(struct collect *k, const struct imap_lit *l)
{
	struct imap_head h;

	if (!k->headed) {
		k->headed = true;
		k->append = imap_head_get(buf_str(&k->b), &h) &&
			    str_caseeq(h.name, S("APPEND"));
		if (k->append && k->seg + l->at == /* APPEND {n} */
				     (size_t)(h.args.p - k->b.p) + 1)
			return false;
	}
	return k->append;
}

static enum refusal
over_limit(struct collect *k, const struct imap_lit *l, bool message)
{
	uint64_t sum_max = limits.message_size_max * 4;

	if (k->nlit >= limits.literal_count_max) {
		limit_hit(LIMIT_literal_count_max, STR_NONE);
		return REFUSED_SUM;
	}
	if (message) {
		if (l->n > limits.message_size_max) {
			limit_hit(LIMIT_message_size_max, STR_NONE);
			return REFUSED_MESSAGE;
		}
		return l->n > sum_max - k->msgs ? REFUSED_SUM : REFUSED_NOT;
	}
	if (l->is8)
		return REFUSED_LIT8;
	if (l->n > limits.literal_max) {
		limit_hit(LIMIT_literal_max, STR_NONE);
		return REFUSED_LITERAL;
	}
	if (l->n >
	    limits.literal_sum_max - MIN(k->sum, limits.literal_sum_max)) {
		limit_hit(LIMIT_literal_sum_max, STR_NONE);
		return REFUSED_SUM;
	}
	return REFUSED_NOT;
}

/* The literal of a refused command: dropped if it comes unasked, and not
 * asked for otherwise; the command ends here then. */
static enum gather
drop_literal(struct collect *k, const struct imap_lit *l)
{
	k->spooling = false;
	if (!l->nonsync)
		return GATHER_RUN;
	if (l->n > 2 * MAX(limits.message_size_max, limits.literal_max)) {
		k->lost = true;
		return GATHER_RUN;
	}
	k->left = l->n;
	k->b.n = 0;
	k->seg = 0;
	return GATHER_MORE;
}

static enum err
begin_spool(struct session *s, struct collect *k)
{
	enum err e;

	if (k->nspools == k->spoolcap) {
		k->spoolcap = MAX((size_t)4, 2 * k->spoolcap);
		k->spools = x_grow(k->spools, k->spoolcap, sizeof(*k->spools));
	}
	k->spools[k->nspools] = NULL;
	if ((e = spool_new(s->env->store, &k->spools[k->nspools])) == OK)
		k->nspools++;
	return e;
}

static enum gather
begin_literal(struct session *s, struct collect *k, const struct imap_lit *l)
{
	bool message;
	enum refusal r;
	enum err e = OK;

	if (k->refused != REFUSED_NOT)
		return drop_literal(k, l);
	message = is_message(k, l);
	r = over_limit(k, l, message); /* (1) */
	if (r == REFUSED_NOT && message && (e = begin_spool(s, k)) != OK)
		r = REFUSED_SPOOL;
	if (r != REFUSED_NOT) {
		refuse(k, r, e);
		return drop_literal(k, l);
	}
	buf_s(&k->b, "\r\n");
	k->nlit++;
	k->spooling = message;
	k->is8 = l->is8;
	k->left = l->n;
	k->mark = l->n;
	k->seg = k->b.n;
	if (message)
		k->msgs += l->n;
	else
		k->sum += l->n;
	if (l->nonsync)
		return GATHER_MORE;
	if (message && k->nspools == 1) {
		k->ask = true;
		return GATHER_RUN;
	}
	out_s(s->conn, "+ Go on\r\n");
	return GATHER_MORE;
}

static enum gather
end_of_line(struct session *s, struct collect *k)
{
	struct imap_lit l;
	str line;

	if (k->b.n > k->seg && k->b.p[k->b.n - 1] == '\r')
		k->b.n--;
	line = k->b.n > k->seg ? str_from(buf_str(&k->b), k->seg) : S("");
	if (s->idling)
		return GATHER_RUN;
	switch (imap_lit_end(line, &l)) {
	case IMAP_LIT_OK:
		return begin_literal(s, k, &l);
	case IMAP_LIT_BAD:
		refuse(k, REFUSED_NUMBER, OK);
		if (l.nonsync)
			k->lost = true;
		return GATHER_RUN;
	case IMAP_LIT_NONE:
		break;
	}
	return GATHER_RUN;
}

static enum gather
take_line(struct session *s, struct collect *k, str in)
{
	size_t n = str_chr(in, '\n');

	add_line(k, str_head(in, n));
	if (n == in.n) {
		conn_eat(s->conn, n);
		return GATHER_MORE;
	}
	conn_eat(s->conn, n + 1);
	return end_of_line(s, k);
}

static void
keep_literal(struct collect *k, str in)
{
	enum err e;

	if (k->refused != REFUSED_NOT)
		return;
	if (!k->spooling) {
		buf_str_add(&k->b, in);
		return;
	}
	if (!k->is8 && str_chr(in, '\0') < in.n) {
		refuse(k, REFUSED_NUL, OK);
		return;
	}
	e = spool_add(k->spools[k->nspools - 1], in.p, in.n);
	if (e != OK)
		refuse(k, REFUSED_SPOOL, e);
}

static void
take_literal(struct session *s, struct collect *k, str in)
{
	in = str_head(in, (size_t)MIN(k->left, (uint64_t)in.n));
	keep_literal(k, in);
	k->left -= in.n;
	conn_eat(s->conn, in.n);
	if (k->refused != REFUSED_NOT)
		k->b.n = 0;
	if (k->left == 0)
		k->seg = k->b.n;
	if (k->mark - k->left >= WIND) {
		k->mark = k->left;
		conn_timer(s->conn, (int64_t)limits.idle_s * 1000);
	}
}

enum gather
collect(struct conn *c)
{
	struct session *s = conn_user(c);
	str in;

	s->conn = c;
	while ((in = conn_input(c)).n > 0) {
		struct collect *k;

		if (s->coll == NULL)
			s->coll = x_alloc(sizeof(*s->coll));
		k = s->coll;
		if (k->left > 0) {
			take_literal(s, k, in);
			continue;
		}
		if (take_line(s, k, in) == GATHER_RUN)
			return GATHER_RUN;
	}
	return GATHER_MORE;
}
