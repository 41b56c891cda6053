/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * store: accounts, mailboxes and messages, durably, in one directory: an
 * append-only log, the truth, and an LMDB index of it that can always be
 * made again (docs/format.md). This header is its language; no caller sees
 * the log or LMDB.
 *
 * (1) A change that returns OK is durable. One that returns an error has
 *     not happened, and never will; ERR_UNAVAILABLE after a failed flush
 *     means the process is about to end.
 * (2) The unit is the call: all of it or nothing, except flags, expunge and
 *     move over many messages, where it is the message.
 * (3) UIDs are never reused; modification sequences, UIDNEXT only grow.
 * (4) Every call checks the grant with which the account was opened.
 * (5) Thread-safe, but for one view: its owner alone uses it.
 * (6) No transaction and no lock is held between calls.
 * (7) A message that stands in some view can be read through it, though it
 *     was expunged meanwhile.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/base.h"
#include "os/os.h"
#include "mime/mime.h"

/* Version of all that is on disk (docs/format.md). */
#define STORE_FORMAT 3

struct store;
struct acct; /* an account, as a grant opened it */
struct view; /* what one session sees of one mailbox */

/* ---- the store ---- */
#define STORE_EXIT_FATAL 74 /* EX_IOERR */
struct store_opts {
	const char *dir; /* DATA; log/, index/, FORMAT below it */
	/* A commit concerns this watcher (the number given to view_open or
	 * acct_watch). Any thread; must not call the store. */
	void (*poke)(void *arg, uint64_t watcher);
	void *poke_arg;
	/* A flush failed, or what is durable cannot be applied: all further
	 * calls give ERR_UNAVAILABLE, and the process must end soon, so that
	 * the next one reads the disk anew. NULL: _exit(STORE_EXIT_FATAL) at
	 * once. Any thread; must not call the store. */
	void (*fatal)(void *arg);
	void *fatal_arg;
	bool dedup_across_accounts; /* by compaction alone (R66) */
	bool no_background; /* tests: no compaction or expiry by itself */
	bool no_thread;     /* tests: nor anything else, but at the close */
	bool rebuild;       /* set the index aside, make it from the log */
	/* A copy was put back whose end may be lost: mailboxes get new
	 * UIDVALIDITYs. It has no FORMAT yet, and gets one when this is done,
	 * so that half a copy is never taken for a store. */
	bool restored;
	unsigned restored_format; /* the copy's; 0: this program's */
	/* Slow work reports here (rebuild, replay); may be NULL. */
	void (*progress)(
	    void *arg, const char *what, uint64_t done, uint64_t all);
	void *progress_arg;
};
/* ERR_BUSY: another process has it open. ERR_CORRUPT: the format is newer
 * than this program, or the log is damaged beyond its tail. */
enum err store_open(const struct store_opts *o, struct store **st) MUST_CHECK;
/* Makes what stands in dir itself, so that a box can be closed around it
 * before store_open: then no more than the contents of STORE_NAMES is read
 * or written. */
void store_prepare(const char *dir);
#define STORE_NAMES "FORMAT", "ballast", "index", "lock", "log"
void store_close(struct store **st); /* commits the index; waits for all */

struct store_stats {
	uint64_t accounts, mailboxes, messages, entries;
	uint64_t log_bytes, log_live_bytes, index_bytes;
	uint64_t commits, flushes, changes, resident_mailboxes;
};
void store_stats(struct store *st, struct store_stats *s);
/* Verifies what is on disk: structure, counts, checksums of the index; full:
 * also every record and body of the log, and the index against the log.
 * Each fault is told in a sentence; returns their number. */
uint64_t store_check(struct store *st, bool full,
    void (*fault)(void *arg, str sentence), void *arg);
/* Copies a consistent state into dirfd (an empty directory), while others
 * work. */
enum err store_backup(struct store *st, int dirfd) MUST_CHECK;
/* The same where the store may not open the place to copy to: each gets a
 * file's name below DATA, a descriptor to read it from (now its own), and how
 * many bytes of it to copy. FORMAT comes last: without it, it is no copy. The
 * receiver calls store_backup_begin, _copy for each, _end: these open no
 * store. */
enum err store_backup_files(struct store *st,
    enum err (*each)(void *ctx, const char *name, int fd, uint64_t n),
    void *ctx) MUST_CHECK;
enum err store_backup_begin(int dirfd) MUST_CHECK;
enum err
store_backup_copy(int dirfd, const char *name, int from, uint64_t n) MUST_CHECK;
enum err store_backup_end(int dirfd) MUST_CHECK;
/* Rewrites segments that are mostly dead; one step of bounded work. *more:
 * call again. */
enum err store_compact(struct store *st, bool *more) MUST_CHECK;
/* Frees expunged messages older than limits.expunged_keep_s that no view
 * sees; one step. */
enum err store_expire(struct store *st, bool *more) MUST_CHECK;
/* What opts.restored does, for a store that is open. */
enum err store_restored(struct store *st) MUST_CHECK;

/* ---- accounts ---- */
/* Opens, and makes at first sight: INBOX, Drafts, Sent, Junk, Trash, Archive
 * with their special uses, subscribed. name is kept for people to read. */
enum err acct_open(struct store *st, const struct grant *g, str name,
    struct acct **a) MUST_CHECK;
void acct_close(struct acct **a);
uint64_t acct_id(const struct acct *a);
/* Removes an account and frees its mail; needs GRANT_ADMIN. */
enum err acct_remove(struct store *st, const struct grant *g) MUST_CHECK;
/* Pokes watcher when the mailboxes of the account change. 0: stop. */
void acct_watch(struct acct *a, uint64_t watcher);

/* ---- mailboxes: names are UTF-8, NFC, '/' between levels ---- */
enum mailbox_attr {
	MB_NOSELECT = 1, /* only a level above others */
	MB_HAS_CHILDREN = 2,
	MB_SUBSCRIBED = 4,
	MB_NONEXISTENT = 8, /* subscribed, but not there */
	MB_ALL = 1 << 8,
	MB_ARCHIVE = 1 << 9,
	MB_DRAFTS = 1 << 10,
	MB_FLAGGED = 1 << 11,
	MB_JUNK = 1 << 12,
	MB_SENT = 1 << 13,
	MB_TRASH = 1 << 14,
	MB_IMPORTANT = 1 << 15 /* RFC 6154, 8457 */
};
#define MB_SPECIAL_USE (0xffu << 8)
struct mailbox_info {
	uint32_t id; /* never reused within the account; 0: none */
	str name;    /* whole name; INBOX in upper case */
	unsigned attrs;
	uint32_t uidvalidity;
};
/* Checks and normalises a name: NFC, INBOX in any case (as the first level
 * too), no empty level, no control, at most limits. A trailing '/' is
 * dropped. ERR_INVALID, ERR_LIMIT. */
enum err mailbox_name(struct arena *a, str name, str *out) MUST_CHECK;
/* All of them and all subscriptions, sorted by name, INBOX first. */
enum err mailbox_list(struct acct *a, struct arena *ar, struct mailbox_info **v,
    size_t *n) MUST_CHECK;
/* ERR_NOTFOUND. name as mailbox_name gives it. info.name is in the arena. */
enum err mailbox_find(struct acct *a, struct arena *ar, str name,
    struct mailbox_info *info) MUST_CHECK;
/* Missing levels above are made too, as selectable mailboxes. use: one of
 * MB_SPECIAL_USE or 0. ERR_EXISTS, ERR_LIMIT, ERR_CANNOT (INBOX). */
enum err
mailbox_create(struct acct *a, str name, unsigned use, uint32_t *id) MUST_CHECK;
/* With children: becomes MB_NOSELECT (RFC 9051 6.3.5); ERR_CANNOT: INBOX,
 * or MB_NOSELECT with children. Takes effect on open views: they end. */
enum err mailbox_delete(struct acct *a, str name) MUST_CHECK;
/* With everything below it; missing levels above the new name are made.
 * INBOX: its messages move to the new mailbox, INBOX stays, empty, and its
 * children stay (RFC 9051 6.3.6). ERR_CANNOT: into itself. */
enum err mailbox_rename(struct acct *a, str from, str to) MUST_CHECK;
enum err mailbox_subscribe(struct acct *a, str name, bool yes) MUST_CHECK;
/* Sets an imported mailbox's UIDVALIDITY and next UID; the mailbox must be
 * empty and unseen, or have that UIDVALIDITY and no higher next UID.
 * ERR_CANNOT. */
enum err mailbox_set_uids(struct acct *a, uint32_t id, uint32_t uidvalidity,
    uint32_t uidnext) MUST_CHECK;

struct mailbox_status {
	uint32_t messages, unseen, recent, deleted, uidnext, uidvalidity;
	uint64_t highestmodseq, size, deleted_size;
};
enum err mailbox_status(struct acct *a, uint32_t id,
    struct mailbox_status *s) MUST_CHECK; /* O(1) */
/* RFC 8474 MAILBOXID, EMAILID, THREADID: printed without parentheses. */
void mailbox_objectid(const struct acct *a, uint32_t id, struct buf *out);

/* ---- flags ---- */
enum flag { /* bits of the flag word */
	FLAG_SEEN = 1,
	FLAG_ANSWERED = 2,
	FLAG_FLAGGED = 4,
	FLAG_DELETED = 8,
	FLAG_DRAFT = 16,
	FLAG_SPARE = 32, /* kept 0 */
	FLAG_SYSTEM = 31
};
/* Flags by name, as a client gives them: system bits and keywords (atoms,
 * compared without case, shown as first seen). */
struct flag_set {
	unsigned system;
	const str *keywords;
	size_t nkeywords;
};

/* ---- views ---- */
struct entry {
	uint32_t seq, uid;
	uint64_t modseq;
	uint64_t flags;   /* the flag word: FLAG_*, keyword bits 6..62, bit 63:
				   more keywords in a row of its own */
	uint64_t message; /* id within the account: EMAILID */
	uint64_t thread;  /* THREADID; 0: none yet */
	uint32_t size;    /* RFC822.SIZE */
	bool recent;      /* of this view */
	bool expunged;    /* meanwhile, elsewhere; still readable */
	struct stamp internaldate;
	int64_t savedate; /* seconds since 1970 */
};

/* Opens. watcher is poked by commits of others that concern the mailbox (0:
 * nobody). A view that is not readonly takes the \Recent of new messages.
 * ERR_NOTFOUND, ERR_CANNOT (MB_NOSELECT). */
enum err view_open(struct acct *a, uint32_t mailbox, bool readonly,
    uint64_t watcher, struct view **v) MUST_CHECK;
void view_close(struct view **v);
/* The mailbox is gone: the session must leave it (RFC 9051: BYE or CLOSED). */
bool view_gone(const struct view *v);
uint32_t view_mailbox(const struct view *v);
bool view_readonly(const struct view *v);
uint32_t view_exists(const struct view *v); /* the EXISTS told */
uint32_t view_recent(const struct view *v);
uint32_t view_uidvalidity(const struct view *v);
uint32_t view_uidnext(const struct view *v); /* as told */
uint64_t view_highestmodseq(const struct view *v);
uint32_t view_unseen_first(struct view *v); /* sequence number of the first
						   message not \Seen; 0: none */
/* Keywords of the mailbox, in the order of their bits (6 + index; from index
 * 57 on in rows of their own). */
enum err view_keywords(
    struct view *v, struct arena *ar, str **names, size_t *n) MUST_CHECK;
/* Message sequence number of a UID, or 0; UID of a number, or 0. O(log n). */
uint32_t view_seq(const struct view *v, uint32_t uid);
uint32_t view_uid(const struct view *v, uint32_t seq);
/* Fills up to n entries from seq on with the current state; returns how
 * many. Batches of some hundred are quick. */
size_t view_entries(struct view *v, uint32_t seq, struct entry *e, size_t n);
/* Message sequence numbers (or, with uids, UIDs) of the client's set as a
 * set of UIDs that exist in the view. "*" was resolved by the caller. */
void view_resolve(const struct view *v, const struct ranges *set, bool uids,
    struct ranges *out);
/* "\Seen $Forwarded", without parentheses; \Recent too when e->recent. */
void view_flags(struct view *v, const struct entry *e, struct buf *out);
bool view_has_keyword(struct view *v, const struct entry *e, str keyword);
void view_emailid(const struct view *v, const struct entry *e, struct buf *out);
void
view_threadid(const struct view *v, const struct entry *e, struct buf *out);
/* "uidvalidity.uid" in hex, or the one that was imported: <= 70 printable
 * octets, stable for ever (RFC 1939). */
void view_uidl(struct view *v, const struct entry *e, struct buf *out);

/* What happened since the session was last told; tells it, so the next call
 * starts from there. */
enum sync { SYNC_EXPUNGE = 1, SYNC_EXISTS = 2, SYNC_FLAGS = 4, SYNC_ALL = 7 };
struct changes {
	/* Sequence numbers to send as EXPUNGE, in that order (each counted
	 * after the ones before it), and the same as UIDs. */
	uint32_t *expunged;
	size_t nexpunged;
	struct ranges vanished;
	bool exists_changed;   /* send EXISTS (view_exists) and RECENT */
	bool keywords_changed; /* send FLAGS */
	/* UIDs whose flags others changed; send FETCH (FLAGS). */
	struct ranges flags;
};
enum err view_sync(struct view *v, unsigned what, struct arena *ar,
    struct changes *c) MUST_CHECK;
void changes_free(struct changes *c);
/* True when view_sync(SYNC_ALL) would tell something. O(1). */
bool view_dirty(const struct view *v);
/* The owner parks: memory that a quiet view can do without is given back. */
void view_park(struct view *v);

/* ---- reading ---- */
/* The stored summary, copied into the arena. ERR_EXPUNGED: freed. */
enum err view_summary(struct view *v, const struct entry *e, struct arena *ar,
    struct summary *s) MUST_CHECK;
/* What lists show of a message, as it stands in the index. */
struct glance {
	str envelope, bodystructure, fields; /* as in struct summary */
};
/* Calls each for entries in order, until it returns false. Returns for how
 * many; if it ends before n though each was content, the next one is for
 * view_summary to deal with (its summary is long, or damaged). Nothing is
 * copied: a read transaction is open meanwhile, and of the store each may
 * call view_flags alone. fields: they are wanted too. */
size_t
view_glances(struct view *v, const struct entry *e, size_t n, bool fields,
    bool (*each)(void *ctx, const struct entry *e, const struct glance *l),
    void *ctx);
/* The header, all of it, in the arena. */
enum err view_header(struct view *v, const struct entry *e, struct arena *ar,
    str *header) MUST_CHECK;
/* The whole message, to be read in pieces. Holds what it needs, so it stays
 * readable after the view has gone. */
enum err view_source(
    struct view *v, const struct entry *e, struct source **src) MUST_CHECK;

/* A small message, whole, appended to out, with what is read for it kept for
 * the next one; *header_size: octets of its header. Any error but
 * ERR_EXPUNGED: nothing was appended, and view_source is to be asked. */
#define TEXT_MAX 16384
enum err view_text(struct view *v, const struct entry *e, struct buf *out,
    uint32_t *header_size) MUST_CHECK;

/* ---- changing ---- */
/* A message on its way in, gathered piece by piece: in memory up to
 * limits.spool_memory_max, then in an unlinked file below DATA. */
struct spool;
enum err spool_new(struct store *st, struct spool **sp) MUST_CHECK;
enum err spool_add(struct spool *sp, const void *p,
    size_t n) MUST_CHECK; /* ERR_TOOBIG, ERR_FULL */
enum err spool_bytes(
    struct spool *sp, str *whole) MUST_CHECK; /* valid until spool_free */
void spool_free(struct spool **sp);

struct new_message {
	str message; /* header and body */
	str summary; /* as mime_summarise made it; empty: made here */
	str prefix;  /* lines that stand before the header; LMTP */
	struct flag_set flags;
	struct stamp internaldate; /* by the caller: given, or os_now */
	uint32_t uid;              /* import: the UID wanted; 0: the next */
	str uidl; /* import: the POP3 UIDL it had; empty: none */
};
/* All or nothing. uids: room for n. ERR_NOTFOUND (no such mailbox),
 * ERR_TOOBIG, ERR_LIMIT (keywords), ERR_FULL, ERR_OVERQUOTA. */
enum err
store_append(struct acct *a, uint32_t mailbox, const struct new_message *m,
    size_t n, uint32_t *uidvalidity, uint32_t *uids) MUST_CHECK;
/* Delivers one message to the INBOXes of many, one stored body, one flush:
 * accounts[i] with prefixes[i]; results[i] is the truth for each. */
struct delivery {
	struct acct *account; /* opened with GRANT_APPEND */
	str prefix;
	enum err result;
};
void store_deliver(struct store *st, struct delivery *d, size_t n, str message,
    str summary, struct stamp arrival);
/* The same, and does not wait for the disk, as a rule: done(arg) is called
 * once, by any thread, before or after this returns; then the results are
 * there. d, message and summary must stay until then. One caller of many
 * stays here and works for the others, as long as they bring more. */
void
store_deliver_start(struct store *st, struct delivery *d, size_t n, str message,
    str summary, struct stamp arrival, void (*done)(void *arg), void *arg);

enum flag_op { FLAGS_ADD, FLAGS_DEL, FLAGS_SET };
struct flag_change {
	enum flag_op op;
	struct flag_set flags;
	uint64_t unchangedsince; /* UINT64_MAX: no condition */
	bool silent;             /* the author's view counts these as told */
};
/* uids: those that exist in the view. modified: the UIDs refused by
 * unchangedsince. gone: those expunged meanwhile. ERR_READONLY, ERR_LIMIT. */
enum err store_flags(struct view *v, const struct ranges *uids,
    const struct flag_change *c, struct ranges *modified,
    struct ranges *gone) MUST_CHECK;
/* Those of uids (NULL: all) that are \Deleted, or, with any, whether or not:
 * what has gone is in *gone (may be NULL). */
enum err store_expunge(struct view *v, const struct ranges *uids, bool any,
    struct ranges *gone) MUST_CHECK;
/* To the mailbox, with flags and INTERNALDATE; move: each message appears
 * and disappears in one record. from[i] became to[i]: both in ascending
 * order, *n pairs in the arena. COPY: all or nothing. */
enum err store_copy(struct view *v, const struct ranges *uids, uint32_t mailbox,
    bool move, struct arena *ar, uint32_t *uidvalidity, uint32_t **from,
    uint32_t **to, size_t *n) MUST_CHECK;

/* ---- search (RFC 9051 6.4.4) ---- */
enum search_op {
	SEARCH_ALL,
	SEARCH_NONE,
	SEARCH_AND,
	SEARCH_OR,
	SEARCH_NOT,
	SEARCH_FLAGS,   /* all bits of .number are set in the word */
	SEARCH_KEYWORD, /* .text */
	SEARCH_RECENT,
	SEARCH_NEW,
	SEARCH_OLD,
	SEARCH_SEQS,
	SEARCH_UIDS, /* .set */
	SEARCH_LARGER,
	SEARCH_SMALLER, /* .number */
	SEARCH_BEFORE,
	SEARCH_ON,
	SEARCH_SINCE, /* INTERNALDATE: .number = civil_day */
	SEARCH_SENTBEFORE,
	SEARCH_SENTON,
	SEARCH_SENTSINCE,
	SEARCH_SAVEDBEFORE,
	SEARCH_SAVEDON,
	SEARCH_SAVEDSINCE,
	SEARCH_OLDER,
	SEARCH_YOUNGER, /* .number: seconds (RFC 5032) */
	SEARCH_HEADER,  /* .name, .text ("": the field is there) */
	SEARCH_FROM,
	SEARCH_TO,
	SEARCH_CC,
	SEARCH_BCC,
	SEARCH_SUBJECT,
	SEARCH_BODY,
	SEARCH_TEXT,   /* .text */
	SEARCH_MODSEQ, /* at least .number */
	SEARCH_EMAILID,
	SEARCH_THREADID /* .text */
};
/* A tree in an arena. text is UTF-8 as given; search_new folds it. */
struct search_key {
	enum search_op op;
	struct search_key *kids; /* AND, OR, NOT: first child */
	struct search_key *next; /* next sibling */
	uint64_t number;
	str name, text;
	struct ranges set;
};
struct search;
/* v and the tree outlive the search. */
enum err search_new(struct view *v, struct arena *ar, struct search_key *root,
    struct search **s) MUST_CHECK;
/* Works for up to ms; *done when all is seen. Cheap keys are tried first,
 * bodies are opened last; every 64 messages the clock is looked at. */
enum err search_step(struct search *s, int ms, bool *done) MUST_CHECK;
/* The sequence numbers found so far, ascending. */
const struct ranges *search_found(const struct search *s);
void search_free(struct search **s);

#endif
