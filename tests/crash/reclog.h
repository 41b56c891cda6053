/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * reclog: what record.so writes and replay reads: every change of the files
 * below one directory, in the order in which the system took them.
 *
 * The log is one file of a fixed size, mapped by each process that is
 * recorded. So recording needs no descriptor and no system call, survives
 * fork, the closing of all descriptors and the box, and one lock puts the
 * changes of all processes in their true order.
 *
 * (1) A record is 24 bytes, then len bytes, then zeros up to a multiple of
 *     eight. Numbers are those of the machine: a log is read where it was
 *     made.
 * (2) A handle is an opening of a file, never used again; whether two
 *     handles are the same file follows from the paths. So an inode number
 *     that is used again confuses nobody.
 * (3) Paths begin with '/', which is the directory recorded; there is no
 *     "//", "." or ".." in them.
 */
#ifndef TESTS_CRASH_RECLOG_H
#define TESTS_CRASH_RECLOG_H

#include <pthread.h>
#include <stdint.h>

#define RECLOG_MAGIC "restrec1"
#define RECLOG_HEAD 4096

struct reclog {
	char magic[8];
	pthread_mutex_t mu;  /* robust, shared: guards all below */
	uint64_t size;       /* of the file */
	uint64_t end;        /* of the last record, from RECLOG_HEAD on */
	uint64_t mutations;  /* of all processes */
	uint32_t handles;    /* given so far */
	uint32_t overflowed; /* the file was too small: useless */
};

enum reclog_op {
	REC_OPEN = 1, /* handle, at = flags of open(2); path */
	REC_WRITE,    /* handle, at; the bytes */
	REC_ZERO,     /* handle, at; a uint64_t: how many zeros */
	REC_ALLOC,    /* handle, at; a uint64_t: fallocate, that is longer */
	REC_TRUNCATE, /* handle, at = the size */
	REC_SYNC,     /* handle: fsync or fdatasync, of a directory too */
	REC_RANGE,    /* handle: sync_file_range, which promises nothing */
	REC_MAPPED,   /* handle: mapped to be written, so no longer seen */
	REC_RENAME,   /* from NUL to */
	REC_LINK,     /* from NUL to */
	REC_UNLINK,   /* path; of directories too */
	REC_MKDIR,    /* path */
	REC_ACK,      /* "NUMBER" or "NUMBER TEXT" */
	REC_OP_MAX
};

#define RECLOG_DURABLE 1 /* flags of WRITE: by itself (O_DSYNC, O_SYNC) */
#define RECLOG_DIR 2     /* flags of OPEN: a directory */

struct reclog_rec {
	uint8_t op;
	uint8_t flags;
	uint16_t spare;
	uint32_t handle;
	uint64_t at;
	uint32_t len;
	uint32_t pid;
};

#define RECLOG_ACK_FD 200

#endif
