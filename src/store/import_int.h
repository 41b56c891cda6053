/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What the readers of the several kinds share.
 *
 * import.c walks the tree and lists its boxes; then, one at a time, a box is
 * loaded (its kind's load), and its messages are read one by one (next).
 */
#ifndef STORE_IMPORT_INT_H
#define STORE_IMPORT_INT_H

#include "os/os.h"
#include "store/import.h"

/* A file with one message, as directory, name and index files tell. */
struct import_file {
	const char *path; /* below the box: "cur/123.x:2,S" */
	str base;         /* the name without flags */
	uint32_t uid;
	str uidl;
	unsigned flags;
	uint32_t letters; /* Maildir: keywords a..z */
	bool forwarded;   /* Maildir's P: $Forwarded */
	const str *keywords;
	size_t nkeywords;
	uint64_t order; /* of those without UID */
};

struct import_box {
	enum import_kind kind;
	str name;         /* mailbox */
	const char *path; /* below the root; "": the root itself */
};

struct mbox;
struct import {
	int root; /* directory, or the file itself */
	bool root_is_file;
	enum import_kind kind;
	str into;
	struct arena *ar; /* boxes, subscriptions */
	struct import_box *boxes;
	size_t nboxes, boxes_cap;
	str *subs;
	size_t nsubs, subs_cap;
	bool has_subs;
	uint64_t done, all, messages, skipped;

	/* the box that is being read */
	size_t box;           /* its number + 1; 0: none begun */
	int dir;              /* its directory */
	struct arena *box_ar; /* its files */
	struct import_file *files;
	size_t nfiles, files_cap, file;
	str letters[26];
	uint32_t uidvalidity, uidnext, uid_last;
	struct mbox *mbox;
	struct map *copies; /* content -> how many so far */
	bool begun, ended;
	size_t sub;

	/* the item */
	struct arena *item_ar;
	struct buf raw, text;
};

/* ---- import.c ---- */
/* Opens path below dir, component by component, following no link (1). */
int import_openat(int dir, const char *path, int flags);
/* A whole file below dir; *st may be NULL. False: not there, not a regular
 * file, or larger than max. */
bool import_slurp(
    int dir, const char *path, size_t max, struct buf *out, struct stat *st);
/* Each name in the directory path below dir, without . and ..; type is a
 * DT_ of dirent.h, looked up where the file system does not say. */
void import_list(int dir, const char *path,
    void (*each)(void *ctx, const char *name, unsigned char type), void *ctx);
const char *import_join(struct arena *a, const char *dir, const char *name);
/* A moment in the zone of this process. */
struct stamp import_local(int64_t sec);
/* The newest Received date, else Date; false: neither. */
bool import_received(str message, struct stamp *t);

/* ---- import_names.c: pure functions ---- */
/* A mailbox name as others keep it on disk: components divided by sep, in
 * modified UTF-7, UTF-8, or failing both Latin-1. */
str import_name(struct arena *a, str name, char sep);
/* dovecot-uidlist (1 and 3), courierimapuiddb: each(ctx, file name, uid,
 * uidl or empty). False: not such a file. */
bool import_uidlist(str text, uint32_t *uidvalidity, uint32_t *uidnext,
    void (*each)(void *ctx, str name, uint32_t uid, str uidl), void *ctx);
/* courierpop3dsizelist: each(ctx, file name, uidl). */
void import_pop3list(struct arena *a, str text,
    void (*each)(void *ctx, str name, uint32_t uid, str uidl), void *ctx);
/* Name and flags of a Maildir file: "unique:2,FS". letters: bits a..z. */
void import_info(
    str name, str *base, unsigned *flags, uint32_t *letters, bool *forwarded);
/* From_ line (without its end): false: it is none. *t is set when has_date. */
bool import_from_line(str line, bool *has_date, struct stamp *t);

/* ---- the kinds ---- */
bool maildir_load(struct import *im, const struct import_box *b);
void maildir_subscriptions(struct import *im, const char *path);
bool mh_load(struct import *im, const struct import_box *b);
bool eml_load(struct import *im, const struct import_box *b);
bool mbox_load(struct import *im, const struct import_box *b);
/* The next message into im->text and item; false: none is left. */
bool mbox_next(struct import *im, struct import_item *item);
void mbox_free(struct mbox **m);

#endif
