/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * mime: Internet messages (RFC 5322, RFC 2045-2047, RFC 2231, RFC 6532).
 * Works on a whole message in memory, never modifies it, and takes every
 * message: what is malformed is described as well as can be.
 *
 * (1) All work is linear in the bytes of the message, whatever they are.
 * (2) Depth, parts and header bytes are described up to limits.h; past them
 *     the message is still a message, its structure is described as far as
 *     the bound.
 * (3) Line ends: CR LF, and a bare LF counts as a line end too (a bare CR
 *     does not). Sizes are octets as they are stored.
 */
#ifndef MIME_MIME_H
#define MIME_MIME_H

#include "base/base.h"

/* ---- the summary: made once, at delivery ---- */

/* Header fields that are kept raw in the summary, so that no body is opened
 * for the sets that mail programs ask for (FETCH BODY[HEADER.FIELDS (...)]).
 * The list is in mime/summary.c (date from sender reply-to to cc bcc
 * subject message-id in-reply-to references content-type list-id
 * list-post x-priority importance ...). A field that is not in the list
 * needs the stored header. */
bool mime_field_kept(str name);

/* Folded texts (UTF-8, decoded, utf8_fold) for SEARCH, SORT, THREAD. */
enum sum_text {
	SUM_SUBJECT,      /* the whole subject */
	SUM_BASE_SUBJECT, /* RFC 5256 section 2.1 */
	SUM_FROM,         /* all of From: names and addresses */
	SUM_TO,
	SUM_CC,
	SUM_BCC,
	SUM_FROM_MAILBOX, /* first address's local part: SORT FROM */
	SUM_TO_MAILBOX,
	SUM_CC_MAILBOX,
	SUM_FROM_DISPLAY, /* RFC 5957 */
	SUM_TO_DISPLAY,
	SUM_TEXT_MAX
};

/* A MIME part, in the order of the tree (depth first). Part 0 is the
 * message itself. */
struct part {
	uint32_t parent;     /* index; of part 0: 0 */
	uint32_t number;     /* 1.. within the parent's multipart; part 0: 0 */
	uint32_t header_at;  /* offset in the message of its MIME header */
	uint32_t header_len; /* with the empty line that ends it */
	uint32_t body_at;    /* offset of the part's body */
	uint32_t body_len;
	uint32_t body_lines; /* line ends in the body */
	uint8_t kind;        /* enum part_kind */
	uint8_t encoding;    /* enum cte */
	uint8_t flags;       /* PART_* */
	/* For PART_MESSAGE the single child (next index) is the enclosed
	 * message: its header_at/len are the enclosed header. */
};
enum part_kind { PART_LEAF, PART_TEXT, PART_MULTIPART, PART_MESSAGE };
enum cte {
	CTE_7BIT,
	CTE_8BIT,
	CTE_BINARY,
	CTE_QP,
	CTE_BASE64,
	CTE_UU,
	CTE_UNKNOWN
};
#define PART_ATTACHMENT 1 /* Content-Disposition: attachment */
#define PART_HTML 2       /* text/html */

struct summary {
	uint32_t size;        /* octets: RFC822.SIZE */
	uint32_t header_size; /* with the empty line */
	uint32_t lines;       /* of the body */
	bool has_nul;
	str envelope;      /* "(...)" as IMAP sends it: nothing but literals
			      for what is not 7-bit (RFC 3501 7.4.2) */
	str bodystructure; /* "(...)" with extension data */
	str fields;        /* the kept fields, raw, each with its line ends,
			      in the message's order */
	str text[SUM_TEXT_MAX];
	bool has_date;
	struct stamp date; /* Date: */
	str message_id;    /* without <>; empty: none */
	str in_reply_to;   /* first id in it */
	str references; /* ids separated by NUL, oldest first, at most 1 000 */
	uint32_t parts; /* number of parts */
	str part_table; /* packed: mime_part */
	uint32_t shift; /* octets put before the header since: set by who keeps
			    both; mime_part counts them */
};

/* Makes the stored form of message's summary, appended to out. Never
 * refuses a message for its form. Versioned, and built of tagged fields, so
 * that later versions can add some. ERR_TOOBIG past 2 GiB, ERR_NOMEM. */
enum err mime_summarise(str message, struct buf *out) MUST_CHECK;
/* Reads a stored form; slices point into it. The form may come from a peer
 * process: every offset is checked. ERR_CORRUPT. */
enum err mime_summary_get(str stored, struct summary *s) MUST_CHECK;
/* Out of a stored form, or its beginning, what stands first in it, without
 * looking at the rest: ENVELOPE and BODYSTRUCTURE, and the kept fields
 * (NULL: not asked for). false: ask mime_summary_get. */
bool
mime_summary_head(str stored, str *envelope, str *bodystructure, str *fields);
/* Cuts a stored form where that stops reading: behind BODYSTRUCTURE and behind
 * the kept fields. false: it is longer than is usual, or is none. */
bool mime_summary_cut(str stored, str cut[3]);
/* Part i of the summary; false past the end. O(1). */
bool mime_part(const struct summary *s, uint32_t i, struct part *p);
/* The part that section numbers name (BODY[1.2.3]), RFC 3501 6.4.5: n = 0 is
 * the message itself. false: there is none. */
bool mime_part_find(const struct summary *s, const uint32_t *section, size_t n,
    struct part *p, uint32_t *index);
/* BODY (without extension data) from a BODYSTRUCTURE of ours. */
void mime_body_of(str bodystructure, struct buf *out);
/* Out of the header text (as summary.fields or a whole header), the fields
 * named (or, with not, all the others), each as it stands with its line
 * ends, then an empty line: BODY[HEADER.FIELDS (...)]. Names compare
 * without case. Linear in header plus names. */
void mime_header_fields(
    str header, const str *names, size_t n, bool not, struct buf *out);
/* Length of the header at the start of message, with the empty line that
 * ends it (or all of it when there is none); at most limits.header_max. */
size_t mime_header_len(str message);

/* Calls each with pieces of the message's searchable text, decoded to
 * UTF-8 and folded (RFC 3501 6.4.4): BODY = text parts and enclosed
 * messages' headers; TEXT = that and the header, decoded. A piece ends at a
 * part's end, so that no match spans two parts; within a part pieces overlap
 * by overlap bytes. each returns false to stop. O(message). */
enum mime_where { MIME_IN_BODY = 1, MIME_IN_TEXT = 2 };
void mime_text(str message, const struct summary *s, enum mime_where where,
    size_t overlap, bool (*each)(void *ctx, str folded), void *ctx);
/* Header field name: every instance decoded and folded, given to each:
 * SEARCH HEADER. */
void mime_header_text(
    str header, str name, bool (*each)(void *ctx, str folded), void *ctx);

/* ---- pieces, each usable alone and fuzzed alone ---- */

/* Next header field at *at of header; false at the end. name without
 * colon, value raw with folds, whole: the field with its line end. A line
 * without a colon is skipped over. */
struct field {
	str name, value, whole;
};
bool mime_field_next(str header, size_t *at, struct field *f);
/* First field of that name. */
bool mime_field_find(str header, str name, struct field *f);
/* value unfolded (CR LF before WSP removed), trimmed. */
void mime_unfold(str value, struct buf *out);
/* RFC 2047 encoded words and raw bytes to UTF-8 (raw 8-bit: UTF-8 if valid,
 * else Latin-1). Malformed words stay as they are. */
void mime_decode_words(str value, struct buf *out);

/* An address list, RFC 5322 3.4 with obsolete forms, lenient. */
struct address {
	str name, route, local, domain; /* raw, unquoted; p NULL: absent */
	/* group start: domain absent, local = name; group end: both absent */
};
/* At most max addresses; linear. In the arena. */
enum err mime_addresses(struct arena *a, str value, struct address **v,
    size_t *n, size_t max) MUST_CHECK;
/* Date: RFC 5322 3.3 with obsolete zones and two-digit years. */
bool mime_date(str value, struct stamp *t);
void mime_date_print(
    struct stamp t, struct buf *out); /* "Mon, 02 Jan 2006 15:04:05 +0100" */
/* ids of References/In-Reply-To/Message-ID, without <>: calls each. */
void mime_msg_ids(str value, bool (*each)(void *ctx, str id), void *ctx);
/* Parameters of Content-Type/Disposition with RFC 2231 joined and decoded;
 * *type gets what stands before the first ';'. */
struct param {
	str name, value;
};
enum err mime_params(struct arena *a, str value, str *type, struct param **v,
    size_t *n) MUST_CHECK;
/* RFC 5256 2.1: the base subject of decoded UTF-8; *reply: it was a reply
 * or forward. */
void mime_base_subject(str subject, struct buf *out, bool *reply);

/* Decodes a body with its transfer encoding, lenient, appended to out
 * (BINARY[...], RFC 3516). CTE_UNKNOWN: as it stands; whoever must not send
 * that (UNKNOWN-CTE) looks at the encoding first. ERR_NOMEM. */
enum err mime_decode(str body, enum cte e, struct buf *out) MUST_CHECK;
/* For a base64 body: true when encoding the decoded bytes again in lines of
 * *line characters with CR LF gives exactly the body (with the final line
 * end when the body ends in CR LF). */
bool mime_base64_exact(str body, struct buf *decoded, uint32_t *line);
/* The inverse: lines of line characters, each with CR LF, final line end only
 * when tail is set. Vectorisable: no branch per byte. */
void mime_base64_lines(str decoded, uint32_t line, bool tail, struct buf *out);
/* The same into memory of exactly the size that the first tells; returns
 * that size. */
size_t mime_base64_lines_size(size_t n, uint32_t line, bool tail);
size_t mime_base64_lines_put(str decoded, uint32_t line, bool tail, char *p);
/* charset (any name iconv or MIME knows) to UTF-8; malformed bytes become
 * U+FFFD; unknown charset: ASCII kept, others U+FFFD, ERR_INVALID. */
enum err mime_to_utf8(str charset, str bytes, struct buf *out);
bool mime_charset_known(str charset);
/* Opens all converters that will be needed, before the box closes. */
void mime_charsets_load(void);

#endif
