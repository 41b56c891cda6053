/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What the writer and the reader of texts share: the numbers of the form and
 * each thread's zstd contexts.
 */
#ifndef STORE_BODY_INT_H
#define STORE_BODY_INT_H

#include <zstd.h>

#include "os/os.h"
#include "store/body.h"

#define BODY_VERSION 1
#define BODY_FRAME_BITS 17
#define BODY_FRAME_BITS_MAX 22
/* 2 GiB of text have 16 384 frames, each with at most 14 octets here, and a
 * few ten thousand segments. */
#define BODY_HEAD_MAX (1 << 20)

/* Made when a thread first needs it, freed when the thread ends. */
struct body_tls {
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
	struct buf stored; /* a frame as it stands on disk */
	struct buf frame;  /* one frame, decoded: */
	uint64_t frame_of; /* of the text with this id; 0: none */
	size_t frame_no;
	struct buf ahead;  /* text.c: a stretch of the log, */
	uint64_t ahead_of; /* of the segment with this id; 0: none */
	uint64_t ahead_at;
};
struct body_tls *body_tls(void); /* NULL: no memory */
/* The dictionary, made ready once for all threads. */
const ZSTD_CDict *body_cdict(void);
const ZSTD_DDict *body_ddict(void);
/* One frame, without what its reader knows: its dictionary and its size. */
size_t body_compress_dict(
    struct body_tls *t, char *p, size_t room, str text, const ZSTD_CDict *dict);

#endif
