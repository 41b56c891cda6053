/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Writing the encoded form of a text (body.h). Reading it: body_read.c.
 *
 * (1) What is written is made of what was compared: a base64 part counts as
 *     exact only after it has been encoded again and found the same.
 */
#include <openssl/sha.h>
#include <zstd.h>

#include "store/body_int.h"

/* Faster than the disk, and nearly as small as higher levels on mail; what is
 * short, with the dictionary, is worth a higher one (body_zstd.c). */
#define LEVEL 1
/* Texts up to this many octets are compressed with the dictionary; longer
 * ones get no smaller by it, and those of odd words larger. */
#define DICT_TEXT_MAX 2048
/* Below this a decoded part saves nothing that matters. */
#define PART_MIN 256
/* RFC 2045 has 76; whoever writes longer lines than this is no mail program
 * whose files are worth it, and reading one line must stay cheap. */
#define LINE_MAX_CHARS 1000

void
body_hash(str text, uint8_t hash[32])
{
	SHA256(
	    (const unsigned char *)(text.n == 0 ? "" : text.p), text.n, hash);
}

/* Compresses frame i, appended to out, or as it is when that saves less than
 * a tenth (1). */
static enum err
frame_put(struct buf *out, str frame, bool dict, size_t *len)
{
	struct body_tls *t = body_tls();
	size_t room = ZSTD_compressBound(frame.n), r;
	char *p = buf_room(out, room);

	if (t == NULL || p == NULL)
		return ERR_NOMEM;
	if (dict)
		r = body_compress_dict(t, p, room, frame, body_cdict());
	else
		r = ZSTD_compressCCtx(
		    t->cctx, p, room, frame.p, frame.n, LEVEL);
	if (ZSTD_isError(r) || r > frame.n - frame.n / 10 - 1) {
		memcpy(p, frame.p, frame.n);
		r = frame.n;
	}
	out->n += r;
	*len = r;
	return OK;
}

/* The coded text of the frames is c; the list of segments stands encoded in
 * segs. */
static enum err
put(str c, uint64_t size, size_t nsegs, str segs, struct buf *out)
{
	struct buf data = {0}, head = {0};
	bool dict = c.n <= DICT_TEXT_MAX;
	size_t frame = (size_t)1 << BODY_FRAME_BITS, len;
	uint64_t i = 0;
	enum err e = OK;

	enc_u8(&head, BODY_VERSION);
	enc_u8(&head, dict ? 1 : 0);
	enc_u8(&head, BODY_FRAME_BITS);
	enc_u8(&head, 0);
	enc_u32(&head, 0); /* the length, below */
	enc_var(&head, size);
	enc_var(&head, nsegs);
	buf_str_add(&head, segs);
	for (size_t at = 0; at < c.n; at += frame, i++) {
		size_t was = data.n;

		e = frame_put(
		    &data, str_head(str_from(c, at), frame), dict, &len);
		if (e != OK)
			goto out;
		enc_var(&head, len);
		enc_u64(&head, hash_xxh3(str_of(data.p + was, len), i));
	}
	if (!buf_ok(&head) || head.n > BODY_HEAD_MAX) {
		e = ERR_NOMEM;
		goto out;
	}
	len = head.n + 8;
	for (int k = 0; k < 4; k++)
		head.p[4 + k] = (char)(len >> (8 * k));
	enc_u64(&head, hash_xxh3(buf_str(&head), 0));
	buf_str_add(out, buf_str(&head));
	buf_str_add(out, buf_str(&data));
	if (!buf_ok(out))
		e = ERR_NOMEM;
out:
	buf_free(&head);
	buf_free(&data);
	return e;
}

enum err
body_encode(str text, struct buf *out)
{
	return put(text, text.n, 0, STR_NONE, out);
}

/* Tries to decode the part, appended to coded. */
static bool
part_decode(str part, struct buf *coded, uint32_t *line, bool *tail)
{
	struct buf again = {0};
	size_t was = coded->n;
	bool same;

	*tail = str_ends(part, S("\r\n"));
	if (!mime_base64_exact(part, coded, line) || *line == 0 ||
	    *line % 4 != 0 || *line > LINE_MAX_CHARS || coded->n == was) {
		coded->n = was;
		return false;
	}
	mime_base64_lines(
	    str_of(coded->p + was, coded->n - was), *line, *tail, &again);
	same = buf_ok(&again) && buf_ok(coded) && str_eq(buf_str(&again), part);
	buf_free(&again);
	if (!same)
		coded->n = was;
	return same;
}

struct parts {
	struct buf coded, segs;
	size_t nsegs;
	size_t done; /* octets of the text that are coded */
};

static void
verbatim(struct parts *w, str text, size_t to)
{
	if (to == w->done)
		return;
	buf_add(&w->coded, text.p + w->done, to - w->done);
	enc_var(&w->segs, (uint64_t)(to - w->done) << 1);
	w->nsegs++;
	w->done = to;
}

/* Part p of the message: takes it in when it lies behind what is done and is
 * base64 of the common kind. Empty lines at its end stay text. */
static void
take_part(struct parts *w, str text, const struct part *p, size_t base)
{
	size_t at, was, n = p->body_len;
	struct buf dec = {0};
	uint32_t line;
	bool tail;

	if (p->encoding != CTE_BASE64 || p->kind == PART_MULTIPART ||
	    p->body_at < base || n < PART_MIN)
		return;
	at = p->body_at - base;
	if (at < w->done || at > text.n || n > text.n - at)
		return;
	while (n >= 4 && memcmp(text.p + at + n - 4, "\r\n\r\n", 4) == 0)
		n -= 2;
	if (part_decode(str_of(text.p + at, n), &dec, &line, &tail)) {
		verbatim(w, text, at);
		was = w->coded.n;
		buf_str_add(&w->coded, buf_str(&dec));
		enc_var(&w->segs, (uint64_t)(w->coded.n - was) << 1 | 1);
		enc_var(&w->segs, (uint64_t)line << 1 | tail);
		w->nsegs++;
		w->done = at + n;
	}
	buf_free(&dec);
}

enum err
body_encode_parts(
    str text, const struct summary *s, size_t base, struct buf *out)
{
	struct parts w = {0};
	struct part p;
	enum err e;

	for (uint32_t i = 0; s != NULL && i < s->parts; i++) {
		if (!mime_part(s, i, &p))
			break;
		take_part(&w, text, &p, base);
	}
	if (w.nsegs == 0)
		return body_encode(text, out);
	verbatim(&w, text, text.n);
	if (!buf_ok(&w.coded) || !buf_ok(&w.segs))
		e = ERR_NOMEM;
	else
		e = put(
		    buf_str(&w.coded), text.n, w.nsegs, buf_str(&w.segs), out);
	buf_free(&w.coded);
	buf_free(&w.segs);
	return e;
}
