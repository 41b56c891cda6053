/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The summary of a message as it is stored: packed, for its fields say most
 * things twice, and once more what the header says (docs/format.md).
 *
 * In the index it is cut in three: what lists show, the kept fields, the rest;
 * each as copies (copies.h) of what stands before, and of a few words that are
 * in every mail. In the log it is copies of the header too, which stands beside
 * it.
 *
 * What begins with another byte is the summary itself, whose first byte is its
 * version (mime.md): before format 2 all were stored so. Before format 3 they
 * were one zstd frame, and large ones still are.
 *
 * (1) Unpacking must be quick, for it is done for each message of a list: so
 *     nothing but copies, and no more is unpacked than is asked for.
 * (2) Bytes from disk are input: every number is checked.
 */
#include "store/summary.h"

#include <pthread.h>

#include "store/body_int.h"
#include "store/copies.h"

enum { PACKED = 129, ROW = 130, LOGGED = 131 };
#define LEVEL (-1)
/* More than any message_size_max allows. */
#define SUMMARY_MAX (64u << 20)

/* What every window begins with. It never changes. */
static const char words[] =
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    "(\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" "
    "(\"text\" \"html\" (\"charset\" \"us-ascii\") NIL NIL "
    "\"quoted-printable\" "
    "\"iso-8859-1\" \"format\" \"flowed\") NIL NIL \"8bit\" "
    " NIL NIL NIL NIL) \"alternative\" (\"boundary\" \"\") NIL NIL NIL)"
    " \"mixed\" (\"boundary\" \"(\"application\" \"octet-stream\" (\"name\" \""
    "(\"image\" \"jpeg\" \"png\" \"pdf\" \") NIL NIL \"base64\" "
    " NIL (\"attachment\" (\"filename\" \"\")) NIL NIL)"
    "\" NIL \"\")) ((\"\")) NIL NIL NIL \"<>\" \"<>\")"
    ">\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"utf-8\"\r\n"
    "Content-Type: multipart/alternative;\r\n boundary=\"Content-Type: "
    "multipart/"
    "mixed; boundary=\"\"\r\nContent-Transfer-Encoding: 8bit\r\n"
    "text/html; charset=UTF-8\r\nFrom: \r\nTo: \r\nSubject: Re: \r\nDate: \r\n"
    "Message-ID: <>\r\nIn-Reply-To: <>\r\nReferences: <>\r\nCc: >,\r\n\t"
    "Reply-To: Sender: List-Id: <.>\r\nList-Post: <mailto:@\r\n"
    "List-Unsubscribe: <https:///>,\r\n <mailto:?subject=unsubscribe>\r\n"
    "Precedence: list\r\nAuto-Submitted: auto-generated\r\n"
    "X-Priority: Importance: normal\r\n";
#define WORDS (sizeof(words) - 1)

static struct copies_known known; /* words, where they stand */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static ZSTD_CDict *pack;
static ZSTD_DDict *unpack;

static void
setup(void)
{
	copies_know(&known, words, WORDS);
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

/* p has room for n. */
static enum err
frame_get(str frame, char *p, size_t n)
{
	struct body_tls *t = body_tls();
	size_t r;

	pthread_once(&once, setup);
	if (t == NULL || unpack == NULL)
		return ERR_NOMEM;
	r = ZSTD_decompress_usingDDict(t->dctx, p, n, frame.p, frame.n, unpack);
	return !ZSTD_isError(r) && r == n && n > 0 ? OK : ERR_CORRUPT;
}

/* ---- writing ---- */

/* One frame, or as it is when that is shorter. */
static enum err
whole_put(str summary, struct buf *out)
{
	struct body_tls *t = body_tls();
	size_t room = ZSTD_compressBound(summary.n), was = out->n, r;
	char *p;

	enc_u8(out, PACKED);
	enc_var(out, summary.n);
	p = buf_room(out, room);
	if (t == NULL || pack == NULL || p == NULL)
		return ERR_NOMEM;
	r = body_compress_dict(t, p, room, summary, pack);
	if (ZSTD_isError(r) || r >= summary.n) {
		out->n = was;
		buf_str_add(out, summary);
	} else {
		out->n += r;
	}
	return buf_ok(out) ? OK : ERR_NOMEM;
}

static enum err
row_put(str summary, struct buf *out)
{
	struct buf w = {0}, piece = {0};
	struct copies *c;
	size_t at = WORDS;
	str cut[3];

	pthread_once(&once, setup);
	if (WORDS + summary.n >= COPIES_MAX || !mime_summary_cut(summary, cut))
		return whole_put(summary, out);
	buf_add(&w, words, WORDS);
	buf_str_add(&w, summary);
	c = copies_new(&known, w.p, w.n);
	enc_u8(out, ROW);
	for (int i = 0; i < 3; i++)
		enc_var(out, cut[i].n);
	for (int i = 0; i < 3; i++) {
		buf_reset(&piece);
		copies_put(c, at, at + cut[i].n, &piece);
		at += cut[i].n;
		if (i < 2)
			enc_str(out, buf_str(&piece));
		else
			buf_str_add(out, buf_str(&piece));
	}
	copies_free(&c);
	buf_free(&w);
	buf_free(&piece);
	return buf_ok(out) ? OK : ERR_NOMEM;
}

enum err
summary_pack(str summary, str header, struct buf *row, struct buf *logged)
{
	struct buf w = {0};
	struct copies *c;
	enum err e = row_put(summary, row);

	if (e != OK)
		return e;
	if (WORDS + header.n + summary.n >= COPIES_MAX)
		return whole_put(summary, logged);
	buf_add(&w, words, WORDS);
	buf_str_add(&w, header);
	buf_str_add(&w, summary);
	enc_u8(logged, LOGGED);
	enc_var(logged, summary.n);
	c = copies_new(&known, w.p, w.n);
	copies_put(c, WORDS + header.n, w.n, logged);
	copies_free(&c);
	buf_free(&w);
	return buf_ok(logged) ? OK : ERR_NOMEM;
}

/* ---- reading ---- */

struct form {
	unsigned kind;           /* the first byte; 0: the summary itself */
	size_t a, b, c;          /* octets of each piece */
	str first, fields, rest; /* of which they are made */
};

static size_t
octets(struct dec *d, size_t max)
{
	uint64_t n = dec_var(d);

	if (n >= max)
		d->bad = true;
	return d->bad ? 0 : (size_t)n;
}

/* (2) */
static enum err
form_of(str stored, struct form *f)
{
	struct dec d = dec_of(stored);

	*f = (struct form){.kind = dec_u8(&d)};
	if (f->kind == PACKED) {
		f->a = octets(&d, SUMMARY_MAX);
		f->first = dec_take(&d, dec_left(&d));
	} else if (f->kind == ROW) {
		f->a = octets(&d, COPIES_MAX);
		f->b = octets(&d, COPIES_MAX);
		f->c = octets(&d, COPIES_MAX);
		f->first = dec_str(&d);
		f->fields = dec_str(&d);
		f->rest = dec_take(&d, dec_left(&d));
		d.bad |= WORDS + f->a + f->b + f->c >= COPIES_MAX;
	} else if (f->kind == LOGGED) {
		return ERR_CORRUPT;
	} else {
		f->kind = 0;
		return OK;
	}
	return d.bad ? ERR_CORRUPT : OK;
}

/* Bytes that unpacking takes, behind the words. */
static size_t
form_room(const struct form *f)
{
	return f->a + f->b + f->c + COPIES_SLACK;
}

/* At w, where the words stand and the room is behind them, as many pieces as
 * are asked for. */
static enum err
form_unpack(const struct form *f, char *w, enum summary_upto upto, str *summary)
{
	size_t a = WORDS + f->a, b = a + f->b, c = b + f->c;
	bool ok;

	*summary = str_of(w + WORDS, f->a);
	if (f->kind == PACKED)
		return frame_get(f->first, w + WORDS, f->a);
	ok = copies_get(f->first, w, WORDS, a);
	if (ok && upto >= UPTO_FIELDS) {
		ok = copies_get(f->fields, w, a, b);
		summary->n += f->b;
	}
	if (ok && upto >= UPTO_ALL) {
		ok = copies_get(f->rest, w, b, c);
		summary->n += f->c;
	}
	return ok ? OK : ERR_CORRUPT;
}

enum err
summary_unpack(
    str stored, enum summary_upto upto, struct buf *room, str *summary)
{
	struct form f;
	enum err e = form_of(stored, &f);

	*summary = stored;
	if (e != OK || f.kind == 0)
		return e;
	if (room->n == 0) /* else the words stand there from the last time */
		buf_add(room, words, WORDS);
	if (buf_room(room, form_room(&f)) == NULL)
		return ERR_NOMEM;
	return form_unpack(&f, room->p, upto, summary);
}

enum err
summary_load(str stored, struct arena *ar, str *summary)
{
	struct form f;
	enum err e = form_of(stored, &f);
	char *w;

	if (e != OK)
		return e;
	if (f.kind == 0) {
		*summary = arena_dup(ar, stored);
		return summary->p != NULL ? OK : ERR_LIMIT;
	}
	if ((w = arena_alloc(ar, WORDS + form_room(&f))) == NULL)
		return ERR_LIMIT;
	memcpy(w, words, WORDS);
	return form_unpack(&f, w, UPTO_ALL, summary);
}

enum err
summary_row(
    str logged, str header, uint32_t size, uint32_t prefix, struct buf *row)
{
	struct buf text = {0}, w = {0};
	struct dec d = dec_of(logged);
	size_t at, n;
	enum err e;

	if (dec_u8(&d) != LOGGED) {
		buf_str_add(row, logged);
		return buf_ok(row) ? OK : ERR_NOMEM;
	}
	n = octets(&d, COPIES_MAX);
	if (d.bad || prefix > size || size - prefix >= COPIES_MAX)
		return ERR_CORRUPT;
	e = size == 0 ? OK : body_decode_n(header, size, &text);
	at = WORDS + size - prefix;
	if (e == OK && buf_room(&w, at + n + COPIES_SLACK) == NULL)
		e = ERR_NOMEM;
	if (e == OK) {
		buf_add(&w, words, WORDS);
		buf_str_add(&w, str_from(buf_str(&text), prefix));
		if (!copies_get(str_of(d.p, dec_left(&d)), w.p, at, at + n))
			e = ERR_CORRUPT;
	}
	if (e == OK)
		e = row_put(str_of(w.p + at, n), row);
	buf_free(&text);
	buf_free(&w);
	return e;
}
