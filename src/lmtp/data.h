/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The bytes of a message on their way in: the end of DATA, dots, line
 * ends, and where the message is kept meanwhile. No I/O with peers.
 */
#ifndef LMTP_DATA_H
#define LMTP_DATA_H

#include "base/base.h"

/* Why a message is refused; the first reason stays. */
enum data_fault {
	DATA_GOOD,
	DATA_BARE_LF,
	DATA_BARE_CR,
	DATA_NUL,
	DATA_TOOBIG,
	DATA_NOMEM
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
	enum data_fault fault;
	struct buf mem; /* the message, or what the file lacks */
	int fd;         /* -1: all is in mem */
	uint64_t size;
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
