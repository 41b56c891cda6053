/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The session: from the tagged OK of the login to the BYE. A command goes
 * through three phases, each of which may stop when the output queue is
 * full and go on when it has drained:
 *
 *     RUN     the row's run, until it has an answer
 *     TELL    what else has happened to the selected mailbox
 *     ANSWER  the tagged line
 *
 * IDLE parks after TELL; a poke then starts a TELL of its own.
 */
#include "imap/imap_int.h"

static void session_free(struct session **sp);

/* ---- answers ---- */

void
answer(struct cmd *x, enum answer a, str code, const char *text)
{
	x->answer = a;
	x->code = code;
	x->text = str_c(text);
}

/* clang-format off */
static const struct {
	str code;
	const char *text;
} err_answers[ERR_MAX] = {
	[ERR_NOTFOUND]    = { S("NONEXISTENT"), "There is no such mailbox" },
	[ERR_EXISTS]      = { S("ALREADYEXISTS"), "That mailbox is there already" },
	[ERR_INVALID]     = { S("CANNOT"), "That is no name for a mailbox" },
	[ERR_LIMIT]       = { S("LIMIT"), "That would be more than this server allows" },
	[ERR_TOOBIG]      = { S("TOOBIG"), "The message is larger than this server allows" },
	[ERR_DENIED]      = { S("NOPERM"), "You may not do that" },
	[ERR_CANNOT]      = { S("CANNOT"), "That cannot be done with this mailbox" },
	[ERR_READONLY]    = { S("NOPERM"), "The mailbox is selected read-only" },
	[ERR_FULL]        = { S("LIMIT"), "The disk is full; deleting still works" },
	[ERR_OVERQUOTA]   = { S("OVERQUOTA"), "That would be over your quota" },
	[ERR_IO]          = { S("SERVERBUG"), "The server could not read or write; nothing was changed" },
	[ERR_CORRUPT]     = { S("SERVERBUG"), "What is stored is damaged; the administrator should look at the log" },
	[ERR_BUSY]        = { S("INUSE"), "Something else is at work there; try again" },
	[ERR_UNAVAILABLE] = { S("UNAVAILABLE"), "The server is restarting; try again" },
	[ERR_NOMEM]       = { S("LIMIT"), "The server has no memory for that now" },
	[ERR_EXPUNGED]    = { S("EXPUNGEISSUED"), "Some of the messages have been expunged" },
	[ERR_AUTH]        = { S("NOPERM"), "You may not do that" },
	[ERR_TIMEOUT]     = { S("UNAVAILABLE"), "That took too long; try again" },
};
/* clang-format on */

void
answer_err(struct cmd *x, enum err e)
{
	if (e <= OK || e >= ERR_MAX)
		e = ERR_IO;
	answer(x, ANSWER_NO, err_answers[e].code, err_answers[e].text);
}

static void
put_answer(struct session *s, const struct cmd *x)
{
	static const char *const words[] = {"", " OK ", " NO ", " BAD "};
	struct buf b = {0};

	buf_str_add(&b, x->tag.n == 0 ? S("*") : x->tag);
	buf_str_add(&b, str_c(words[x->answer]));
	if (x->code.n > 0) {
		buf_c(&b, '[');
		buf_str_add(&b, x->code);
		buf_s(&b, "] ");
	}
	buf_str_add(&b, x->text);
	buf_s(&b, "\r\n");
	out_str(s->conn, buf_str(&b));
	buf_free(&b);
}

void
session_bye(struct session *s, const char *text)
{
	out_f(s->conn, "* BYE %s\r\n", text);
}

void
session_describe(struct session *s, str mailbox)
{
	struct buf b = {0};

	buf_s(&b, "imap ");
	buf_str_add(&b, s->user);
	if (mailbox.n > 0) {
		buf_c(&b, ' ');
		buf_str_add(&b, mailbox);
	}
	conn_describe(s->conn, buf_str(&b));
	buf_free(&b);
}

void
session_unselect(struct session *s)
{
	if (s->view != NULL)
		view_close(&s->view);
	ranges_free(&s->saved);
	session_describe(s, STR_NONE);
}

/* ---- a command's life ---- */

static struct cmd *
cmd_new(struct collect **k)
{
	struct arena *ar = arena_new(0);
	struct cmd *x = arena_new_of(ar, struct cmd);

	x->ar = ar;
	x->coll = *k;
	*k = NULL;
	return x;
}

static void
cmd_free(struct cmd **xp)
{
	struct cmd *x = *xp;
	struct arena *ar;

	if (x == NULL)
		return;
	*xp = NULL;
	if (x->free != NULL)
		x->free(x);
	tell_free(x);
	collect_free(&x->coll);
	ar = x->ar;
	arena_free(&ar);
}

/* Nothing runs: park, or go on with what has come already (1). */
static enum next
rest(struct session *s)
{
	conn_timer(s->conn, (int64_t)limits.idle_s * 1000);
	if (s->view != NULL && conn_input(s->conn).n == 0)
		view_park(s->view);
	return NEXT_INPUT;
}

static enum next
finish(struct session *s)
{
	struct cmd *x = s->x;
	bool bad = x->answer == ANSWER_BAD;
	bool close = x->close;

	if (x->answer != ANSWER_NONE)
		put_answer(s, x);
	if (x->idle) {
		x_free_str(&s->tag);
		s->tag = x_dup(x->tag);
		s->idling = true;
	}
	cmd_free(&s->x);
	s->bad = bad ? s->bad + 1 : 0;
	if (!close && s->bad >= limits.bad_commands_max) {
		limit_hit(LIMIT_bad_commands_max, s->user);
		session_bye(s, "Too many commands that make no sense");
		close = true;
	}
	return close ? NEXT_CLOSE : rest(s);
}

/* Runs the phases as far as they go. */
static enum next
go_on(struct session *s)
{
	struct cmd *x = s->x;

	if (x->phase == PHASE_RUN) {
		switch (x->row->run(s, x)) {
		case STEP_MORE:
			return NEXT_MORE;
		case STEP_CLOSE:
			x->close = true;
			break;
		case STEP_IDLE:
			x->idle = true;
			break;
		case STEP_DONE:
			break;
		}
		x->phase = s->view != NULL && !(x->row->flags & ROW_QUIET)
			       ? PHASE_TELL
			       : PHASE_ANSWER;
	}
	if (x->phase == PHASE_TELL) {
		switch (tell(s, x)) {
		case STEP_MORE:
			return NEXT_MORE;
		case STEP_CLOSE:
			return NEXT_CLOSE;
		default:
			break;
		}
		x->phase = PHASE_ANSWER;
	}
	return finish(s);
}

/* ---- what collect hands over ---- */

static void
answer_refusal(struct cmd *x, const struct collect *k)
{
	switch (k->refused) {
	case REFUSED_LINE:
		answer(x, ANSWER_BAD, S("TOOBIG"), "The line is too long");
		break;
	case REFUSED_LITERAL:
		answer(x, ANSWER_BAD, S("TOOBIG"), "The literal is too large");
		break;
	case REFUSED_SUM:
		answer(x, ANSWER_BAD, S("TOOBIG"),
		    "The literals of the command are too many or too large");
		break;
	case REFUSED_MESSAGE:
		answer_err(x, ERR_TOOBIG);
		break;
	case REFUSED_NUL:
		answer(x, ANSWER_NO, S("CANNOT"),
		    "NUL in a literal: use a literal8, ~{n}");
		break;
	case REFUSED_LIT8:
		answer_bad(x, "A literal8 can only be a message");
		break;
	case REFUSED_SPOOL:
		answer_err(x, k->err);
		break;
	default:
		answer_bad(x, "That is no number for a literal");
		break;
	}
}

static enum next
refused(struct session *s)
{
	struct collect *k = s->coll;
	bool lost = k->lost;
	struct cmd *x = cmd_new(&s->coll);

	s->x = x;
	x->tag = k->tag;
	x->close = lost;
	answer_refusal(x, k);
	if (lost)
		session_bye(s, "Where the next command begins is unknown");
	return finish(s);
}

/* A message is announced with a literal that waits for "+". */
static enum next
asked(struct session *s)
{
	struct collect *k = s->coll;
	struct collect *none = NULL;
	struct cmd *x = cmd_new(&none);
	enum next n;

	k->ask = false;
	if (append_may_come(s, x, buf_str(&k->b))) {
		cmd_free(&x);
		out_s(s->conn, "+ Go on\r\n");
		return NEXT_INPUT;
	}
	s->x = x;
	n = finish(s);
	collect_free(&s->coll);
	return n;
}

/* The line that ends IDLE. */
static enum next
idle_end(struct session *s)
{
	static const struct row idle_row = {.name = S("IDLE")};
	struct cmd *x = cmd_new(&s->coll);

	s->x = x;
	s->idling = false;
	x->row = &idle_row;
	x->tag = arena_dup(x->ar, s->tag);
	x_free_str(&s->tag);
	if (x->coll->refused == REFUSED_NOT &&
	    str_caseeq(buf_str(&x->coll->b), S("DONE")))
		answer_ok(x, "Idle no more");
	else
		answer_bad(x, "DONE was expected");
	x->phase = s->view != NULL ? PHASE_TELL : PHASE_ANSWER;
	return go_on(s);
}

static enum next
input(struct session *s)
{
	struct collect *k = s->coll;
	struct cmd *x;

	if (s->idling)
		return idle_end(s);
	if (k->refused != REFUSED_NOT)
		return refused(s);
	if (k->ask)
		return asked(s);
	x = cmd_new(&s->coll);
	s->x = x;
	if (!command_start(s, x, buf_str(&k->b)))
		return finish(s);
	return go_on(s);
}

/* ---- what else can happen ---- */

/* The tagged OK of the login. */
static enum next
greet(struct session *s)
{
	struct buf b = {0};

	session_describe(s, STR_NONE);
	conn_authenticated(s->conn, true);
	buf_str_add(&b, s->tag);
	buf_s(&b, " OK [CAPABILITY ");
	put_caps(&b);
	buf_s(&b, "] ");
	imap_put_text(&b, s->greeting);
	buf_s(&b, "\r\n");
	out_str(s->conn, buf_str(&b));
	buf_free(&b);
	x_free_str(&s->tag);
	x_free_str(&s->greeting);
	return rest(s);
}

/* Somebody has changed the mailbox: told at once in IDLE, else with the
 * next command. */
static enum next
poked(struct session *s)
{
	static const struct row push_row = {.name = S("IDLE")};
	struct collect *none = NULL;
	struct cmd *x;

	if (s->x != NULL)
		return NEXT_MORE;
	if (!s->idling || s->view == NULL ||
	    (!view_gone(s->view) && !view_dirty(s->view)))
		return NEXT_INPUT;
	x = cmd_new(&none);
	x->row = &push_row;
	x->phase = PHASE_TELL;
	s->x = x;
	return go_on(s);
}

static enum next
timed_out(struct session *s)
{
	if (s->x != NULL) {
		conn_timer(s->conn, (int64_t)limits.idle_s * 1000);
		return NEXT_MORE;
	}
	limit_hit(LIMIT_idle_s, s->user);
	session_bye(s, "Nothing was heard of you for too long");
	return NEXT_CLOSE;
}

static enum next
session_run(struct conn *c, enum why why)
{
	struct session *s = conn_user(c);

	s->conn = c;
	switch (why) {
	case WHY_OPEN:
		return greet(s);
	case WHY_INPUT:
		return s->x != NULL ? go_on(s) : input(s);
	case WHY_MORE:
		return s->x != NULL ? go_on(s) : NEXT_INPUT;
	case WHY_POKE:
		return poked(s);
	case WHY_TIMER:
		return timed_out(s);
	case WHY_STOP:
		if (s->x == NULL) /* else a line may have been begun */
			session_bye(s, "The server ends this session");
		return NEXT_CLOSE;
	}
	return NEXT_CLOSE;
}

static void
session_closed(struct conn *c)
{
	struct session *s = conn_user(c);

	session_free(&s);
}

const struct service imap_service = {
    .name = "imap",
    .gather = collect,
    .run = session_run,
    .closed = session_closed,
    .busy = "* BYE [UNAVAILABLE] Too many connections\r\n",
};

/* ---- beginning and end ---- */

static void
session_free(struct session **sp)
{
	struct session *s = *sp;

	cmd_free(&s->x);
	collect_free(&s->coll);
	if (s->view != NULL)
		view_close(&s->view);
	ranges_free(&s->saved);
	acct_close(&s->acct);
	x_free_str(&s->user);
	x_free_str(&s->tag);
	x_free_str(&s->greeting);
	x_free(sp);
}

enum err
imap_start(struct imap_env *env, const struct imap_login *l)
{
	struct session *s = x_alloc(sizeof(*s));
	struct scan tag = scan_of(l->tag);
	enum err e = OK;
	str t;

	s->env = env;
	s->acct = l->acct;
	s->user = x_dup(l->user);
	s->tag = x_dup(l->tag);
	s->greeting = x_dup(l->reply);
	s->tls = l->tls;
	if (!imap_tag(&tag, &t) || !scan_end(&tag)) {
		int fd = l->fd;

		(void)os_close(&fd);
		e = ERR_INVALID;
	} else if (net_add(env->net, l->fd, &imap_service, s, l->peer,
		       l->input) == 0) {
		e = ERR_LIMIT;
	}
	if (e != OK)
		session_free(&s);
	return e;
}
