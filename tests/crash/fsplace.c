/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Makes states: decides what of the uncertain is there, and brings a
 * directory to it. The directory is what the last state's checker has left:
 * each page of each file is compared and written only when it differs.
 *
 * (1) All decisions come from the dice, in an order that depends on the
 *     model alone, so that a state can be made again.
 */
#include "fsmodel_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define PAGE 4096

struct place {
	struct fs *fs;
	enum loss loss;
	struct dice *d;
	unsigned percent; /* of changes kept, where chance decides */
	uint64_t hash;
};

static void
note(struct place *pl, uint64_t decision)
{
	pl->hash = (pl->hash ^ decision) * 0x9e3779b97f4a7c15u;
	pl->hash ^= pl->hash >> 29;
}

static bool
keeps(struct place *pl)
{
	bool yes = dice_throw(pl->d, 100) < pl->percent;

	note(pl, yes ? 2 : 3);
	return yes;
}

/* ---- names ---- */

static struct names *
names_state(struct node *dir)
{
	return &dir->state;
}

/* Half the time the first so many changes are there, as on a file system
 * with a journal; else any of them. */
static void
decide_names(struct place *pl)
{
	struct fs *fs = pl->fs;
	bool any = pl->loss == LOSS_SOME && dice_throw(pl->d, 2) == 0;
	size_t first = pl->loss == LOSS_NOTHING ? fs->nmoves : 0;

	for (struct node *f = fs->nodes; f != NULL; f = f->next)
		if (f->dir)
			names_copy(&f->state, &f->certain);
	if (pl->loss == LOSS_SOME && !any)
		first = dice_throw(pl->d, fs->nmoves + 1);
	note(pl, first);
	for (size_t i = 0; i < fs->nmoves; i++)
		if (i < first || (any && keeps(pl)))
			move_apply(&fs->moves[i], names_state);
}

/* ---- bytes ---- */

/* Some of the sectors that a change touches. */
static void
apply_torn(struct place *pl, struct image *im, const struct change *c)
{
	uint64_t at = c->at;
	uint64_t end = c->at + c->n;

	while (at < end) {
		uint64_t next = MIN((at / SECTOR + 1) * SECTOR, end);
		struct change part = *c;

		part.at = at;
		part.n = next - at;
		if (c->kind == REC_WRITE)
			part.bytes = c->bytes + (at - c->at);
		if (c->n <= SECTOR || keeps(pl))
			image_apply(im, &part);
		at = next;
	}
}

static void
apply_maybe(struct place *pl, struct image *im, const struct change *c)
{
	bool torn =
	    dice_throw(pl->d, 2) == 0 && c->n > SECTOR && c->n <= 1 << 16;

	if (!keeps(pl))
		return;
	if (torn && c->kind != REC_TRUNCATE)
		apply_torn(pl, im, c);
	else
		image_apply(im, c);
}

/* The size that the file has when these changes are whole. */
static uint64_t
size_after(const struct node *f, bool certain_only)
{
	uint64_t size = f->disk.n;

	for (size_t i = 0; i < f->n; i++) {
		const struct change *c = &f->changes[i];

		if (certain_only && !c->certain)
			continue;
		if (c->kind == REC_TRUNCATE)
			size = c->at;
		else
			size = MAX(size, c->at + c->n);
	}
	return size;
}

/* Chance decides: none, all, the first so many and a part of the next, or
 * any of them; and the size. */
static void
decide_some(struct place *pl, struct image *im, const struct node *f)
{
	unsigned how = (unsigned)dice_throw(pl->d, 5);
	size_t first = dice_throw(pl->d, f->n);
	unsigned size = (unsigned)dice_throw(pl->d, 5);

	note(pl, how << 8 | size);
	note(pl, how == 2 ? first : 0);
	for (size_t i = 0; i < f->n; i++) {
		const struct change *c = &f->changes[i];

		if (c->certain || how == 1 || (how == 2 && i < first))
			image_apply(im, c);
		else if (how > 2 || (how == 2 && i == first))
			apply_maybe(pl, im, c);
	}
	if (size == 0)
		image_size(im, size_after(f, true));
	else if (size == 1)
		image_size(im, MAX(im->n, size_after(f, false)));
}

/* What the file holds in this state. */
static struct image *
decide_file(struct place *pl, struct node *f)
{
	struct image *im = &pl->fs->image;

	if (f->n == 0)
		return &f->disk;
	im->n = 0;
	image_size(im, f->disk.n);
	memcpy(im->p, f->disk.p, f->disk.n);
	if (pl->loss == LOSS_SOME) {
		decide_some(pl, im, f);
		return im;
	}
	for (size_t i = 0; i < f->n; i++)
		if (pl->loss != LOSS_ALL || f->changes[i].certain)
			image_apply(im, &f->changes[i]);
	return im;
}

/* ---- the directory ---- */

static void
remove_tree(int dirfd, const char *name)
{
	struct dirent *e;
	DIR *d;
	int fd;

	if (unlinkat(dirfd, name, 0) == 0)
		return;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (d = fdopendir(fd)) == NULL)
		fs_fail("remove");
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_tree(fd, e->d_name);
	closedir(d);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) != 0)
		fs_fail("remove");
}

static void
remove_others(int fd, const struct names *wanted)
{
	DIR *d = fdopendir(dup(fd));
	struct dirent *e;

	if (d == NULL)
		fs_fail("list");
	rewinddir(d);
	while ((e = readdir(d)) != NULL) {
		struct node *f = names_find(wanted, e->d_name);

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (f == NULL || f->dir != (e->d_type == DT_DIR))
			remove_tree(fd, e->d_name);
	}
	closedir(d);
}

static void
place_file(int dirfd, const char *name, const struct image *im)
{
	int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char *map;

	if (fd < 0 || ftruncate(fd, (off_t)im->n) != 0)
		fs_fail("make a file");
	if (im->n > 0) {
		map = mmap(NULL, im->n, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, fd, 0);
		if (map == MAP_FAILED)
			fs_fail("map a file");
		for (size_t i = 0; i < im->n; i += PAGE) {
			size_t n = MIN((size_t)PAGE, im->n - i);

			if (memcmp(map + i, im->p + i, n) != 0)
				memcpy(map + i, im->p + i, n);
		}
		munmap(map, im->n);
	}
	close(fd);
}

static void
place_dir(struct place *pl, int fd, struct node *dir)
{
	remove_others(fd, &dir->state);
	for (size_t i = 0; i < dir->state.n; i++) {
		const struct name *e = &dir->state.v[i];
		int sub;

		if (!e->node->dir) {
			place_file(fd, e->name, decide_file(pl, e->node));
			continue;
		}
		(void)mkdirat(fd, e->name, 0700);
		sub = openat(fd, e->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (sub < 0)
			fs_fail("make a directory");
		place_dir(pl, sub, e->node);
		close(sub);
	}
}

uint64_t
fs_place(struct fs *fs, enum loss loss, struct dice *d, const char *dir)
{
	static const unsigned percents[] = {5, 50, 50, 80, 95};
	struct place pl = {fs, loss, d, 50, fs->epoch};
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fs_fail("open the scratch directory");
	pl.percent = percents[dice_throw(d, NELEM(percents))];
	note(&pl, loss);
	decide_names(&pl);
	place_dir(&pl, fd, fs->root);
	close(fd);
	return pl.hash;
}
