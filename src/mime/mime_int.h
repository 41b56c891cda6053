/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * mime, the inside: what its files share.
 *
 * (1) No function recurses on its input: every depth is a counter or a
 *     bounded stack on the heap.
 * (2) Whatever is searched for is searched for once: a scan that failed is
 *     not begun again a byte later. tests/mime/t_linear.c counts the steps.
 */
#ifndef MIME_MIME_INT_H
#define MIME_MIME_INT_H

#include "mime/mime.h"

/* Addresses that ENVELOPE names in one message, and the envelopes inside
 * its BODYSTRUCTURE together: "a,a,a" would grow fifteenfold otherwise. */
#define ADDRESSES_MAX 65536
/* Parameters kept of one field; the rest is not described. */
#define PARAMS_MAX 10000
/* MIME headers that are described, in sum, in header_max. */
#define PART_HEADERS_FACTOR 4

/* The fields that mime itself reads. */
enum field_id {
	F_OTHER,
	F_DATE,
	F_SUBJECT,
	F_FROM,
	F_SENDER,
	F_REPLY_TO,
	F_TO,
	F_CC,
	F_BCC,
	F_IN_REPLY_TO,
	F_MESSAGE_ID,
	F_REFERENCES,
	F_TYPE,
	F_ENCODING,
	F_DISPOSITION,
	F_ID,
	F_DESCRIPTION,
	F_MD5,
	F_LANGUAGE,
	F_LOCATION,
	F_KEPT, /* kept in the summary, not read by mime */
	F_MAX
};
enum field_id mime_field_id(str name);

/* A part while the message is read: struct part and what its header says. */
struct node {
	struct part part;
	uint32_t level;
	uint32_t children;
	str header; /* the bytes */
	str type, subtype;
	bool unread;      /* its inside is beyond a bound: shown as a leaf */
	bool digest;      /* its children are messages by default */
	bool invented;    /* the child of a multipart without one */
	str field[F_MAX]; /* values from F_TYPE on; p NULL: absent */
};

struct tree {
	str message;
	struct node *v;
	size_t n, cap;
	uint32_t lines;
	bool has_nul;
};
/* Reads message into t (zeroed); t->v is the caller's to free. */
void mime_tree(str message, struct tree *t);
void tree_free(struct tree *t);

/* Scratch memory of one summary. */
struct scratch {
	struct arena *arena;
	struct buf a, b, c;
	size_t addresses; /* still to be described */
};

/* ENVELOPE of a header; BODYSTRUCTURE of a whole tree. */
void mime_envelope(struct scratch *s, str header, struct buf *out);
void
mime_bodystructure(struct scratch *s, const struct tree *t, struct buf *out);
/* The values of the header's first field of each kind, p NULL: none. Several
 * fields of addresses are joined with a comma, in all (the caller frees). */
void mime_fields_of(str header, str field[F_MAX], struct buf all[F_BCC + 1]);

/* Header end within message from at on: 0 when the line at `at` does not end
 * it, else the length of the empty line. */
size_t mime_empty_line(const char *p, const char *end);

/* White space as mail has it. */
static inline bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}
static inline bool
is_lwsp(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
static inline char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}
/* 0..15, or -1. */
static inline int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
/* Steps over a comment that opens at p: behind its end, or end. */
const char *mime_skip_comment(const char *p, const char *end);
/* White space and comments. */
const char *mime_skip_cfws(const char *p, const char *end);
bool is_token_char(unsigned char c); /* RFC 2045 token */

/* Parameters as they are in BODYSTRUCTURE: RFC 2231 continuations joined,
 * extended values as they stand under "name*". */
enum err mime_params_raw(struct arena *a, str value, str *type,
    struct param **v, size_t *n) MUST_CHECK;
/* The charset parameter of a Content-Type value; empty: none. */
str mime_charset_of(struct arena *a, str value);

/* Decoders that are fed in pieces. */
struct b64 {
	uint32_t bits;
	unsigned n; /* characters in bits */
};
void mime_b64_feed(struct b64 *d, str s, struct buf *out);
void mime_b64_end(struct b64 *d, struct buf *out);
/* s should end at a line end, unless it is the last. q: "_" is a space. */
void mime_qp(str s, bool q, struct buf *out);
enum cte mime_cte(str value, str *token);

/* A charset converter that is fed in pieces. */
struct conv;
struct conv *conv_open(str charset, bool *known);
void conv_feed(struct conv *c, str s, struct buf *out);
void conv_end(struct conv **c, struct buf *out);

#endif
