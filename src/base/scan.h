/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Scanners over a complete slice. A scanner moves only when it succeeds;
 * results are slices of the input.
 */
#ifndef BASE_SCAN_H
#define BASE_SCAN_H

struct scan {
	const char *p;
	const char *end;
};

static inline struct scan
scan_of(str s)
{
	return (struct scan){s.p, s.n == 0 ? s.p : s.p + s.n};
}
static inline bool
scan_end(const struct scan *s)
{
	return s->p == s->end;
}
static inline size_t
scan_left(const struct scan *s)
{
	return (size_t)(s->end - s->p);
}
/* The next byte, or -1 at the end; does not move. */
static inline int
scan_peek(const struct scan *s)
{
	return s->p < s->end ? (unsigned char)*s->p : -1;
}
static inline str
scan_rest(const struct scan *s)
{
	return (str){s->p, (size_t)(s->end - s->p)};
}
bool scan_char(struct scan *s, char c);
bool scan_lit(struct scan *s, str lit);     /* exactly these bytes */
bool scan_caselit(struct scan *s, str lit); /* ASCII case ignored */
/* 1*DIGIT that fits; leading zeros are allowed. */
bool scan_u32(struct scan *s, uint32_t *out);
bool scan_u64(struct scan *s, uint64_t *out);
/* Exactly n digits. */
bool scan_digits(struct scan *s, unsigned n, uint32_t *out);
/* The longest run, at least one byte, of bytes for which ok(c) holds. */
bool scan_while(struct scan *s, bool (*ok)(unsigned char c), str *out);
/* Exactly n bytes. */
bool scan_take(struct scan *s, size_t n, str *out);

#endif
