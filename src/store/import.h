/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Mail that other programs left in files: reading it (struct import), taking
 * it in (struct importer), and writing ours the same way (struct export).
 *
 * The reader opens files and knows nothing of the store: it runs in the
 * command-line tool, which may read what the user may read. The importer
 * runs where the store is open, and opens no file.
 *
 * (1) No symbolic link below the place that was named is followed, and only
 *     regular files are read: whoever owns a Maildir cannot have somebody
 *     else's file imported.
 * (2) A message is what the file holds. Files whose first line ends in a bare
 *     LF are of a kind that stores LF: there, each bare LF becomes CR LF.
 *     mbox: the From_ line, the quoting of From_ lines, and the header fields
 *     in which mbox programs keep flags and lengths are no part of it.
 * (3) Importing again adds nothing twice: of each content a mailbox gets as
 *     many copies as the source has.
 */
#ifndef STORE_IMPORT_H
#define STORE_IMPORT_H

#include "store/store.h"

/* ---- reading ---- */
enum import_kind {
	IMPORT_AUTO,
	IMPORT_MAILDIR, /* Maildir++ or a tree of Maildirs; Dovecot, Courier */
	IMPORT_MBOX,    /* mboxo, mboxrd, mboxcl, mboxcl2; a file or a tree */
	IMPORT_MH,
	IMPORT_EML /* one message a file; a file or a tree */
};

enum import_what {
	IMPORT_BOX,       /* a mailbox begins */
	IMPORT_MESSAGE,   /* a message of it */
	IMPORT_BOX_END,   /* uidnext is known */
	IMPORT_SUBSCRIBED /* the mailbox is subscribed, whether or not it is
			     there */
};
struct import_item {
	enum import_what what;
	str mailbox;          /* UTF-8, '/' between levels */
	uint32_t uidvalidity; /* BOX: of the source; 0: it has none */
	uint32_t uidnext;     /* BOX_END; 0: unknown */
	bool subscribe;       /* BOX: the source keeps no subscriptions */
	/* MESSAGE */
	unsigned flags; /* FLAG_* */
	const str *keywords;
	size_t nkeywords;
	struct stamp internaldate;
	uint32_t uid;  /* 0: none */
	str uidl;      /* POP3; empty: none */
	uint32_t copy; /* the how manieth of this content here, from 1 */
	str message;
};

/* (2): appends raw to out; bare LFs become CR LF when its first line ends with
 * one. */
void import_crlf(str raw, struct buf *out);

struct import;
/* fd: the file or directory, opened for reading; taken over. into: the
 * mailbox for what stands at the place itself; empty: INBOX, or as the source
 * says. ERR_NOTFOUND: nothing there looks like mail of this kind. */
enum err import_open(
    int fd, enum import_kind kind, str into, struct import **im) MUST_CHECK;
/* The next item, valid until the next call; *end: there are no more. A file
 * that cannot be read is passed over, counted and told in the log. */
enum err
import_next(struct import *im, struct import_item *item, bool *end) MUST_CHECK;
/* Octets read, octets in all (as directory and names tell), messages read,
 * files and messages passed over. */
void import_progress(const struct import *im, uint64_t *done, uint64_t *all,
    uint64_t *messages, uint64_t *skipped);
void import_free(struct import **im);

/* ---- taking in ---- */
struct importer;
struct importer *importer_new(struct acct *a);
/* Takes in n items (any kind), durably when it returns. added[i] says
 * whether message i is new. A message that is too large, or whose mailbox
 * cannot be made, fails the call; *at is its index, all before it are in. */
enum err importer_add(struct importer *im, const struct import_item *v,
    size_t n, bool *added, size_t *at) MUST_CHECK;
void importer_free(struct importer **im);

/* ---- giving out ---- */
struct exporter;
/* The account's mailboxes and messages as items, in the order the reader
 * would give them; nothing is locked meanwhile. box: this one alone; empty:
 * all, and the subscriptions. ERR_NOTFOUND. */
enum err exporter_new(struct acct *a, str box, struct exporter **ex) MUST_CHECK;
/* The next item, valid until the next call. A message that cannot be read is
 * passed over, counted and told in the log. */
enum err exporter_next(
    struct exporter *ex, struct import_item *item, bool *end) MUST_CHECK;
uint64_t exporter_skipped(const struct exporter *ex);
void exporter_free(struct exporter **ex);

/* ---- writing ---- */
enum export_kind {
	EXPORT_MAILDIR, /* Maildir++ with Dovecot's lists of UIDs and keywords
			 */
	EXPORT_MBOX     /* mboxrd, one file a mailbox */
};
struct export;
/* dir: an empty directory, taken over. In the command-line tool, as the
 * reader is. */
enum err
export_open(int dir, enum export_kind kind, struct export **ex) MUST_CHECK;
/* Writes one item. What import_next gives of the result is the same items
 * again, as far as the kind can hold them (docs/VIOLATIONS.md). */
enum err
export_put(struct export *ex, const struct import_item *item) MUST_CHECK;
/* Flushes all of it to the disk. Frees ex in any case. */
enum err export_close(struct export **ex) MUST_CHECK;

#endif
