/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The model itself: nodes with their certain bytes and uncertain changes,
 * directories with their certain and present names, uncertain changes of
 * names in one list.
 */
#include "fsmodel_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void
fs_fail(const char *what)
{
	fprintf(stderr, "replay: %s: %s\n", what, strerror(errno));
	exit(2);
}

uint64_t
dice_throw(struct dice *d, uint64_t sides)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % sides;
}

/* ---- bytes and changes ---- */

void
image_size(struct image *im, uint64_t n)
{
	if (n > im->cap) {
		size_t cap = MAX((size_t)n, im->cap * 2);

		im->p = x_grow(im->p, cap, 1);
		im->cap = cap;
	}
	if (n > im->n)
		memset(im->p + im->n, 0, n - im->n);
	im->n = n;
}

void
image_apply(struct image *im, const struct change *c)
{
	uint64_t end = c->at + c->n;

	if (c->kind == REC_TRUNCATE) {
		image_size(im, c->at);
		return;
	}
	if (end > im->n)
		image_size(im, end);
	if (c->kind == REC_WRITE)
		memcpy(im->p + c->at, c->bytes, c->n);
	else if (c->kind == REC_ZERO)
		memset(im->p + c->at, 0, c->n);
}

static void
node_change(struct fs *fs, struct node *f, const struct change *c)
{
	if (f->n == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 16;
		f->changes = x_grow(f->changes, f->cap, sizeof(*f->changes));
	}
	f->changes[f->n++] = *c;
	fs->epoch++;
}

static void
node_sync(struct fs *fs, struct node *f)
{
	for (size_t i = 0; i < f->n; i++)
		image_apply(&f->disk, &f->changes[i]);
	if (f->n > 0)
		fs->epoch++;
	f->n = 0;
}

/* ---- names ---- */

struct node *
names_find(const struct names *v, const char *name)
{
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->v[i].name, name) == 0)
			return v->v[i].node;
	return NULL;
}

/* node NULL: removes. */
void
names_set(struct names *v, const char *name, struct node *node)
{
	size_t i = 0;

	while (i < v->n && strcmp(v->v[i].name, name) != 0)
		i++;
	if (node == NULL) {
		if (i < v->n)
			v->v[i] = v->v[--v->n];
		return;
	}
	if (i == v->cap) {
		v->cap = v->cap ? v->cap * 2 : 8;
		v->v = x_grow(v->v, v->cap, sizeof(*v->v));
	}
	v->v[i] = (struct name){name, node};
	if (i == v->n)
		v->n++;
}

void
names_copy(struct names *to, const struct names *from)
{
	to->n = 0;
	for (size_t i = 0; i < from->n; i++)
		names_set(to, from->v[i].name, from->v[i].node);
}

void
move_apply(const struct move *m, struct names *(*of)(struct node *))
{
	if (m->from_dir != NULL)
		names_set(of(m->from_dir), m->from_name, NULL);
	names_set(of(m->dir), m->name, m->node);
}

static struct names *
names_now(struct node *dir)
{
	return &dir->now;
}

static struct names *
names_disk(struct node *dir)
{
	return &dir->certain;
}

static void
fs_move(struct fs *fs, const struct move *m)
{
	if (fs->nmoves == fs->cap_moves) {
		fs->cap_moves = fs->cap_moves ? fs->cap_moves * 2 : 16;
		fs->moves =
		    x_grow(fs->moves, fs->cap_moves, sizeof(*fs->moves));
	}
	fs->moves[fs->nmoves++] = *m;
	move_apply(m, names_now);
	fs->epoch++;
}

/* (2): the directory's uncertain names are certain from here on. */
static void
dir_sync(struct fs *fs, struct node *dir)
{
	size_t kept = 0;

	for (size_t i = 0; i < fs->nmoves; i++) {
		const struct move *m = &fs->moves[i];

		if (m->dir == dir || m->from_dir == dir)
			move_apply(m, names_disk);
		else
			fs->moves[kept++] = *m;
	}
	if (kept != fs->nmoves)
		fs->epoch++;
	fs->nmoves = kept;
}

static struct node *
node_new(struct fs *fs, bool dir)
{
	struct node *f = x_alloc(sizeof(*f));

	f->dir = dir;
	f->next = fs->nodes;
	fs->nodes = f;
	return f;
}

/* The node of a path, as things are now; *dir and *name: its place, also
 * when it is not there. name lives as long as the program. */
static struct node *
lookup(struct fs *fs, const char *path, struct node **dir, const char **name)
{
	struct node *f = fs->root;

	*dir = NULL;
	*name = "";
	while (*path == '/') {
		size_t n = strcspn(++path, "/");
		char part[256];

		if (f == NULL || !f->dir || n == 0 || n >= sizeof(part)) {
			*dir = NULL;
			return n == 0 ? f : NULL;
		}
		memcpy(part, path, n);
		part[n] = '\0';
		*dir = f;
		*name = x_cstr(str_c(part));
		f = names_find(&f->now, part);
		path += n;
	}
	return f;
}

/* ---- the records ---- */

static bool
op_open(struct fs *fs, const struct reclog_rec *r, const char *path)
{
	struct node *dir;
	const char *name;
	struct node *f = lookup(fs, path, &dir, &name);

	if (f == NULL && dir == NULL)
		return false;
	if (f == NULL) {
		/* Also one that was not seen being made: stdio. */
		f = node_new(fs, (r->flags & RECLOG_DIR) != 0);
		fs_move(fs, &(struct move){dir, name, f, NULL, NULL});
	}
	if (r->handle >= fs->nhandles) {
		size_t n = MAX(fs->nhandles * 2, r->handle + 1u);

		fs->handles = x_grow(fs->handles, n, sizeof(*fs->handles));
		memset(fs->handles + fs->nhandles, 0,
		    (n - fs->nhandles) * sizeof(*fs->handles));
		fs->nhandles = n;
	}
	fs->handles[r->handle] = f;
	if ((r->at & O_TRUNC) && !f->dir)
		node_change(fs, f, &(struct change){.kind = REC_TRUNCATE});
	return true;
}

static bool
op_names(struct fs *fs, const struct reclog_rec *r, const char *p)
{
	const char *second = p + strlen(p) + 1;
	struct node *dir;
	struct node *dir2;
	const char *name;
	const char *name2;
	struct node *f = lookup(fs, p, &dir, &name);

	if (dir == NULL)
		return false;
	if (r->op == REC_MKDIR) {
		fs_move(fs,
		    &(struct move){dir, name, node_new(fs, true), NULL, NULL});
		return true;
	}
	if (f == NULL)
		return false;
	if (r->op == REC_UNLINK) {
		fs_move(fs, &(struct move){dir, name, NULL, NULL, NULL});
		return true;
	}
	lookup(fs, second, &dir2, &name2);
	if (dir2 == NULL)
		return false;
	if (r->op == REC_LINK)
		fs_move(fs, &(struct move){dir2, name2, f, NULL, NULL});
	else
		fs_move(fs, &(struct move){dir2, name2, f, dir, name});
	return true;
}

static bool
op_change(
    struct fs *fs, struct node *f, const struct reclog_rec *r, const char *p)
{
	struct change c = {.kind = (enum reclog_op)r->op,
	    .at = r->at,
	    .n = r->len,
	    .bytes = p,
	    .certain = (r->flags & RECLOG_DURABLE) != 0};

	if (f->dir)
		return false;
	if (r->op == REC_ZERO || r->op == REC_ALLOC)
		memcpy(&c.n, p, sizeof(c.n));
	if (r->op == REC_TRUNCATE)
		c.n = 0;
	node_change(fs, f, &c);
	return true;
}

/* Locks are mapped to be written, and nothing in them must last. */
static bool
is_lock(struct fs *fs, const struct node *f)
{
	for (const struct node *d = fs->nodes; d != NULL; d = d->next)
		for (size_t i = 0; i < d->now.n; i++)
			if (d->now.v[i].node == f)
				return strstr(d->now.v[i].name, "lock") != NULL;
	return true;
}

bool
fs_apply(
    struct fs *fs, const struct reclog_rec *r, const char *p, const char **why)
{
	struct node *f = NULL;
	bool good = true;

	if (r->op >= REC_OPEN && r->op <= REC_MAPPED && r->op != REC_OPEN) {
		if (r->handle < fs->nhandles)
			f = fs->handles[r->handle];
		if (f == NULL) {
			*why = "a file that was never opened";
			return false;
		}
	}
	*why = "a path that cannot be";
	if (r->op == REC_OPEN)
		good = op_open(fs, r, p);
	else if (r->op >= REC_WRITE && r->op <= REC_TRUNCATE)
		good = op_change(fs, f, r, p);
	else if (r->op == REC_SYNC && f->dir)
		dir_sync(fs, f);
	else if (r->op == REC_SYNC)
		node_sync(fs, f);
	else if (r->op == REC_MAPPED && !is_lock(fs, f)) {
		*why = "a file is mapped to be written: stores are not seen";
		return false;
	} else if (r->op >= REC_RENAME && r->op <= REC_MKDIR)
		good = op_names(fs, r, p);
	return good;
}

/* ---- beginning and end ---- */

static void
load_file(struct node *f, int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		fs_fail("cannot read the base");
	image_size(&f->disk, (uint64_t)st.st_size);
	if (read(fd, f->disk.p, f->disk.n) != (ssize_t)f->disk.n)
		fs_fail("cannot read the base");
	close(fd);
}

static void
load(struct fs *fs, struct node *dir, int fd)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;

	if (d == NULL)
		fs_fail("cannot read the base");
	while ((e = readdir(d)) != NULL) {
		struct node *f;

		if (e->d_name[0] == '.' || e->d_type == DT_SOCK)
			continue;
		f = node_new(fs, e->d_type == DT_DIR);
		names_set(&dir->certain, x_cstr(str_c(e->d_name)), f);
		if (f->dir)
			load(fs, f, openat(fd, e->d_name, O_RDONLY));
		else
			load_file(f, fd, e->d_name);
	}
	names_copy(&dir->now, &dir->certain);
	closedir(d);
}

struct fs *
fs_new(const char *base)
{
	struct fs *fs = x_alloc(sizeof(*fs));

	fs->root = node_new(fs, true);
	if (base != NULL)
		load(fs, fs->root, open(base, O_RDONLY | O_CLOEXEC));
	return fs;
}

void
fs_free(struct fs **fsp)
{
	struct fs *fs = *fsp;

	while (fs->nodes != NULL) {
		struct node *f = fs->nodes;

		fs->nodes = f->next;
		x_free(&f->disk.p);
		x_free(&f->changes);
		x_free(&f->certain.v);
		x_free(&f->now.v);
		x_free(&f->state.v);
		x_free(&f);
	}
	x_free(&fs->moves);
	x_free(&fs->handles);
	x_free(&fs->image.p);
	x_free(fsp);
}
