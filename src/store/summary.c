/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The summary of a message as it is stored, in its MESSAGE record and in its
 * row of the index: packed, for its fields say most things twice and are much
 * alike from mail to mail.
 *
 *   u8   129           one zstd frame, with the dictionary of summaries
 *   var  octets of the summary
 *   the frame
 *
 * What does not begin with 129 is the summary itself, whose first byte is its
 * version (mime.md); before format 2 all were stored so.
 *
 * (1) Unpacking must be quick, for it is done for each message of a list: so
 *     a level of zstd without entropy coding of what it does not find.
 * (2) Bytes from disk are input: every number is checked.
 */
#include "store/summary.h"

#include <pthread.h>

#include "store/body_int.h"

#define PACKED 129
#define LEVEL (-1) /* (1) */
/* More than any message_size_max allows. */
#define SUMMARY_MAX (64u << 20)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static ZSTD_CDict *pack;
static ZSTD_DDict *unpack;

static void
setup(void)
{
	pack = ZSTD_createCDict(summary_dict_1, summary_dict_1_len, LEVEL);
	unpack = ZSTD_createDDict(summary_dict_1, summary_dict_1_len);
}

__attribute__((destructor)) static void
teardown(void)
{
	ZSTD_freeCDict(pack);
	ZSTD_freeDDict(unpack);
	pack = NULL;
	unpack = NULL;
}

enum err
summary_pack(str summary, struct buf *out)
{
	struct body_tls *t = body_tls();
	size_t room = ZSTD_compressBound(summary.n);
	size_t was = out->n;
	size_t r;
	char *p;

	pthread_once(&once, setup);
	enc_u8(out, PACKED);
	enc_var(out, summary.n);
	p = buf_room(out, room);
	if (t == NULL || pack == NULL || p == NULL)
		return ERR_NOMEM;
	r = ZSTD_compress_usingCDict(
	    t->cctx, p, room, summary.p, summary.n, pack);
	if (ZSTD_isError(r) || r >= summary.n) {
		out->n = was;
		buf_str_add(out, summary);
		return buf_ok(out) ? OK : ERR_NOMEM;
	}
	out->n += r;
	return OK;
}

/* False: it is not packed. */
static bool
packed(str stored, uint64_t *n, str *frame)
{
	struct dec d = dec_of(stored);

	if (dec_u8(&d) != PACKED)
		return false;
	*n = dec_var(&d);
	*frame = dec_take(&d, dec_left(&d));
	if (d.bad || *n > SUMMARY_MAX)
		*n = 0; /* which no frame has */
	return true;
}

static enum err
frame_read(str frame, char *p, size_t n)
{
	struct body_tls *t = body_tls();
	size_t r;

	pthread_once(&once, setup);
	if (t == NULL || unpack == NULL)
		return ERR_NOMEM;
	r = ZSTD_decompress_usingDDict(t->dctx, p, n, frame.p, frame.n, unpack);
	return !ZSTD_isError(r) && r == n && n > 0 ? OK : ERR_CORRUPT;
}

enum err
summary_unpack(str stored, struct buf *room, str *summary)
{
	uint64_t n;
	str frame;
	char *p;

	*summary = stored;
	if (!packed(stored, &n, &frame))
		return OK;
	buf_reset(room);
	if ((p = buf_room(room, (size_t)n + 1)) == NULL)
		return ERR_NOMEM;
	*summary = str_of(p, (size_t)n);
	return frame_read(frame, p, (size_t)n);
}

enum err
summary_load(str stored, struct arena *ar, str *summary)
{
	uint64_t n;
	str frame;
	char *p;

	if (!packed(stored, &n, &frame)) {
		*summary = arena_dup(ar, stored);
		return summary->p != NULL ? OK : ERR_LIMIT;
	}
	if ((p = arena_alloc(ar, (size_t)n + 1)) == NULL)
		return ERR_LIMIT;
	*summary = str_of(p, (size_t)n);
	return frame_read(frame, p, (size_t)n);
}
