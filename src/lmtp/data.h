/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The bytes of a message on their way in: the end of DATA, dots, line
 * ends, and where the message is kept meanwhile. No I/O with peers.
 */
#ifndef LMTP_DATA_H
#define LMTP_DATA_H

#include "base/base.h"

/* Why a message is refused: all reasons that were found, so that the answer
 * does not depend on how the bytes were cut. */
enum data_fault {
	DATA_GOOD = 0,
	DATA_NUL = 1,
	DATA_BARE_CR = 2,
	DATA_BARE_LF = 4,
	DATA_TOOBIG = 8,
	DATA_NOMEM = 16
};

struct data {
	enum {
		AT_BOL, /* after CR LF, or at the very beginning */
		AT_MID,
		AT_CR,    /* after a CR that was kept */
		AT_DOT,   /* after a dot that began a line and was dropped */
		AT_DOT_CR /* and a CR that is held back */
	} at;
	bool fix_lf;
	unsigned faults; /* enum data_fault */
	struct buf mem;  /* the message, or what the file lacks */
	int fd;          /* -1: all is in mem */
	uint64_t size;   /* octets that came, kept or not */
	void *map;
};

void data_begin(struct data *d, bool fix_lf);
/* The next bytes after DATA; returns how many belong to the message. *end:
 * CR LF . CR LF has come, and behind it stand commands again. */
size_t data_eat(struct data *d, str in, bool *end);
/* The next bytes of a BDAT chunk, as they are. */
void data_add(struct data *d, str in);
/* The whole message, until data_free. ERR_NOMEM. */
enum err data_whole(struct data *d, str *whole) MUST_CHECK;
void data_free(struct data *d);

#endif
