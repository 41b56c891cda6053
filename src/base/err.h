/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The kinds of failure. A client hears the kind through one table per
 * protocol, never a path or an errno; the log holds the numbers, written
 * once, where the failure is discovered.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err {
	OK = 0,
	ERR_NOTFOUND,    /* no such account, mailbox, message */
	ERR_EXISTS,      /* the name is taken */
	ERR_INVALID,     /* malformed name, value or message */
	ERR_LIMIT,       /* one of base/limits.h */
	ERR_TOOBIG,      /* message larger than message_size_max */
	ERR_DENIED,      /* the grant lacks the right */
	ERR_CANNOT,      /* this can never be done (rename to a child, ...) */
	ERR_READONLY,    /* the view is read-only */
	ERR_FULL,        /* the disk (or quota of the file system) is full */
	ERR_OVERQUOTA,   /* the account's quota */
	ERR_IO,          /* a read, write or flush failed */
	ERR_CORRUPT,     /* a checksum or bound on disk does not hold */
	ERR_BUSY,        /* somebody else holds the lock */
	ERR_UNAVAILABLE, /* shutting down, restarting, not connected */
	ERR_NOMEM,       /* a large buffer could not be had */
	ERR_EXPUNGED,    /* the message has been expunged and freed */
	ERR_AUTH,        /* wrong name or password, or disabled */
	ERR_TIMEOUT,
	ERR_MAX
};

/* "not found", "disk full": one or two lower-case words, for logs and the
 * command line. */
const char *err_name(enum err e);

/* The kind for an errno value (ENOSPC -> ERR_FULL, ENOMEM -> ERR_NOMEM,
 * ENOENT -> ERR_NOTFOUND, EEXIST -> ERR_EXISTS, ... -> ERR_IO). */
enum err err_errno(int error);

#endif
