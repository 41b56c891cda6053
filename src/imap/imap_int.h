/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The inside of imap. A session collects a whole command (collect.c), finds
 * its row (commands.c), parses, runs, tells what else has happened (tell.c)
 * and answers (session.c).
 *
 * (1) Parked with nothing begun, a session is this struct, the view and the
 *     account: no buffer, no arena.
 * (2) A command's slices live in its collected bytes and its arena; both
 *     go when it has been answered.
 * (3) Sequence numbers stand still while a command runs: view_sync is
 *     called by tell alone.
 */
#ifndef IMAP_IMAP_INT_H
#define IMAP_IMAP_INT_H

#include "imap/imap.h"
#include "mime/mime.h"
#include "proto/imap.h"
#include "proto/imap_caps.h"
#include "proto/imap_print.h"
#include "proto/mutf7.h"

/* ---- collecting ---- */
enum refusal {
	REFUSED_NOT,
	REFUSED_LINE,    /* the line is too long */
	REFUSED_LITERAL, /* a literal that is not a message is too large */
	REFUSED_SUM,     /* too many literals, or too large in sum */
	REFUSED_MESSAGE, /* the message is too large */
	REFUSED_NUMBER,  /* {00}, {99999999999999999999} */
	REFUSED_NUL,     /* NUL in a literal that is no literal8 */
	REFUSED_LIT8,    /* a literal8 where none belongs */
	REFUSED_SPOOL    /* the message could not be kept: .err */
};
struct collect {
	struct buf b;
	size_t seg;    /* where the current line began, behind a literal */
	size_t line;   /* bytes of lines */
	uint64_t left; /* octets of a literal that are still to come */
	uint64_t sum;  /* of literals, messages apart */
	uint64_t msgs; /* of messages */
	uint64_t mark; /* of left: where the timer is wound up again */
	size_t nlit;
	bool append; /* the command is APPEND */
	bool headed; /* .append has been looked at */
	bool spooling, is8;
	bool ask; /* a message is announced: may it come? */
	enum refusal refused;
	bool lost; /* where the next command begins is unknown: BYE */
	enum err err;
	str tag; /* of a refused command, on the heap */
	struct spool **spools;
	size_t nspools, spoolcap;
};
enum gather collect(struct conn *c);
void collect_free(struct collect **k);

/* ---- sessions ---- */
struct cmd;
struct session {
	struct imap_env *env;
	struct conn *conn; /* while gather or run is called */
	struct acct *acct;
	struct view *view;
	struct collect *coll; /* a command that is not whole yet */
	struct cmd *x;        /* a command that runs */
	struct ranges saved;  /* "$": UIDs (RFC 5182) */
	str user;
	str tag; /* of the login, then of IDLE */
	str greeting;
	uint32_t bad; /* commands in a row that made no sense */
	bool rev2;    /* ENABLE IMAP4rev2 */
	bool utf8;    /* names and quoted strings are UTF-8: either ENABLE */
	bool idling;
	bool tls;
};
void session_bye(struct session *s, const char *text);
/* Leaves the selected mailbox. */
void session_unselect(struct session *s);
void session_describe(struct session *s, str mailbox);

/* ---- commands ---- */
enum step {
	STEP_DONE, /* x->answer holds the reply */
	STEP_MORE, /* again when the queue has drained */
	STEP_IDLE, /* parked in IDLE */
	STEP_CLOSE /* as done, then the connection ends */
};
enum state { IN_AUTH = 1, IN_SELECTED = 2, IN_ANY = 3, BEFORE_LOGIN = 4 };
enum {
	ROW_UID = 1,          /* "UID name" is a command too */
	ROW_SEQ = 2,          /* no EXPUNGE may be told, but for its UID form */
	ROW_QUIET = 4,        /* nothing is told */
	ROW_UID_ONLY_ARGS = 8 /* arguments only in the UID form: EXPUNGE */
};
struct parse {
	struct scan s;
	struct arena *ar;
	bool uid;
	void *args;      /* what parse made of the arguments */
	const char *why; /* what is wrong, in a sentence */
};
struct row {
	str name;
	unsigned states, flags;
	bool (*parse)(struct parse *p);
	enum step (*run)(struct session *s, struct cmd *x);
};
extern const struct row imap_rows[];
extern const size_t imap_rows_n;

enum answer { ANSWER_NONE, ANSWER_OK, ANSWER_NO, ANSWER_BAD };
struct cmd {
	const struct row *row;
	struct arena *ar;
	struct collect *coll;
	str tag;
	bool uid;
	void *args;
	void *cur; /* where run stands, between two of its steps */
	void (*free)(struct cmd *x); /* what the arena does not hold */
	enum answer answer;
	str code, text; /* "[code] text" */
	enum { PHASE_RUN, PHASE_TELL, PHASE_ANSWER } phase;
	bool close; /* end the connection after the answer */
	bool idle;  /* park in IDLE after telling; no answer */
	/* telling */
	struct ranges also; /* UIDs whose flags are told in any case */
	struct changes ch;
	bool synced, counted;
	size_t at;
	struct ranges seqs;
	uint32_t seq;
};
/* Finds the row and parses. false: answered already. */
bool command_start(struct session *s, struct cmd *x, str command);

void answer(struct cmd *x, enum answer a, str code, const char *text);
#define answer_ok(x, text) answer((x), ANSWER_OK, STR_NONE, (text))
#define answer_no(x, code, text) answer((x), ANSWER_NO, S(code), (text))
#define answer_bad(x, text) answer((x), ANSWER_BAD, STR_NONE, (text))
/* NO, by the table of kinds. */
void answer_err(struct cmd *x, enum err e);

/* ---- telling what has happened ---- */
enum step tell(struct session *s, struct cmd *x);
void tell_free(struct cmd *x);
/* "* FLAGS (...)" and "* OK [PERMANENTFLAGS (...)]". */
void tell_flags(struct session *s, struct arena *ar);
void tell_exists(struct session *s);
/* "FLAGS (...)" of an entry, as this session sees it. */
void put_flags(struct session *s, const struct entry *e, struct buf *out);

/* ---- what several commands need ---- */
/* Arguments: each wants the SP before it. */
bool arg_mailbox(struct parse *p, str *raw);
bool arg_set(struct parse *p, struct imap_set *set);
bool parse_none(struct parse *p);
bool parse_mailbox(struct parse *p); /* args: str */
#define ARGS(p, type) ((type *)((p)->args = arena_new_of((p)->ar, type)))
static inline bool
parse_bad(struct parse *p, const char *why)
{
	p->why = why;
	return false;
}

/* The client's spelling of a name, to the store's. ERR_INVALID, ERR_LIMIT. */
enum err
name_get(struct session *s, struct arena *ar, str raw, str *name) MUST_CHECK;
/* Decodes only: for patterns and for names that need not be good. */
enum err
name_decode(struct session *s, struct arena *ar, str raw, str *out) MUST_CHECK;
/* Whether the server spells the name in another way than the client has
 * done, in a session that wants to be told so (RFC 9051 6.3.9.7). */
bool name_changed(struct session *s, struct arena *ar, str raw);
/* "* LIST (attrs) name ("OLDNAME" (old))"; old NULL: without it. */
void
put_oldname(struct session *s, const char *attrs, str name, const str *old);
/* Name and mailbox, or the answer: [TRYCREATE] with trycreate, else
 * [NONEXISTENT]; \Noselect is refused. */
bool name_find(struct session *s, struct cmd *x, str raw, bool trycreate,
    struct mailbox_info *m);

/* The set as UIDs that are in the view; false: answered BAD. */
bool set_uids(struct session *s, struct cmd *x, const struct imap_set *set,
    bool uids, struct ranges *out);
/* Of UIDs that are in the view, the sequence numbers. */
void
seqs_of(const struct view *v, const struct ranges *uids, struct ranges *out);
bool set_whole(const struct session *s, const struct imap_set *set, bool uids);

struct flag_set flags_of(const struct imap_flags *f);

/* A walk through entries in batches. */
struct walk {
	struct ranges seqs;
	uint32_t next; /* sequence number */
	struct entry *e;
	size_t n, i, cap;
	bool broken; /* some could not be read: the end came too early */
};
bool walk_new(struct walk *w, struct arena *ar, size_t batch);
/* The next batch, when .i has reached .n; false: the end. */
bool walk_fill(struct walk *w, struct view *v);
void walk_free(struct walk *w);

/* A source of bytes in memory; takes the buffer. */
struct source *source_of_buf(struct buf *b);

enum status_item {
	STATUS_MESSAGES = 1,
	STATUS_RECENT = 2,
	STATUS_UIDNEXT = 4,
	STATUS_UIDVALIDITY = 8,
	STATUS_UNSEEN = 16,
	STATUS_SIZE = 32,
	STATUS_DELETED = 64,
	STATUS_MAILBOXID = 128,
	STATUS_APPENDLIMIT = 256
};
/* "(" items ")". */
bool status_items(struct parse *p, unsigned *items);
enum err put_status(struct session *s, const struct mailbox_info *m,
    unsigned items, struct buf *out) MUST_CHECK;

/* RFC 6154: "\Sent" and its kin. */
extern const struct special_use {
	str name; /* without the backslash */
	unsigned attr;
} special_uses[];
extern const size_t special_uses_n;

/* ---- the families ---- */
#define COMMAND(name)                       \
	bool parse_##name(struct parse *p); \
	enum step cmd_##name(struct session *s, struct cmd *x)
COMMAND(id);
COMMAND(enable);
COMMAND(list);
COMMAND(lsub);
COMMAND(create);
COMMAND(rename);
COMMAND(status);
COMMAND(append);
COMMAND(fetch);
COMMAND(store);
COMMAND(copy);
COMMAND(search);
COMMAND(expunge);
enum step cmd_capability(struct session *s, struct cmd *x);
enum step cmd_noop(struct session *s, struct cmd *x);
enum step cmd_logout(struct session *s, struct cmd *x);
enum step cmd_namespace(struct session *s, struct cmd *x);
enum step cmd_idle(struct session *s, struct cmd *x);
enum step cmd_select(struct session *s, struct cmd *x);
enum step cmd_examine(struct session *s, struct cmd *x);
enum step cmd_unselect(struct session *s, struct cmd *x);
enum step cmd_close(struct session *s, struct cmd *x);
enum step cmd_check(struct session *s, struct cmd *x);
enum step cmd_delete(struct session *s, struct cmd *x);
enum step cmd_subscribe(struct session *s, struct cmd *x);
enum step cmd_unsubscribe(struct session *s, struct cmd *x);
enum step cmd_move(struct session *s, struct cmd *x);
/* A message is about to be sent: false: answered already. */
bool append_may_come(struct session *s, struct cmd *x, str begun);
void put_caps(struct buf *out);

#endif
