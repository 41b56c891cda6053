/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * FORMAT: one line, the version of all that is below DATA, and how data of an
 * older version becomes that of this program.
 *
 * (1) A new store has FORMAT before its index and its first segment, a copy
 *     and a restored one after its last; so what has either without it is a
 *     part of one.
 * (2) What is old is only read until FORMAT says "OLD to NEW": from then on
 *     no older program opens it, and this one takes all steps from OLD, again
 *     if need be. NEW alone comes last. Both are written atomically, so there
 *     is old, new, and what becomes new at the next start.
 * (3) Where no step rewrites anything NEW is written at once.
 */
#include "store/format.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* 2: summaries are packed; 3: otherwise, and rows of ids without the ids. */
static const struct format_step steps[] = {
    {1, 2, NULL},
    {2, 3, NULL},
};

struct format_steps format_steps = {STORE_FORMAT, steps, NELEM(steps)};

/* ERR_NOTFOUND: no segments and no index. */
static enum err
holds_data(struct store *st)
{
	char *p = store_path(st, "log");
	char *index = store_path(st, "index/data.mdb");
	enum err e = ERR_NOTFOUND;
	struct os_dir *d = os_dir_open(p);
	const char *name;

	if (d == NULL) {
		e = err_errno(errno);
	} else {
		while (e == ERR_NOTFOUND && (name = os_dir_next(d)) != NULL)
			if (str_ends(str_c(name), S(".seg")))
				e = OK;
		if (e == ERR_NOTFOUND && errno != 0)
			e = err_errno(errno);
	}
	os_dir_close(&d);
	if (e == ERR_NOTFOUND)
		e = os_exists(index) == 0 ? OK : err_errno(errno);
	x_free(&p);
	x_free(&index);
	return e;
}

static enum err
put(struct store *st, const struct buf *line)
{
	char *p = store_path(st, "FORMAT");
	enum err e = os_spill(p, buf_str(line), 0600);

	x_free(&p);
	return e;
}

enum err
format_write(struct store *st)
{
	struct buf b = {0};
	enum err e;

	buf_f(&b, "%u\n", format_steps.now);
	e = put(st, &b);
	buf_free(&b);
	if (e == OK)
		st->format = format_steps.now;
	return e;
}

/* "N", or "N to M". */
static enum err
parse(str line, uint64_t *from, uint64_t *to)
{
	size_t at = str_find(line, S(" to "));

	if (!str_u64(str_head(line, at), from))
		return ERR_CORRUPT;
	*to = *from;
	if (at < line.n && !str_u64(str_from(line, at + 4), to))
		return ERR_CORRUPT;
	return *from > 0 && *to >= *from ? OK : ERR_CORRUPT;
}

/* (1) */
static enum err
without(struct store *st)
{
	enum err e;

	if (st->o.restored) { /* comes when all is done */
		st->format = st->o.restored_format != 0 ? st->o.restored_format
							: format_steps.now;
		return OK;
	}
	e = holds_data(st);
	if (e == ERR_NOTFOUND)
		return format_write(st);
	if (e != OK)
		return e;
	log_error("half a store: FORMAT is missing; a restore or a backup was "
		  "broken off, or files were taken away");
	return ERR_CORRUPT;
}

enum err
format_check(struct store *st)
{
	char *p = store_path(st, "FORMAT");
	struct buf b = {0};
	uint64_t from = 0;
	uint64_t to = 0;
	enum err e = os_slurp(p, 100, &b);

	if (e == ERR_NOTFOUND) {
		e = without(st);
	} else if (e == OK &&
		   (e = parse(str_trim(buf_str(&b)), &from, &to)) != OK) {
		log_error("the file FORMAT is malformed: this data is damaged, "
			  "or of a newer version of this program");
	} else if (e == OK && to > format_steps.now) {
		log_error("this data is of a newer version of this program; it "
			  "is left as it is",
		    KV_N("has", to), KV_N("known", format_steps.now));
		e = ERR_CORRUPT;
	} else if (e == OK) {
		st->format = (unsigned)from;
		st->format_begun = to > from;
	} else {
		log_error("the file FORMAT cannot be read", KV_ERR(e));
	}
	buf_free(&b);
	x_free(&p);
	return e;
}

static const struct format_step *
step_from(unsigned from)
{
	for (size_t i = 0; i < format_steps.n; i++)
		if (format_steps.v[i].from == from)
			return &format_steps.v[i];
	return NULL;
}

/* Is there a way, and does a step of it rewrite anything? */
static bool
way(unsigned from, bool *rewrites)
{
	const struct format_step *s;

	*rewrites = false;
	while (from != format_steps.now) {
		if ((s = step_from(from)) == NULL || s->to <= from)
			return false;
		*rewrites = *rewrites || s->run != NULL;
		from = s->to;
	}
	return true;
}

enum err
format_prepare(struct store *st)
{
	bool rewrites;

	return way(st->format, &rewrites) && !rewrites ? format_upgrade(st)
						       : OK;
}

/* (2) */
static enum err
begin(struct store *st)
{
	struct buf b = {0};
	enum err e;

	buf_f(&b, "%u to %u\n", st->format, format_steps.now);
	e = put(st, &b);
	buf_free(&b);
	return e;
}

enum err
format_upgrade(struct store *st)
{
	unsigned from = st->format;
	bool rewrites;
	enum err e = OK;

	if (from == format_steps.now)
		return OK;
	if (!way(from, &rewrites)) {
		log_error("there is no way from this version of the data",
		    KV_N("has", from), KV_N("known", format_steps.now));
		return ERR_CORRUPT;
	}
	log_info("the data becomes that of this version", KV_N("from", from),
	    KV_N("to", format_steps.now), KV_N("again", st->format_begun));
	if (rewrites && !st->o.restored) /* (3) */
		e = begin(st);
	while (e == OK && from != format_steps.now) {
		const struct format_step *s = step_from(from);

		if (s->run != NULL && (e = s->run(st)) == OK)
			e = index_flush(st);
		from = s->to;
	}
	if (e == OK && !st->o.restored)
		e = format_write(st);
	if (e != OK)
		log_error("it could not; the next start goes on", KV_ERR(e));
	return e;
}
