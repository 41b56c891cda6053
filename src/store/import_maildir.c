/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Maildir, and what Dovecot and Courier keep beside the messages: UIDs,
 * UIDVALIDITY, UIDLs, keywords, subscriptions. Also the folders of files of
 * MH, and of *.eml.
 */
#include <dirent.h>

#include "store/import_int.h"

#define INDEX_FILE_MAX (UINT64_C(256) << 20)

/* ---- Maildir ---- */

struct maildir {
	struct import *im;
	struct map *by_base; /* base -> index + 1 */
	const char *sub;     /* "cur", "new" */
	bool dovecot;
	bool pop3;  /* UIDLs come from courierpop3dsizelist */
	str *names; /* courierimapkeywords/:list */
	size_t nnames;
};

static struct import_file *
file_of(struct maildir *m, str base)
{
	size_t i = (size_t)(uintptr_t)map_get(m->by_base, base);

	return i == 0 ? NULL : &m->im->files[i - 1];
}

/* The number before the first dot: when the message came. */
static uint64_t
order_of(str base)
{
	uint64_t v = 0;

	str_u64(str_head(base, str_chr(base, '.')), &v);
	return v;
}

static void
take_file(void *ctx, const char *name, unsigned char type)
{
	struct maildir *m = ctx;
	struct import *im = m->im;
	struct import_file *f;

	if (type != DT_REG || name[0] == '.' ||
	    !ARENA_PUSH(im->box_ar, im->files, im->nfiles, im->files_cap))
		return;
	f = &im->files[im->nfiles];
	*f =
	    (struct import_file){.path = import_join(im->box_ar, m->sub, name)};
	if (f->path == NULL)
		return;
	import_info(str_c(f->path + 4), &f->base, &f->flags, &f->letters,
	    &f->forwarded);
	f->order = order_of(f->base);
	if (file_of(m, f->base) != NULL) /* in cur and new: being moved */
		return;
	im->nfiles++;
	map_put(m->by_base, f->base, (void *)(uintptr_t)im->nfiles);
}

static void
take_uid(void *ctx, str name, uint32_t uid, str uidl)
{
	struct maildir *m = ctx;
	struct import_file *f = file_of(m, name);

	if (f == NULL)
		return;
	if (uid != 0 && !m->pop3)
		f->uid = uid;
	if (uidl.n > 0 && uidl.n <= 70)
		f->uidl = arena_dup(m->im->box_ar, uidl);
}

/* dovecot-keywords: "0 name". */
static void
letters_load(struct import *im, str text)
{
	while (text.n > 0) {
		str line = str_trim(str_cut(&text, '\n'));
		uint32_t i;

		if (str_u32(str_cut(&line, ' '), &i) && i < 26 && line.n > 0)
			im->letters[i] = arena_dup(im->box_ar, line);
	}
}

/* Dovecot's POP3 server calls a message %08Xu%08Xv when nothing else is
 * said, and says so in the list only when it is something else. */
static void
dovecot_uidls(struct import *im)
{
	for (size_t i = 0; i < im->nfiles; i++) {
		struct import_file *f = &im->files[i];

		if (f->uid != 0 && f->uidl.n == 0)
			f->uidl = arena_f(
			    im->box_ar, "%08x%08x", f->uid, im->uidvalidity);
	}
}

/* ---- Courier's keywords ---- */

static void
give_keywords(struct import *im, struct import_file *f, const str *v, size_t n)
{
	str *all = arena_array(im->box_ar, n + 1, sizeof(*all));

	if (all == NULL)
		return;
	memcpy(all, v, n * sizeof(*v));
	f->keywords = all;
	f->nkeywords = n;
}

/* :list: names, an empty line, "file:index index". */
static void
courier_list(struct maildir *m, str text)
{
	struct import *im = m->im;
	size_t cap = 0, n;
	str line, idx[1024];

	while (text.n > 0) {
		line = str_trim(str_cut(&text, '\n'));
		if (line.n == 0)
			break;
		if (ARENA_PUSH(im->box_ar, m->names, m->nnames, cap))
			m->names[m->nnames++] = arena_dup(im->box_ar, line);
	}
	while (text.n > 0) {
		struct import_file *f;
		uint32_t i;
		size_t colon;

		line = str_trim(str_cut(&text, '\n'));
		colon = str_rchr(line, ':');
		if ((f = file_of(m, str_head(line, colon))) == NULL)
			continue;
		line = str_from(line, colon + 1);
		for (n = 0; line.n > 0 && n < NELEM(idx);) {
			if (str_u32(str_cut(&line, ' '), &i) && i < m->nnames)
				idx[n++] = m->names[i];
		}
		give_keywords(im, f, idx, n);
	}
}

/* Newer than :list: files ".time.name", one keyword a line; of several for
 * one message the highest time counts. */
static void
courier_change(void *ctx, const char *name, unsigned char type)
{
	struct maildir *m = ctx;
	struct import *im = m->im;
	struct buf b = {0};
	struct import_file *f;
	str base = str_c(name), v[64], rest, t;
	uint64_t when = UINT64_MAX;
	size_t n = 0;
	const char *path;

	if (type != DT_REG || str_eq(base, S(":list")))
		return;
	if (name[0] == '.') {
		base = str_from(base, 1);
		t = str_cut(&base, '.');
		if (!str_u64(t, &when))
			return;
	}
	f = file_of(m, base);
	path = import_join(im->box_ar, "courierimapkeywords", name);
	if (f == NULL || path == NULL || when < f->order ||
	    !import_slurp(im->dir, path, 65536, &b, NULL)) {
		buf_free(&b);
		return;
	}
	f->order = when; /* until all are read */
	rest = arena_buf(im->box_ar, &b);
	while (rest.n > 0 && n < NELEM(v)) {
		v[n] = str_trim(str_cut(&rest, '\n'));
		n += v[n].n > 0;
	}
	give_keywords(im, f, v, n);
	buf_free(&b);
}

static void
courier_keywords(struct maildir *m)
{
	struct import *im = m->im;
	struct buf b = {0};

	if (import_slurp(
		im->dir, "courierimapkeywords/:list", INDEX_FILE_MAX, &b, NULL))
		courier_list(m, buf_str(&b));
	buf_free(&b);
	for (size_t i = 0; i < im->nfiles; i++)
		im->files[i].order = 0;
	import_list(im->dir, "courierimapkeywords", courier_change, m);
	for (size_t i = 0; i < im->nfiles; i++)
		im->files[i].order = order_of(im->files[i].base);
}

static void
courier_uidls(struct maildir *m)
{
	struct import *im = m->im;
	struct buf b = {0};

	m->pop3 = true;
	if (import_slurp(
		im->dir, "courierpop3dsizelist", INDEX_FILE_MAX, &b, NULL))
		import_pop3list(im->box_ar, buf_str(&b), take_uid, m);
	buf_free(&b);
}

bool
maildir_load(struct import *im, const struct import_box *b)
{
	struct maildir m = {.im = im, .by_base = map_new(), .sub = "cur"};
	struct buf t = {0};

	(void)b;
	import_list(im->dir, "cur", take_file, &m);
	m.sub = "new";
	import_list(im->dir, "new", take_file, &m);
	if (import_slurp(
		im->dir, "dovecot-uidlist", INDEX_FILE_MAX, &t, NULL) &&
	    import_uidlist(
		buf_str(&t), &im->uidvalidity, &im->uidnext, take_uid, &m)) {
		dovecot_uidls(im);
	} else {
		buf_reset(&t);
		if (import_slurp(
			im->dir, "courierimapuiddb", INDEX_FILE_MAX, &t, NULL))
			import_uidlist(buf_str(&t), &im->uidvalidity,
			    &im->uidnext, take_uid, &m);
		courier_uidls(&m);
		courier_keywords(&m);
	}
	buf_reset(&t);
	if (import_slurp(im->dir, "dovecot-keywords", 65536, &t, NULL))
		letters_load(im, buf_str(&t));
	/* More than there are letters: our own export writes the others
	 * where Courier has them. */
	if (im->letters[25].n > 0 && m.nnames == 0)
		courier_keywords(&m);
	buf_free(&t);
	map_free(&m.by_base);
	return true;
}

/* ---- subscriptions ---- */

static void
sub_add(struct import *im, str name)
{
	if (str_caseeq(str_head(name, 6), S("INBOX/")))
		name = str_from(name, 6); /* Courier's name space */
	if (name.n > 0 && im->into.n > 0)
		name = arena_f(
		    im->ar, "%.*s/%.*s", STR_ARG(im->into), STR_ARG(name));
	if (name.n > 0 && ARENA_PUSH(im->ar, im->subs, im->nsubs, im->subs_cap))
		im->subs[im->nsubs++] = name;
}

/* One name a line: Courier's, and Dovecot's as "V TAB 2", an empty line,
 * then components divided by TAB; before that with the store's divider. */
void
maildir_subscriptions(struct import *im, const char *path)
{
	static const char *const files[] = {
	    "subscriptions", "courierimapsubscribed"};
	const char *p;

	for (size_t i = 0; i < NELEM(files); i++) {
		struct buf b = {0};
		char sep = '.';
		str text, line;

		p = import_join(im->ar, path, files[i]);
		if (p == NULL ||
		    !import_slurp(im->root, p, INDEX_FILE_MAX, &b, NULL)) {
			buf_free(&b);
			continue;
		}
		im->has_subs = true;
		text = buf_str(&b);
		if (str_starts(text, S("V\t2\n"))) {
			sep = '\t';
			text = str_from(text, 4);
		} else if (str_chr(text, '/') < text.n) {
			sep = '/';
		}
		while (text.n > 0) {
			line = str_trim(str_cut(&text, '\n'));
			sub_add(im, import_name(im->ar, line, sep));
		}
		buf_free(&b);
	}
}

/* ---- MH ---- */

static void
take_number(void *ctx, const char *name, unsigned char type)
{
	struct import *im = ctx;
	struct import_file *f;
	uint32_t n;

	if (type != DT_REG || !str_u32(str_c(name), &n) || n == 0 ||
	    !ARENA_PUSH(im->box_ar, im->files, im->nfiles, im->files_cap))
		return;
	f = &im->files[im->nfiles++];
	*f = (struct import_file){.path = arena_cstr(im->box_ar, str_c(name)),
	    .order = n,
	    .flags = FLAG_SEEN};
	f->base = str_c(f->path);
	if (f->path == NULL)
		im->nfiles--;
}

static void
sequence_apply(struct import *im, str name, uint64_t lo, uint64_t hi)
{
	for (size_t i = 0; i < im->nfiles; i++) {
		struct import_file *f = &im->files[i];
		str *v;

		if (f->order < lo || f->order > hi)
			continue;
		if (str_eq(name, S("unseen"))) {
			f->flags &= ~(unsigned)FLAG_SEEN;
		} else if (str_eq(name, S("flagged"))) {
			f->flags |= FLAG_FLAGGED;
		} else if (str_eq(name, S("replied")) ||
			   str_eq(name, S("answered"))) {
			f->flags |= FLAG_ANSWERED;
		} else {
			v = arena_array(
			    im->box_ar, f->nkeywords + 1, sizeof(*v));
			if (v == NULL)
				return;
			if (f->nkeywords > 0)
				memcpy(
				    v, f->keywords, f->nkeywords * sizeof(*v));
			v[f->nkeywords++] = name;
			f->keywords = v;
		}
	}
}

/* "unseen: 1-2 4"; a name of the user's own becomes a keyword. */
static void
sequence_load(struct import *im, str line)
{
	str name = str_trim(str_cut(&line, ':')), tok, lo;
	uint64_t a, b;

	if (name.n == 0 || str_eq(name, S("cur")) ||
	    str_chr(name, ' ') < name.n)
		return;
	if (str_eq(name, S("forwarded")))
		name = S("$Forwarded");
	name = arena_dup(im->box_ar, name);
	while (line.n > 0) {
		tok = str_trim(str_cut(&line, ' '));
		lo = str_cut(&tok, '-');
		if (!str_u64(lo, &a))
			continue;
		if (!str_u64(tok, &b))
			b = a;
		sequence_apply(im, name, a, b);
	}
}

bool
mh_load(struct import *im, const struct import_box *b)
{
	struct buf t = {0};
	str text;

	(void)b;
	import_list(im->dir, "", take_number, im);
	if (import_slurp(im->dir, ".mh_sequences", INDEX_FILE_MAX, &t, NULL)) {
		for (text = buf_str(&t); text.n > 0;)
			sequence_load(im, str_cut(&text, '\n'));
	}
	buf_free(&t);
	return true;
}

/* ---- *.eml ---- */

static void
take_eml(void *ctx, const char *name, unsigned char type)
{
	struct import *im = ctx;
	struct import_file *f;
	str s = str_c(name);

	if (type != DT_REG || name[0] == '.' ||
	    (im->kind == IMPORT_AUTO && !str_ends(s, S(".eml"))) ||
	    !ARENA_PUSH(im->box_ar, im->files, im->nfiles, im->files_cap))
		return;
	f = &im->files[im->nfiles];
	*f = (struct import_file){.path = arena_cstr(im->box_ar, s)};
	if (f->path == NULL)
		return;
	f->base = str_c(f->path);
	im->nfiles++;
}

bool
eml_load(struct import *im, const struct import_box *b)
{
	(void)b;
	import_list(im->dir, "", take_eml, im);
	return true;
}
