/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The base subject (RFC 5256 2.1): what SORT SUBJECT compares and
 * THREAD ORDEREDSUBJECT groups by.
 *
 * (1) Only pointers move over the subject, once white space is collapsed;
 *     a run of "[blob]"s that no "Re:" ends is walked once and then taken
 *     off as a whole, so the work is linear.
 */
#include "mime/mime_int.h"

struct subj {
	const char *p, *end;
	bool reply;
};

/* Step 1: white space and line ends to single spaces. */
static void
collapse(str s, struct buf *out)
{
	const char *p = s.p, *end, *q;
	bool first = true;

	if (s.n == 0)
		return;
	end = p + s.n;
	while (p < end) {
		while (p < end && is_lwsp(*p))
			p++;
		for (q = p; q < end && !is_lwsp(*q);)
			q++;
		if (q > p) {
			if (!first)
				buf_c(out, ' ');
			buf_add(out, p, (size_t)(q - p));
			first = false;
		}
		p = q;
	}
}

/* subj-blob: behind it, or p when there is none. */
static const char *
blob(const char *p, const char *end)
{
	const char *q;

	if (p == end || *p != '[')
		return p;
	for (q = p + 1; q < end && *q != '[' && *q != ']';)
		q++;
	if (q == end || *q != ']')
		return p;
	for (q++; q < end && is_wsp(*q);)
		q++;
	return q;
}

static const char *
blobs(const char *p, const char *end)
{
	const char *q;

	while ((q = blob(p, end)) != p)
		p = q;
	return p;
}

/* subj-refwd: "re", "fw" or "fwd", a blob perhaps, ":". */
static const char *
refwd(const char *p, const char *end)
{
	str s = str_of(p, (size_t)(end - p));
	const char *q;

	if (str_casestarts(s, S("fwd")))
		q = p + 3;
	else if (str_casestarts(s, S("re")) || str_casestarts(s, S("fw")))
		q = p + 2;
	else
		return p;
	while (q < end && is_wsp(*q))
		q++;
	q = blob(q, end);
	return q < end && *q == ':' ? q + 1 : p;
}

/* Step 2: trailing "(fwd)" and white space. */
static void
trailers(struct subj *s)
{
	for (;;) {
		while (s->end > s->p && is_wsp(s->end[-1]))
			s->end--;
		if (s->end - s->p < 5 ||
		    !str_caseeq(str_of(s->end - 5, 5), S("(fwd)")))
			return;
		s->end -= 5;
		s->reply = true;
	}
}

/* Steps 3 to 5: leaders. */
static void
leaders(struct subj *s)
{
	const char *run, *q, *last;

	for (;;) {
		while (s->p < s->end && is_wsp(*s->p))
			s->p++;
		run = blobs(s->p, s->end);
		q = refwd(run, s->end);
		if (q != run) {
			s->p = q;
			s->reply = true;
			continue;
		}
		/* (1): without a "Re:" behind them the blobs go, but not
		 * the last one when nothing is left then. */
		if (run < s->end) {
			s->p = run;
		} else {
			for (last = s->p;
			     blob(last, s->end) != s->end && last < s->end;)
				last = blob(last, s->end);
			s->p = last;
		}
		return;
	}
}

void
mime_base_subject(str subject, struct buf *out, bool *reply)
{
	struct buf b = {0};
	struct subj s = {0};
	str t;

	*reply = false;
	collapse(subject, &b);
	if (b.n == 0) {
		buf_free(&b);
		return;
	}
	s.p = b.p;
	s.end = b.p + b.n;
	for (;;) {
		trailers(&s);
		leaders(&s);
		/* Step 6: [fwd: ...] */
		t = str_of(s.p, (size_t)(s.end - s.p));
		if (t.n < 6 || !str_casestarts(t, S("[fwd:")) ||
		    t.p[t.n - 1] != ']')
			break;
		s.p += 5;
		s.end--;
		s.reply = true;
	}
	if (s.end > s.p)
		buf_add(out, s.p, (size_t)(s.end - s.p));
	*reply = s.reply;
	buf_free(&b);
}
