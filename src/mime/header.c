/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Header fields: finding them, unfolding them, picking some.
 *
 * (1) A line that is no field and no continuation is passed over, and so are
 *     its continuations; the header goes on behind it.
 * (2) The header ends at the first empty line; a line of nothing but CR and
 *     its LF is one.
 */
#include "mime/mime_int.h"

/* clang-format off */
/* By length, so that a name is compared with few of them. */
static const struct row {
	str name;
	enum field_id id;
	bool kept;
} rows[] = {
	{ S("cc"),                        F_CC,          true },
	{ S("to"),                        F_TO,          true },
	{ S("bcc"),                       F_BCC,         true },
	{ S("date"),                      F_DATE,        true },
	{ S("from"),                      F_FROM,        true },
	{ S("lines"),                     F_KEPT,        true },
	{ S("path"),                      F_KEPT,        true },
	{ S("xref"),                      F_KEPT,        true },
	{ S("sender"),                    F_SENDER,      true },
	{ S("list-id"),                   F_KEPT,        true },
	{ S("subject"),                   F_SUBJECT,     true },
	{ S("x-label"),                   F_KEPT,        true },
	{ S("x-face"),                    F_OTHER,       false },
	{ S("priority"),                  F_KEPT,        true },
	{ S("reply-to"),                  F_REPLY_TO,    true },
	{ S("list-post"),                 F_KEPT,        true },
	{ S("resent-to"),                 F_KEPT,        true },
	{ S("content-id"),                F_ID,          false },
	{ S("importance"),                F_KEPT,        true },
	{ S("message-id"),                F_MESSAGE_ID,  true },
	{ S("newsgroups"),                F_KEPT,        true },
	{ S("references"),                F_REFERENCES,  true },
	{ S("x-priority"),                F_KEPT,        true },
	{ S("content-md5"),               F_MD5,         false },
	{ S("followup-to"),               F_KEPT,        true },
	{ S("in-reply-to"),               F_IN_REPLY_TO, true },
	{ S("resent-from"),               F_KEPT,        true },
	{ S("return-path"),               F_OTHER,       false },
	{ S("content-type"),              F_TYPE,        true },
	{ S("delivered-to"),              F_OTHER,       false },
	{ S("mime-version"),              F_KEPT,        true },
	{ S("x-draft-info"),              F_KEPT,        true },
	{ S("mail-reply-to"),             F_KEPT,        true },
	{ S("x-original-to"),             F_KEPT,        true },
	{ S("auto-submitted"),            F_KEPT,        true },
	{ S("list-subscribe"),            F_KEPT,        true },
	{ S("list-unsubscribe"),          F_KEPT,        true },
	{ S("content-language"),          F_LANGUAGE,    false },
	{ S("content-location"),          F_LOCATION,    false },
	{ S("mail-followup-to"),          F_KEPT,        true },
	{ S("x-msmail-priority"),         F_KEPT,        true },
	{ S("content-description"),       F_DESCRIPTION, true },
	{ S("content-disposition"),       F_DISPOSITION, true },
	{ S("list-unsubscribe-post"),     F_KEPT,        true },
	{ S("content-transfer-encoding"), F_ENCODING,    true },
	{ S("disposition-notification-to"), F_KEPT,      true },
	{ S("x-uniform-type-identifier"), F_KEPT,        true },
	{ S("x-universally-unique-identifier"), F_KEPT,  true },
};
/* clang-format on */

static const struct row *
row_find(str name)
{
	char c;
	size_t i;

	if (name.n < 2 || name.n > 31)
		return NULL;
	c = lower(name.p[0]);
	for (i = 0; i < NELEM(rows); i++)
		if (rows[i].name.n == name.n && rows[i].name.p[0] == c &&
		    str_caseeq(rows[i].name, name))
			return &rows[i];
	return NULL;
}

enum field_id
mime_field_id(str name)
{
	const struct row *r = row_find(name);

	return r == NULL ? F_OTHER : r->id;
}

bool
mime_field_kept(str name)
{
	const struct row *r = row_find(name);

	return r != NULL && r->kept;
}

size_t
mime_empty_line(const char *p, const char *end)
{
	const char *q = p;

	while (q < end && *q == '\r')
		q++;
	if (q < end && *q == '\n')
		return (size_t)(q + 1 - p);
	return 0;
}

size_t
mime_header_len(str message)
{
	const char *start = message.p, *end, *p = start, *lf;
	size_t n;

	if (message.n == 0)
		return 0;
	end = start + MIN(message.n, limits.header_max);
	while (p < end) {
		n = *p == '\r' || *p == '\n' ? mime_empty_line(p, end) : 0;
		if (n > 0)
			return (size_t)(p + n - start);
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL)
			break;
		p = lf + 1;
	}
	if ((size_t)(end - start) == message.n)
		return message.n;
	/* No end within the bound: cut it at a line, if there is one. */
	limit_hit(LIMIT_header_max, STR_NONE);
	if (p > start)
		return (size_t)(p - start);
	return (size_t)(end - start);
}

/* The end of the field that starts at p: behind the line end of its last
 * line. */
static const char *
field_end(const char *p, const char *end)
{
	const char *lf;

	for (;;) {
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL)
			return end;
		p = lf + 1;
		if (p == end || !is_wsp(*p))
			return p;
	}
}

/* (1): a name is printable and holds no white space; some may stand between
 * it and the colon. */
static bool
field_split(str whole, struct field *f)
{
	const char *p = whole.p, *end = p + whole.n, *name_end;

	while (p < end && (unsigned char)*p > ' ' && *p != ':' && *p != 127)
		p++;
	name_end = p;
	while (p < end && is_wsp(*p))
		p++;
	if (p == end || *p != ':' || name_end == whole.p)
		return false;
	p++;
	while (end > p && (end[-1] == '\n' || end[-1] == '\r'))
		end--;
	f->name = str_of(whole.p, (size_t)(name_end - whole.p));
	f->value = str_of(p, (size_t)(end - p));
	f->whole = whole;
	return true;
}

bool
mime_field_next(str header, size_t *at, struct field *f)
{
	const char *end, *p, *next;

	if (header.n == 0)
		return false;
	end = header.p + header.n;
	p = header.p + MIN(*at, header.n);
	while (p < end) {
		if ((*p == '\r' || *p == '\n') && mime_empty_line(p, end) > 0)
			break;
		next = field_end(p, end);
		if (field_split(str_of(p, (size_t)(next - p)), f)) {
			*at = (size_t)(next - header.p);
			return true;
		}
		p = next;
	}
	*at = header.n;
	return false;
}

bool
mime_field_find(str header, str name, struct field *f)
{
	size_t at = 0;

	while (mime_field_next(header, &at, f))
		if (str_caseeq(f->name, name))
			return true;
	return false;
}

void
mime_fields_of(str header, str field[F_MAX], struct buf all[F_BCC + 1])
{
	size_t at = 0;
	struct field f;
	enum field_id id;

	memset(field, 0, F_MAX * sizeof(*field));
	while (mime_field_next(header, &at, &f)) {
		id = mime_field_id(f.name);
		if (field[id].p == NULL) {
			field[id] = f.value;
		} else if (id >= F_FROM && id <= F_BCC) {
			if (all[id].n == 0)
				buf_str_add(&all[id], field[id]);
			buf_c(&all[id], ',');
			buf_str_add(&all[id], f.value);
			field[id] = buf_str(&all[id]);
		}
	}
}

void
mime_unfold(str value, struct buf *out)
{
	const char *p, *end, *lf, *stop;

	value = str_trim(value);
	if (value.n == 0)
		return;
	p = value.p;
	end = p + value.n;
	while (p < end) {
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL || lf + 1 == end)
			break;
		if (!is_wsp(lf[1])) {
			buf_add(out, p, (size_t)(lf + 1 - p));
		} else {
			stop = lf > p && lf[-1] == '\r' ? lf - 1 : lf;
			buf_add(out, p, (size_t)(stop - p));
		}
		p = lf + 1;
	}
	if (p < end)
		buf_add(out, p, (size_t)(end - p));
}

/* ---- picking fields by name ---- */

/* Names by hash when they are many, as many buckets as names: each field is
 * compared with few.
 * The same name twice is there once. */
struct names {
	const str *v;
	uint32_t *next; /* index + 1 of the next name in the bucket */
	uint32_t *head;
	size_t n, mask, longest;
	uint32_t some[128];
};
enum { FEW_NAMES = 16 }; /* that are compared one by one */

static size_t
name_hash(str s)
{
	char low[64];
	uint64_t h = hash_keyed(S("field"));
	size_t i, n;

	do {
		n = MIN(s.n, sizeof(low));
		for (i = 0; i < n; i++)
			low[i] = lower(s.p[i]);
		h = hash_xxh3(str_of(low, n), h);
		s = str_from(s, n);
	} while (s.n > 0);
	return (size_t)h;
}

static bool
names_has(const struct names *t, str name)
{
	uint32_t i;

	if (name.n > t->longest)
		return false;
	if (t->n <= FEW_NAMES) {
		for (i = 0; i < t->n; i++)
			if (t->v[i].n == name.n && str_caseeq(t->v[i], name))
				return true;
		return false;
	}
	for (i = t->head[name_hash(name) & t->mask]; i != 0; i = t->next[i - 1])
		if (str_caseeq(t->v[i - 1], name))
			return true;
	return false;
}

static void
names_init(struct names *t, const str *names, size_t n)
{
	size_t i, buckets = 16, h;

	t->v = names;
	t->n = n;
	t->head = t->some;
	t->longest = 0;
	if (n <= FEW_NAMES) {
		for (i = 0; i < n; i++)
			t->longest = MAX(t->longest, names[i].n);
		return;
	}
	while (buckets < n)
		buckets *= 2;
	memset(t->some, 0, sizeof(t->some));
	t->mask = buckets - 1;
	t->head = buckets + n <= NELEM(t->some)
		      ? t->some
		      : x_array(buckets + n, sizeof(*t->head));
	t->next = t->head + buckets;
	for (i = 0; i < n; i++) {
		t->longest = MAX(t->longest, names[i].n);
		if (names_has(t, names[i]))
			continue;
		h = name_hash(names[i]) & t->mask;
		t->next[i] = t->head[h];
		t->head[h] = (uint32_t)i + 1;
	}
}

void
mime_header_fields(
    str header, const str *names, size_t n, bool not, struct buf *out)
{
	struct names t;
	struct field f;
	size_t at = 0;

	names_init(&t, names, n);
	while (mime_field_next(header, &at, &f)) {
		if (names_has(&t, f.name) == not )
			continue;
		buf_str_add(out, f.whole);
		if (f.whole.p[f.whole.n - 1] != '\n')
			buf_s(out, "\r\n");
	}
	buf_s(out, "\r\n");
	if (t.head != t.some)
		x_free(&t.head);
}
