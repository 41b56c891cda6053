/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The words of IMAP (RFC 3501, RFC 9051) as scanners over one complete
 * command: the line without its final CR LF, each literal within it as
 * "{n}" CR LF and its n octets.
 *
 * (1) A scanner moves only when it succeeds, and never past the slice.
 * (2) Results are slices of the input; only a quoted string with escapes
 *     is copied, into the arena.
 * (3) NUL is refused everywhere but in a literal8; octets from 0x80 on only
 *     stand in quoted strings (as well-formed UTF-8) and in literals.
 * (4) Nothing here knows a session.
 */
#ifndef PROTO_IMAP_H
#define PROTO_IMAP_H

#include "base/base.h"

#define IMAP_TAG_MAX 255

/* ---- characters ---- */
bool imap_is_atom_char(unsigned char c);
bool imap_is_astring_char(unsigned char c);

/* ---- the command line ---- */
/* What stands at the end of a line (without CR LF): is it a literal's
 * announcement? line is what came since the last literal (or all). */
enum imap_lit_kind {
	IMAP_LIT_NONE,
	IMAP_LIT_OK,
	IMAP_LIT_BAD /* no number that can be meant: {00}, over 2^63 */
};
struct imap_lit {
	uint64_t n;
	bool nonsync; /* {n+}: the octets follow without being asked for */
	bool is8;     /* ~{n}: literal8, NUL allowed */
	size_t at;    /* offset in line of "{" or "~" */
};
enum imap_lit_kind imap_lit_end(str line, struct imap_lit *l);

/* "tag SP name" and what follows. false: no tag or no name; tag is set when
 * there was a good one, else it is empty. args stands at the end of the name
 * (so at a SP, or at the end). */
struct imap_head {
	str tag;
	str name; /* as sent: compare with str_caseeq */
	struct scan args;
};
bool imap_head_get(str command, struct imap_head *h);

/* ---- words ---- */
bool imap_sp(struct scan *s); /* one SP */
bool imap_tag(struct scan *s, str *out);
bool imap_atom(struct scan *s, str *out);
/* An atom without case: true when the next atom is exactly word. */
bool imap_word(struct scan *s, str word);
bool imap_quoted(struct scan *s, struct arena *a, str *out);
/* "{n}" CR LF octets, without NUL. */
bool imap_literal(struct scan *s, str *out);
/* "~{n}" CR LF octets (literal8). */
bool imap_literal8(struct scan *s, str *out);
/* "{n}" or "~{n}" and CR LF alone: a literal whose octets are kept
 * elsewhere (APPEND's message). */
bool imap_literal_head(struct scan *s, struct imap_lit *l);
bool imap_string(struct scan *s, struct arena *a, str *out);
bool imap_astring(struct scan *s, struct arena *a, str *out);
/* NIL gives a slice whose p is NULL. */
bool imap_nstring(struct scan *s, struct arena *a, str *out);
/* An unquoted pattern with % and *, or a string: LIST, LSUB. */
bool imap_list_mailbox(struct scan *s, struct arena *a, str *out);
bool imap_nz_number(struct scan *s, uint32_t *out);
/* number64, at most 2^63 - 1. */
bool imap_number64(struct scan *s, uint64_t *out);

/* ---- sequence sets ---- */
/* 0 in a range is "*". */
struct imap_set {
	struct range *v;
	size_t n;
	bool saved; /* "$" is among them: the saved result too */
};
/* At most limits.set_ranges_max ranges. */
bool imap_set_get(struct scan *s, struct arena *a, struct imap_set *out);
/* The set with "*" being max; with max 0, "*" names nothing, and a range
 * with it nothing. "$" is left to the caller. */
void imap_set_resolve(const struct imap_set *set, uint32_t max, struct arena *a,
    struct ranges *out);
/* The largest number that is named outright; 0: none, or only "*". */
uint32_t imap_set_max(const struct imap_set *set);
bool imap_set_star(const struct imap_set *set);

/* ---- flags ---- */
enum imap_flag {
	IMAP_SEEN = 1,
	IMAP_ANSWERED = 2,
	IMAP_FLAGGED = 4,
	IMAP_DELETED = 8,
	IMAP_DRAFT = 16
};
struct imap_flags {
	unsigned system;
	str *keywords;
	size_t nkeywords, cap;
};
/* One flag; \Recent and unknown \flags are refused. A keyword that is
 * there already is not added again. */
bool imap_flag_get(struct scan *s, struct arena *a, struct imap_flags *f);
/* "(" [flag *(SP flag)] ")". */
bool imap_flag_list(struct scan *s, struct arena *a, struct imap_flags *f);

/* ---- dates ---- */
/* date: 1-Feb-1994, quoted or not, as civil_day. */
bool imap_date(struct scan *s, int64_t *day);
/* date-time: "17-Jul-1996 02:44:25 -0700", quoted. */
bool imap_date_time(struct scan *s, struct stamp *t);

/* ---- sections of a message ---- */
enum imap_section_text {
	SECTION_ALL,    /* BODY[], BODY[1] */
	SECTION_HEADER, /* [HEADER], [1.HEADER] */
	SECTION_FIELDS, /* [HEADER.FIELDS (...)] */
	SECTION_FIELDS_NOT,
	SECTION_TEXT,
	SECTION_MIME
};
struct imap_section {
	uint32_t *part; /* 1.2.3 */
	size_t nparts, partcap;
	enum imap_section_text text;
	str *names; /* of HEADER.FIELDS */
	size_t nnames, namecap;
	bool partial;
	uint64_t from, len;
};
/* "[" ... "]", without a partial. binary: part numbers only. */
bool imap_section_get(
    struct scan *s, struct arena *a, bool binary, struct imap_section *out);
/* "<" from "." length ">", if it is there; false: malformed. */
bool imap_partial_get(struct scan *s, struct imap_section *out);

#endif
