/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Reading other programs' mail: the walk over the tree, and the stream of
 * items. Each directory is looked at for itself: one with cur/ or new/ is a
 * Maildir, one with .mh_sequences or files named by numbers is MH, files
 * that begin with a From_ line are mbox, files *.eml are messages.
 *
 * (1) A tree is walked as deep as DEPTH_MAX, without links: it ends.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "store/import_int.h"

#define DEPTH_MAX 32
#define TREE_MEMORY_MAX (UINT64_C(4) << 30)

/* ---- files ---- */

int
import_openat(int dir, const char *path, int flags)
{
	str rest = str_c(path), name;
	int at = dir, fd = -1;
	char part[NAME_MAX + 1];

	if (rest.n == 0)
		return os_openat(dir, ".", flags | O_DIRECTORY, 0);
	while (rest.n > 0) {
		name = str_cut(&rest, '/');
		if (name.n > NAME_MAX) {
			fd = -1;
			errno = ENAMETOOLONG;
		} else {
			memcpy(part, name.p, name.n);
			part[name.n] = '\0';
			fd = os_openat(at, part,
			    O_NOFOLLOW | O_NONBLOCK |
				(rest.n > 0 ? O_RDONLY | O_DIRECTORY : flags),
			    0);
		}
		if (at != dir)
			os_close(&at);
		if (fd < 0)
			return -1;
		at = fd;
	}
	return fd;
}

static bool
slurp_fd(int fd, size_t max, struct buf *out, struct stat *st)
{
	struct stat own;
	size_t n;
	ssize_t r;
	char *p;

	if (st == NULL)
		st = &own;
	if (fstat(fd, st) != 0 || !S_ISREG(st->st_mode) || st->st_size < 0 ||
	    (uint64_t)st->st_size > max)
		return false;
	n = (size_t)st->st_size;
	if ((p = buf_room(out, n)) == NULL)
		return false;
	r = os_pread(fd, p, n, 0);
	if (r < 0)
		return false;
	out->n += (size_t)r;
	return true;
}

bool
import_slurp(
    int dir, const char *path, size_t max, struct buf *out, struct stat *st)
{
	int fd = import_openat(dir, path, O_RDONLY);
	bool ok;

	if (fd < 0)
		return false;
	ok = slurp_fd(fd, max, out, st);
	os_close(&fd);
	return ok;
}

static unsigned char
type_of(DIR *d, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type;
	if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return DT_UNKNOWN;
	return S_ISDIR(st.st_mode)   ? DT_DIR
	       : S_ISREG(st.st_mode) ? DT_REG
				     : DT_UNKNOWN;
}

void
import_list(int dir, const char *path,
    void (*each)(void *ctx, const char *name, unsigned char type), void *ctx)
{
	int fd = import_openat(dir, path, O_RDONLY | O_DIRECTORY);
	struct dirent *e;
	DIR *d;

	if (fd < 0)
		return;
	if ((d = fdopendir(fd)) == NULL) {
		os_close(&fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (!str_eq(str_c(e->d_name), S(".")) &&
		    !str_eq(str_c(e->d_name), S("..")))
			each(ctx, e->d_name, type_of(d, e));
	}
	closedir(d);
}

const char *
import_join(struct arena *a, const char *dir, const char *name)
{
	if (dir[0] == '\0')
		return arena_cstr(a, str_c(name));
	return arena_f(a, "%s/%s%c", dir, name, 0).p;
}

/* ---- what all kinds need ---- */

struct stamp
import_local(int64_t sec)
{
	struct stamp t = {.sec = sec};
	time_t s = (time_t)sec;
	struct tm tm;

	if (localtime_r(&s, &tm) != NULL)
		t.zone_min = (int16_t)(tm.tm_gmtoff / 60);
	return t;
}

void
import_crlf(str raw, struct buf *out)
{
	size_t lf = str_chr(raw, '\n'), n;
	str rest = raw;

	if (lf == raw.n || (lf > 0 && raw.p[lf - 1] == '\r')) {
		buf_str_add(out, raw);
		return;
	}
	while (rest.n > 0) {
		n = str_chr(rest, '\n');
		buf_add(out, rest.p, n);
		if (n == rest.n)
			break;
		if (n > 0 && rest.p[n - 1] == '\r')
			buf_c(out, '\n');
		else
			buf_s(out, "\r\n");
		rest = str_from(rest, n + 1);
	}
}

bool
import_received(str message, struct stamp *t)
{
	str header = str_head(message, mime_header_len(message));
	struct field f;
	size_t semi;

	if (mime_field_find(header, S("Received"), &f)) {
		semi = str_rchr(f.value, ';');
		if (mime_date(str_from(f.value, semi + 1), t))
			return true;
	}
	return mime_field_find(header, S("Date"), &f) && mime_date(f.value, t);
}

/* ---- the walk ---- */

/* What a directory holds. */
struct look {
	struct import *im;
	const char *path;
	struct arena *ar;
	const char **dirs, **mboxes;
	size_t ndirs, dirs_cap, nmboxes, mboxes_cap;
	uint64_t octets;
	bool cur, numbers, sequences, eml, dotted;
};

static bool
all_digits(str s)
{
	uint32_t v;

	return s.n > 0 && s.n <= 10 && str_u32(s, &v);
}

static bool
starts_as_mbox(struct import *im, const char *path)
{
	int fd = import_openat(im->root, path, O_RDONLY);
	char p[5];
	bool yes;

	if (fd < 0)
		return false;
	yes = os_pread(fd, p, 5, 0) == 5 && memcmp(p, "From ", 5) == 0;
	os_close(&fd);
	return yes;
}

static uint64_t
octets_of(int dir, const char *path)
{
	struct stat st;
	int fd = import_openat(dir, path, O_RDONLY);
	uint64_t n = 0;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		n = (uint64_t)st.st_size;
	os_close(&fd);
	return n;
}

static void
look_file(struct look *l, const char *name)
{
	enum import_kind k = l->im->kind;
	const char *path;
	str s = str_c(name);

	if (str_eq(s, S(".mh_sequences")))
		l->sequences = true;
	if (s.p[0] == '.')
		return;
	if (all_digits(s))
		l->numbers = true;
	if (str_ends(s, S(".eml")) || k == IMPORT_EML)
		l->eml = true;
	if (k != IMPORT_AUTO && k != IMPORT_MBOX)
		return;
	path = import_join(l->ar, l->path, name);
	if (path != NULL && !str_ends(s, S(".eml")) &&
	    starts_as_mbox(l->im, path) &&
	    ARENA_PUSH(l->ar, l->mboxes, l->nmboxes, l->mboxes_cap))
		l->mboxes[l->nmboxes++] = path;
}

static void
look_each(void *ctx, const char *name, unsigned char type)
{
	struct look *l = ctx;
	str s = str_c(name);

	if (type == DT_REG) {
		look_file(l, name);
	} else if (type == DT_DIR) {
		if (str_eq(s, S("cur")) || str_eq(s, S("new")))
			l->cur = true;
		if (ARENA_PUSH(l->ar, l->dirs, l->ndirs, l->dirs_cap))
			l->dirs[l->ndirs++] = arena_cstr(l->ar, s);
	}
}

static int
by_name(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return str_cmp(str_c(*x), str_c(*y));
}

static void
box_add(struct import *im, enum import_kind kind, str name, const char *path)
{
	struct import_box *b;

	if (path == NULL ||
	    !ARENA_PUSH(im->ar, im->boxes, im->nboxes, im->boxes_cap))
		return;
	b = &im->boxes[im->nboxes++];
	*b = (struct import_box){
	    kind, arena_dup(im->ar, name), arena_cstr(im->ar, str_c(path))};
	if (str_caseeq(b->name, S("INBOX")))
		b->name = S("INBOX");
	if (kind == IMPORT_MBOX)
		im->all += octets_of(im->root, path);
}

struct sum {
	struct import *im;
	const char *path;
	enum import_kind kind;
	struct arena *ar;
};

/* Counts a file's octets: Maildir names tell them. */
static void
sum_each(void *ctx, const char *name, unsigned char type)
{
	struct sum *s = ctx;
	str n = str_c(name);
	size_t at = str_find(n, S(",S="));
	uint64_t v = 0;

	if (type != DT_REG || name[0] == '.' ||
	    (s->kind == IMPORT_MH && !all_digits(n)))
		return;
	for (at += 3;
	     at < n.n && name[at] >= '0' && name[at] <= '9' && v < UINT32_MAX;
	     at++)
		v = v * 10 + (uint64_t)(name[at] - '0');
	if (v == 0) {
		const char *p = import_join(s->ar, s->path, name);

		v = p == NULL ? 0 : octets_of(s->im->root, p);
	}
	s->im->all += v;
}

static void
box_sum(struct import *im, struct arena *ar, enum import_kind kind,
    const char *path)
{
	struct sum s = {im, path, kind, ar};

	if (kind != IMPORT_MAILDIR) {
		import_list(im->root, path, sum_each, &s);
		return;
	}
	s.path = import_join(ar, path, "cur");
	if (s.path != NULL)
		import_list(im->root, s.path, sum_each, &s);
	s.path = import_join(ar, path, "new");
	if (s.path != NULL)
		import_list(im->root, s.path, sum_each, &s);
}

/* The name of a box below the one called parent. */
static str
below(struct arena *ar, str parent, str name)
{
	if (parent.n == 0)
		return name;
	return arena_f(ar, "%.*s/%.*s", STR_ARG(parent), STR_ARG(name));
}

static void walk(struct import *im, const char *path, str name, bool in_maildir,
    unsigned depth);

/* The directories below one; in a Maildir those with a dot are its folders,
 * named from the root, and others none of mail's business. */
static void
walk_dirs(
    struct import *im, struct look *l, str name, bool maildir, unsigned depth)
{
	for (size_t i = 0; i < l->ndirs; i++) {
		str d = str_c(l->dirs[i]), sub;
		const char *p = import_join(l->ar, l->path, l->dirs[i]);

		if (p == NULL)
			return;
		if (maildir) {
			if (d.p[0] != '.' || d.n < 2)
				continue;
			sub = import_name(l->ar, str_from(d, 1), '.');
			if (im->into.n > 0)
				sub = below(l->ar, im->into, sub);
			if (sub.n > 0)
				walk(im, p, sub, true, depth + 1);
		} else if (d.p[0] != '.') {
			sub = import_name(l->ar, d, '/');
			walk(im, p, below(l->ar, name, sub), false, depth + 1);
		}
	}
}

static str
without(str name, str ending)
{
	if (name.n > ending.n && str_ends(name, ending))
		name.n -= ending.n;
	return name;
}

static void
walk_mboxes(struct import *im, struct look *l, str name)
{
	for (size_t i = 0; i < l->nmboxes; i++) {
		str f = str_c(l->mboxes[i]);

		f = str_from(
		    f, str_rchr(f, '/') == f.n ? 0 : str_rchr(f, '/') + 1);
		f = import_name(l->ar, without(f, S(".mbox")), '/');
		box_add(im, IMPORT_MBOX, below(l->ar, name, f), l->mboxes[i]);
	}
}

static void
walk(struct import *im, const char *path, str name, bool in_maildir,
    unsigned depth)
{
	struct look l = {.im = im, .path = path};
	enum import_kind k = im->kind;
	str self = name.n > 0 ? name : S("INBOX");

	if (depth > DEPTH_MAX)
		return;
	l.ar = arena_new(TREE_MEMORY_MAX);
	import_list(im->root, path, look_each, &l);
	if (l.ndirs > 0)
		qsort(l.dirs, l.ndirs, sizeof(*l.dirs), by_name);
	if (l.nmboxes > 0)
		qsort(l.mboxes, l.nmboxes, sizeof(*l.mboxes), by_name);
	if (l.cur && (k == IMPORT_AUTO || k == IMPORT_MAILDIR)) {
		box_add(im, IMPORT_MAILDIR, self, path);
		box_sum(im, l.ar, IMPORT_MAILDIR, path);
		if (!in_maildir) {
			maildir_subscriptions(im, path);
			walk_dirs(im, &l, name, true, depth);
		}
		goto out;
	}
	if (depth == 0)
		maildir_subscriptions(im, path);
	if ((l.numbers || l.sequences) &&
	    (k == IMPORT_AUTO || k == IMPORT_MH)) {
		box_add(im, IMPORT_MH, self, path);
		box_sum(im, l.ar, IMPORT_MH, path);
	} else if (l.eml && (k == IMPORT_AUTO || k == IMPORT_EML)) {
		box_add(im, IMPORT_EML, self, path);
		box_sum(im, l.ar, IMPORT_EML, path);
	}
	walk_mboxes(im, &l, name);
	walk_dirs(im, &l, name, false, depth);
out:
	arena_free(&l.ar);
}

/* ---- opening ---- */

/* The first line of a message: a field's name and a colon. */
static bool
starts_as_field(str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] > ' ' && s.p[n] < 0x7f && s.p[n] != ':')
		n++;
	return n > 0 && n < s.n && s.p[n] == ':';
}

static enum err
open_file(struct import *im)
{
	char p[80];
	ssize_t n = os_pread(im->root, p, sizeof(p), 0);
	str start = n > 0 ? str_of(p, (size_t)n) : S("");

	im->root_is_file = true;
	while (start.n > 0 && (start.p[0] == '\n' || start.p[0] == '\r'))
		start = str_from(start, 1);
	/* Nothing is taken for mail that only happens to be a file; an empty
	 * one is a mailbox without mail. */
	if (im->kind == IMPORT_AUTO &&
	    (n == 0 || str_starts(start, S("From "))))
		im->kind = IMPORT_MBOX;
	else if (im->kind == IMPORT_AUTO && starts_as_field(start))
		im->kind = IMPORT_EML;
	if (im->kind != IMPORT_MBOX && im->kind != IMPORT_EML)
		return ERR_NOTFOUND;
	if (!ARENA_PUSH(im->ar, im->boxes, im->nboxes, im->boxes_cap))
		return ERR_NOMEM;
	im->boxes[im->nboxes++] = (struct import_box){
	    im->kind, im->into.n > 0 ? im->into : S("INBOX"), ""};
	return OK;
}

enum err
import_open(int fd, enum import_kind kind, str into, struct import **out)
{
	struct import *im = x_alloc(sizeof(*im));
	struct stat st;
	enum err e = OK;

	im->root = fd;
	im->dir = -1;
	im->kind = kind;
	im->ar = arena_new(TREE_MEMORY_MAX);
	im->into = arena_dup(im->ar, into);
	if (fstat(fd, &st) != 0) {
		e = err_errno(errno);
	} else if (S_ISREG(st.st_mode)) {
		im->all = (uint64_t)st.st_size;
		e = open_file(im);
	} else {
		walk(im, "", im->into, false, 0);
	}
	if (e == OK && im->nboxes == 0)
		e = ERR_NOTFOUND;
	if (e == OK && arena_failed(im->ar))
		e = ERR_NOMEM;
	if (e != OK)
		import_free(&im);
	*out = im;
	return e;
}

static void
box_close(struct import *im)
{
	mbox_free(&im->mbox);
	if (im->dir >= 0)
		os_close(&im->dir);
	arena_free(&im->box_ar);
	map_free(&im->copies);
	im->files = NULL;
	im->nfiles = im->files_cap = im->file = 0;
	memset(im->letters, 0, sizeof(im->letters));
	im->uidvalidity = im->uidnext = im->uid_last = 0;
	im->begun = im->ended = false;
}

void
import_free(struct import **p)
{
	struct import *im = *p;

	*p = NULL;
	if (im == NULL)
		return;
	box_close(im);
	os_close(&im->root);
	arena_free(&im->ar);
	arena_free(&im->item_ar);
	buf_free(&im->raw);
	buf_free(&im->text);
	x_free(&im);
}

void
import_progress(const struct import *im, uint64_t *done, uint64_t *all,
    uint64_t *messages, uint64_t *skipped)
{
	*done = im->done;
	*all = MAX(im->all, im->done);
	*messages = im->messages;
	*skipped = im->skipped;
}

/* ---- the stream ---- */

static int
by_uid(const void *a, const void *b)
{
	const struct import_file *x = a, *y = b;

	if (x->uid != y->uid) /* those without come last */
		return x->uid - 1 < y->uid - 1 ? -1 : 1;
	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return str_cmp(x->base, y->base);
}

static bool
load(struct import *im, const struct import_box *b)
{
	bool ok;

	im->box_ar = arena_new(TREE_MEMORY_MAX);
	im->copies = map_new();
	if (b->kind == IMPORT_MBOX)
		return mbox_load(im, b);
	if (im->root_is_file) { /* one message */
		if (!ARENA_PUSH(im->box_ar, im->files, 0, im->files_cap))
			return false;
		im->files[im->nfiles++] = (struct import_file){.path = ""};
		return true;
	}
	im->dir = import_openat(im->root, b->path, O_RDONLY | O_DIRECTORY);
	if (im->dir < 0)
		return false;
	ok = b->kind == IMPORT_MAILDIR ? maildir_load(im, b)
	     : b->kind == IMPORT_MH    ? mh_load(im, b)
				       : eml_load(im, b);
	if (im->nfiles > 0)
		qsort(im->files, im->nfiles, sizeof(*im->files), by_uid);
	return ok;
}

struct names {
	str *v;
	size_t n, cap;
};

static void
name_add(struct import *im, struct names *l, str name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (str_caseeq(l->v[i], name))
			return;
	}
	if (name.n > 0 && ARENA_PUSH(im->item_ar, l->v, l->n, l->cap))
		l->v[l->n++] = name;
}

/* Keywords of a file: those by letter and those by name. */
static void
keywords(
    struct import *im, const struct import_file *f, struct import_item *item)
{
	struct names l = {0};

	for (size_t i = 0; i < f->nkeywords; i++)
		name_add(im, &l, f->keywords[i]);
	for (size_t i = 0; i < 26; i++) {
		if (f->letters >> i & 1)
			name_add(im, &l, im->letters[i]);
	}
	if (f->forwarded)
		name_add(im, &l, S("$Forwarded"));
	item->keywords = l.v;
	item->nkeywords = l.n;
}

/* Of how many of this content this is one. */
static void
count_copy(struct import *im, struct import_item *item)
{
	uint64_t h = hash_xxh3(item->message, item->message.n) | 1;
	uintptr_t n = (uintptr_t)map_get_u64(im->copies, h) + 1;

	map_put_u64(im->copies, h, (void *)n);
	item->copy = (uint32_t)n;
}

/* The message in file f. False: it could not be read. */
static bool
file_item(struct import *im, const struct import_file *f,
    const struct import_box *b, struct import_item *item)
{
	struct stat st;
	bool ok;

	buf_reset(&im->raw);
	if (im->root_is_file)
		ok = slurp_fd(im->root, limits.message_size_max, &im->raw, &st);
	else
		ok = import_slurp(
		    im->dir, f->path, limits.message_size_max, &im->raw, &st);
	if (!ok) {
		log_warn("a message could not be read",
		    KV_C("file", im->root_is_file ? "-" : f->path),
		    KV_ERRNO(errno));
		im->skipped++;
		return false;
	}
	if (im->raw.n == 0) /* of a delivery that broke off */
		return false;
	im->done += im->raw.n;
	import_crlf(buf_str(&im->raw), &im->text);
	item->flags = f->flags;
	item->uid = f->uid;
	item->uidl = f->uidl;
	item->internaldate = import_local(st.st_mtime);
	if (b->kind == IMPORT_EML)
		import_received(buf_str(&im->text), &item->internaldate);
	keywords(im, f, item);
	im->skipped += !buf_ok(&im->text);
	return buf_ok(&im->text);
}

/* The box's next message; false: there is none. */
static bool
next_message(
    struct import *im, const struct import_box *b, struct import_item *item)
{
	for (;;) {
		buf_reset(&im->text);
		if (b->kind == IMPORT_MBOX) {
			if (!mbox_next(im, item))
				return false;
		} else {
			if (im->file >= im->nfiles)
				return false;
			if (!file_item(im, &im->files[im->file++], b, item))
				continue;
		}
		item->message = buf_str(&im->text);
		if (item->message.n > limits.message_size_max) {
			im->skipped++;
			continue;
		}
		item->what = IMPORT_MESSAGE;
		if (item->uid <= im->uid_last)
			item->uid = 0;
		else
			im->uid_last = item->uid;
		count_copy(im, item);
		im->messages++;
		return true;
	}
}

enum err
import_next(struct import *im, struct import_item *item, bool *end)
{
	const struct import_box *b;

	*item = (struct import_item){0};
	*end = false;
	if (im->item_ar == NULL)
		im->item_ar = arena_new(0);
	arena_reset(im->item_ar);
	while (im->box == 0 || im->ended) {
		if (im->box >= im->nboxes)
			goto subscriptions;
		box_close(im);
		b = &im->boxes[im->box++];
		if (!load(im, b)) {
			log_warn("a mailbox could not be read",
			    KV_C("path", b->path));
			im->skipped++;
			im->ended = true;
		}
	}
	b = &im->boxes[im->box - 1];
	item->mailbox = b->name;
	item->uidvalidity = im->uidvalidity;
	if (!im->begun) {
		im->begun = true;
		item->what = IMPORT_BOX;
		item->subscribe = !im->has_subs;
		return OK;
	}
	if (next_message(im, b, item))
		return OK;
	item->what = IMPORT_BOX_END;
	item->uidnext = im->uidnext;
	im->ended = true;
	return OK;
subscriptions:
	*end = im->sub >= im->nsubs;
	if (!*end) {
		item->what = IMPORT_SUBSCRIBED;
		item->mailbox = im->subs[im->sub++];
	}
	return OK;
}
