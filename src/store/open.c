/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The store as a whole: opening it (format, lock, log, index, replay),
 * closing it, and what it does by itself.
 *
 * (1) After the replay the index holds all of the log, and is committed,
 *     before anybody is let in.
 * (2) The tail of the log is flushed before it is read: what is applied is
 *     durable. Unless the last process closed it in order, the log goes on in
 *     a new segment, so that nothing left in a cache can come between.
 * (3) Between two commits of the index pass at most index_commit_ms, or
 *     index_commit_bytes of values.
 */
#include "store/compact.h"
#include "store/format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BALLAST = 1 << 20, HOUSEKEEPING_MS = 1000, COMPACT_REST_MS = 60000 };

char *
store_path(const struct store *st, const char *name)
{
	struct buf b = {0};
	char *p;

	buf_f(&b, "%s/%s", st->dir, name);
	p = x_cstr(buf_str(&b));
	buf_free(&b);
	return p;
}

static enum err
make_dirs(struct store *st)
{
	static const char *const names[] = {".", "log", "index", "run"};
	enum err e = OK;

	for (size_t i = 0; i < NELEM(names) && e == OK; i++) {
		char *p = store_path(st, names[i]);

		if (os_mkdir(p, 0700) != 0)
			e = err_errno(errno);
		if (e != OK)
			log_error("a directory cannot be made", KV_C("path", p),
			    KV_ERR(e));
		x_free(&p);
	}
	/* The directory itself, in the one above, is its owner's. */
	if (e == OK && os_fsync_dir(st->dir) != 0)
		e = err_errno(errno);
	return e;
}

static enum err
take_lock(struct store *st)
{
	char *p = store_path(st, "lock");

	st->lock_fd = os_lock(p);
	x_free(&p);
	if (st->lock_fd >= 0)
		return OK;
	return errno == EWOULDBLOCK ? ERR_BUSY : err_errno(errno);
}

/* ---- replay ---- */

struct replay {
	struct store *st;
	struct apply apply;
	struct arena *ar;
	struct log_pos pos;
	uint64_t groups, done, all;
	int64_t told_ms;
	bool torn; /* the end is not clean */
};

static void
tell(struct replay *r, const char *what, bool now)
{
	struct store_opts *o = &r->st->o;

	if (o->progress == NULL || (!now && os_mono_ms() - r->told_ms < 200))
		return;
	r->told_ms = os_mono_ms();
	o->progress(o->progress_arg, what, r->done, r->all);
}

static enum err
replay_group(struct replay *r, const struct log_group *g)
{
	size_t at = 0;
	struct logref ref;
	enum record_type type;
	unsigned version;
	str payload;
	bool snapshot = false;
	enum err e = OK;

	/* A snapshot finds all that was known in LMDB. */
	while (r->st->rebuilding &&
	       log_group_record(g, &at, &ref, &type, &version, &payload))
		snapshot = snapshot || type == REC_SNAPSHOT;
	if (snapshot && (e = index_flush(r->st)) != OK)
		return e;
	at = 0;
	pthread_mutex_lock(&r->st->apply_mu);
	while (e == OK &&
	       log_group_record(g, &at, &ref, &type, &version, &payload)) {
		struct record x;

		e = record_decode(type, version, payload, NULL, r->ar, &x);
		if (e != OK) {
			log_error("a record of the log is malformed",
			    KV_N("segment", ref.seg), KV_N("offset", ref.off));
			break;
		}
		r->apply.at = ref;
		r->apply.payload = payload.n;
		e = apply_record(&r->apply, &x);
		/* The log is the truth: the next start has it alone. */
		if (e == ERR_CORRUPT && r->st->index_had)
			index_suspect(r->st, "the log does not fit it");
	}
	apply_group_end(&r->apply);
	arena_reset(r->ar);
	r->pos.off = g->first.off + g->bytes.n;
	r->pos.last = g->first.off - GROUP_HEAD;
	r->pos.seq = g->seq + 1;
	r->st->applied = r->pos;
	pthread_mutex_unlock(&r->st->apply_mu);
	r->groups++;
	return e;
}

static enum err
replay_segment(struct replay *r, struct segment *s, uint64_t from, bool last)
{
	struct log_reader *reader = log_reader_new(r->st, s, last);
	uint64_t off = from;
	struct log_group g;
	enum log_next next = LOG_END;
	enum err e = OK;

	while (e == OK &&
	       (next = log_next_group(reader, &off, s->end, &g)) == LOG_GROUP) {
		if (g.seq != r->pos.seq && !r->st->rebuilding) {
			log_error("groups of the log are missing",
			    KV_N("segment", s->number),
			    KV_N("wanted", r->pos.seq), KV_N("found", g.seq));
			e = ERR_CORRUPT;
			break;
		}
		r->pos.seg = s->number;
		e = replay_group(r, &g);
		if (e == OK && index_due(r->st))
			e = index_flush(r->st);
		r->done = off;
		tell(r, r->st->rebuilding ? "rebuild" : "replay", false);
	}
	log_reader_free(&reader);
	if (e != OK)
		return e;
	if (next == LOG_FAILED)
		return ERR_IO;
	/* Only the end of the last one may be torn; a group behind it, or
	 * more to come, means that what was acknowledged is lost. */
	if (next == LOG_DAMAGED || (next == LOG_TORN && !last) ||
	    (!last && s->ended && off != s->end)) {
		log_error("the log is damaged", KV_N("segment", s->number),
		    KV_N("offset", off));
		return ERR_CORRUPT;
	}
	r->torn = next == LOG_TORN;
	r->pos.seg = s->number;
	r->pos.off = off;
	s->end = off;
	return OK;
}

/* Does the log hold what the index has of it? */
static bool
same_log(struct store *st, struct segment *s, const struct log_pos *pos)
{
	struct log_reader *reader;
	bool same;

	if (s->number != pos->seg || pos->off > s->end)
		return false;
	if (pos->last == 0)
		return pos->off == SEGMENT_HEAD && s->first == pos->seq;
	reader = log_reader_new(st, s, false);
	same = log_group_is(reader, pos->last, pos->off, pos->seq - 1);
	log_reader_free(&reader);
	return same;
}

static enum err
replay_log(struct store *st, struct replay *r)
{
	struct log *l = st->log;
	size_t i = 0;
	enum err e = OK;

	if (l->n == 0)
		return r->pos.seg == 0 ? OK : ERR_CORRUPT;
	while (r->pos.seg > 0 && i < l->n && l->v[i]->number < r->pos.seg)
		i++;
	if (i == l->n || (r->pos.seg > 0 && !same_log(st, l->v[i], &r->pos))) {
		log_error("the log ends before the index does: is it of "
			  "another time?",
		    KV_N("segment", r->pos.seg), KV_N("offset", r->pos.off));
		return ERR_CORRUPT;
	}
	if (os_fdatasync(l->v[l->n - 1]->fd) != 0) /* (2) */
		return ERR_IO;
	for (; i < l->n && e == OK; i++) {
		struct segment *s = l->v[i];
		uint64_t from =
		    r->pos.seg == s->number ? r->pos.off : SEGMENT_HEAD;

		if (r->pos.seg == 0 || st->rebuilding)
			r->pos.seq = MAX(r->pos.seq, s->first);
		e = replay_segment(r, s, from, i == l->n - 1);
	}
	return e;
}

static bool
each_live(void *ctx, str key, str row)
{
	struct store *st = ctx;
	struct dec k = dec_of(key);
	struct dec d = dec_of(row);
	uint64_t segment = dec_be64(&k);

	dec_u8(&d);
	live_add(st, segment, (int64_t)dec_var(&d));
	((struct live *)map_get_u64(st->live, segment))->dirty = false;
	return true;
}

static enum err
load_totals(struct store *st)
{
	struct key v = {.p = "V", .n = 1};
	struct key g = {.p = "G", .n = 1};
	struct buf row = {0};
	struct dec d;
	enum err e = index_get(st, &v, &row);

	d = dec_of(buf_str(&row));
	if (e == OK && dec_u8(&d) == 1) {
		st->stat_accounts = dec_var(&d);
		st->stat_mailboxes = dec_var(&d);
		st->stat_messages = dec_var(&d);
		st->stat_entries = dec_var(&d);
	}
	buf_free(&row);
	if (e == OK || e == ERR_NOTFOUND)
		e = index_scan(st, &g, STR_NONE, each_live, st);
	return e;
}

/* Is there a hole in the numbers of the segments? Then records are missing,
 * and snapshots stand for them. */
static bool
has_holes(const struct log *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i]->number != i + 1)
			return true;
	return false;
}

/* (1) Where changes are lost, mailboxes get new UIDVALIDITYs before anybody
 * can get a number again; the mark lets the next start do it if this one does
 * not come to its end. */
static enum err
numbers_anew(struct store *st)
{
	bool marked;
	bool lost;
	enum err e = index_marked(st, "short", &marked);

	if (e != OK)
		return e;
	lost = st->o.restored || marked;
	if (lost)
		e = index_mark(st, "short", "the log was not whole\n");
	if (e == OK)
		e = index_flush(st);
	if (!lost || e != OK)
		return e;
	log_warn("mailboxes get new UIDVALIDITYs");
	if ((e = store_restored(st)) == OK)
		e = index_unmark(st, "short");
	/* Last: a restore that has its FORMAT changes no number again. */
	return e == OK ? format_write(st) : e;
}

/* Is a segment missing that was not dropped? What it told is lost. */
static bool
has_lost(struct store *st)
{
	const struct log *l = st->log;
	uint64_t last = l->n > 0 ? l->v[l->n - 1]->number : 0;
	size_t i = 0;
	bool lost = false;

	for (uint64_t number = 1; number < last; number++) {
		if (l->v[i]->number == number) {
			i++;
		} else if (map_get_u64(st->dropped, number) == NULL) {
			log_error("a segment of the log is missing",
			    KV_N("segment", number));
			lost = true;
		}
	}
	return lost;
}

static enum err
recover(struct store *st, const struct log_pos *pos, bool clean)
{
	struct replay r = {.st = st,
	    .pos = *pos,
	    .apply.st = st,
	    .ar = arena_new(SIZE_MAX / 2)};
	int64_t start_ms = os_mono_ms();
	bool fresh;
	enum err e;

	st->applied = *pos;
	st->index_had = pos->seg > 0;
	st->rebuilding = pos->seg == 0 && has_holes(st->log);
	for (size_t i = 0; i < st->log->n; i++)
		r.all += st->log->v[i]->end;
	e = replay_log(st, &r);
	if (e == OK && st->rebuilding && (e = rebuild_finish(st)) == OK &&
	    has_lost(st))
		st->o.restored = true;
	st->rebuilding = false;
	arena_free(&r.ar);
	apply_free(&r.apply);
	if (e != OK)
		return e;
	if (r.groups > 0)
		log_info("the log was replayed", KV_N("groups", r.groups),
		    KV_N("ms", os_mono_ms() - start_ms));
	r.done = r.all;
	tell(&r, "replay", true);
	fresh = r.torn || r.groups > 0 || !clean; /* (2) */
	if ((e = log_start(st, &r.pos, fresh)) != OK)
		return e;
	st->applied = st->log->pos;
	st->started = true;
	if (r.pos.seq < st->before.seq) {
		log_error("the log is not whole to its end: changes are lost",
		    KV_N("groups", st->before.seq - r.pos.seq));
		st->o.restored = true;
	}
	return numbers_anew(st);
}

/* ---- by itself ---- */

static void
ballast_make(struct store *st)
{
	char *p = store_path(st, "ballast");
	int fd = os_open(p, O_RDWR | O_CREAT, 0600);
	struct stat sb;

	if (fd >= 0 && os_fstat(fd, &sb) == 0 &&
	    (sb.st_size >= BALLAST ||
		os_allocate(fd, sb.st_size, BALLAST - sb.st_size) == 0)) {
		if (atomic_load(&st->full))
			log_info("there is room on the disk again");
		atomic_store(&st->full, false);
	}
	os_close(&fd);
	x_free(&p);
}

void
store_full(struct store *st)
{
	char *p = store_path(st, "ballast");
	int fd;

	if (!atomic_exchange(&st->full, true))
		log_error("the disk is full: new mail is refused");
	fd = os_open(p, O_RDWR, 0600);
	if (fd >= 0 && os_ftruncate(fd, 0) != 0)
		log_error("the ballast cannot be let go", KV_ERRNO(errno));
	os_close(&fd);
	x_free(&p);
}

void
store_die(struct store *st, const char *why)
{
	bool first = !atomic_exchange(&st->died, true);

	atomic_store(&st->dead, true);
	if (!first)
		return;
	log_error("the store stops", KV_C("why", why));
	if (st->o.fatal != NULL)
		st->o.fatal(st->o.fatal_arg);
	else
		_exit(STORE_EXIT_FATAL);
}

void
store_wake(struct store *st)
{
	pthread_mutex_lock(&st->bg_mu);
	if (!st->bg_work) {
		st->bg_work = true;
		pthread_cond_signal(&st->bg_cv);
	}
	pthread_mutex_unlock(&st->bg_mu);
}

static void
wait_until(struct store *st, int64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&st->bg_cv, &st->bg_mu, &t);
}

static void
housekeeping(struct store *st)
{
	bool more = false;

	resident_sweep(st, false);
	if (atomic_load(&st->full) && index_flush(st) != OK)
		return;
	if (atomic_load(&st->full) || !st->ballast_made) {
		if (!st->o.no_background)
			ballast_make(st);
		else
			atomic_store(&st->full, false);
		st->ballast_made = true;
	}
	if (st->o.no_background)
		return;
	for (int i = 0; i < 8; i++)
		if (store_expire(st, &more) != OK || !more)
			break;
	if (os_mono_ms() < st->compact_next_ms)
		return;
	more = true;
	for (int i = 0; i < 50 && more; i++)
		if (store_compact(st, &more) != OK)
			more = false;
	if (!more)
		st->compact_next_ms = os_mono_ms() + COMPACT_REST_MS;
}

static void *
background(void *arg)
{
	struct store *st = arg;
	int64_t keep_ms = os_mono_ms();

	pthread_mutex_lock(&st->bg_mu);
	while (!st->bg_stop) {
		bool work;

		if (!st->bg_work)
			wait_until(st, HOUSEKEEPING_MS);
		work = st->bg_work;
		if (work && !st->bg_stop) {
			/* Some company, until it is due. */
			wait_until(st, (int64_t)limits.index_commit_ms);
			st->bg_work = false;
		}
		pthread_mutex_unlock(&st->bg_mu);
		if (work && !atomic_load(&st->dead)) {
			commit_idle(st);
			log_ahead(st);
			if (index_flush(st) == ERR_FULL)
				store_full(st);
		}
		if (os_mono_ms() - keep_ms >= HOUSEKEEPING_MS &&
		    !atomic_load(&st->dead)) {
			keep_ms = os_mono_ms();
			housekeeping(st);
		}
		pthread_mutex_lock(&st->bg_mu);
	}
	pthread_mutex_unlock(&st->bg_mu);
	return NULL;
}

void
store_hurry(struct store *st)
{
	if (!index_due(st))
		return;
	pthread_mutex_lock(&st->bg_mu);
	st->bg_work = true;
	pthread_cond_signal(&st->bg_cv);
	pthread_mutex_unlock(&st->bg_mu);
}

static bool
start_background(struct store *st)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_mutex_init(&st->bg_mu, NULL);
	pthread_cond_init(&st->bg_cv, &a);
	pthread_condattr_destroy(&a);
	return true;
}

/* ---- opening and closing ---- */

static void
tear_down(struct store *st)
{
	compaction_free(st);
	index_close(st);
	commit_close(st);
	resident_close(st);
	log_close(st);
	os_close(&st->lock_fd);
	pthread_mutex_destroy(&st->apply_mu);
	pthread_mutex_destroy(&st->reg_mu);
	pthread_mutex_destroy(&st->compact_mu);
	pthread_mutex_destroy(&st->bg_mu);
	pthread_cond_destroy(&st->bg_cv);
	map_free(&st->dropped);
	x_free(&st->dir);
	x_free(&st);
}

void
store_prepare(const char *dir)
{
	static const char *const names[] = {"lock", "ballast"};
	struct store *st = x_alloc(sizeof(*st));

	st->dir = x_cstr(str_c(dir));
	/* What fails here fails in store_open too, which says so. */
	if (make_dirs(st) == OK && format_check(st) == OK &&
	    format_prepare(st) == OK) {
		for (size_t i = 0; i < NELEM(names); i++) {
			char *p = store_path(st, names[i]);
			int fd = os_open(p, O_RDWR | O_CREAT, 0600);

			os_close(&fd);
			x_free(&p);
		}
	}
	x_free(&st->dir);
	x_free(&st);
}

int
store_tmpfile(struct store *st)
{
	char *p = store_path(st, "index");
	int fd = os_tmpfile(p);

	x_free(&p);
	return fd;
}

enum err
store_open(const struct store_opts *o, struct store **out)
{
	struct store *st = x_alloc(sizeof(*st));
	struct log_pos pos;
	bool clean = false;
	enum err e;

	*out = NULL;
	st->o = *o;
	st->dir = x_cstr(str_c(o->dir));
	st->lock_fd = -1;
	pthread_mutex_init(&st->apply_mu, NULL);
	pthread_mutex_init(&st->reg_mu, NULL);
	pthread_mutex_init(&st->compact_mu, NULL);
	st->accounts = map_new();
	st->mboxes = map_new();
	st->live = map_new();
	st->dropped = map_new();
	start_background(st);
	commit_open(st);
	if ((e = make_dirs(st)) == OK && (e = take_lock(st)) == OK &&
	    (e = format_check(st)) == OK && (e = log_open(st)) == OK &&
	    (e = index_open(st, o->rebuild, &pos, &clean)) == OK) {
		st->applied = pos;
		if ((e = format_upgrade(st)) == OK &&
		    (e = load_totals(st)) == OK)
			e = recover(st, &pos, clean);
	}
	if (e == OK && !o->no_thread &&
	    pthread_create(&st->background, NULL, background, st)) {
		st->started = false;
		e = ERR_NOMEM;
	}
	if (e != OK) {
		st->started = false;
		tear_down(st);
		return e;
	}
	*out = st;
	return OK;
}

void
store_close(struct store **sp)
{
	struct store *st = *sp;

	*sp = NULL;
	if (st == NULL)
		return;
	pthread_mutex_lock(&st->bg_mu);
	st->bg_stop = true;
	pthread_cond_signal(&st->bg_cv);
	pthread_mutex_unlock(&st->bg_mu);
	if (!st->o.no_thread)
		pthread_join(st->background, NULL);
	if (!atomic_load(&st->dead))
		commit_idle(st);
	tear_down(st);
}

void
store_stats(struct store *st, struct store_stats *s)
{
	uint64_t rows;
	size_t at = 0;
	void *v;

	*s = (struct store_stats){0};
	pthread_mutex_lock(&st->apply_mu);
	s->accounts = st->stat_accounts;
	s->mailboxes = st->stat_mailboxes;
	s->messages = st->stat_messages;
	s->entries = st->stat_entries;
	while (map_next(st->live, &at, NULL, &v))
		s->log_live_bytes += ((struct live *)v)->bytes;
	pthread_mutex_lock(&st->reg_mu);
	s->resident_mailboxes = map_count(st->mboxes);
	pthread_mutex_unlock(&st->reg_mu);
	pthread_mutex_unlock(&st->apply_mu);
	s->log_bytes =
	    atomic_load(&st->log->bytes) + atomic_load(&st->log->used);
	index_size(st, &s->index_bytes, &rows);
	s->commits = atomic_load(&st->stat_commits);
	s->changes = atomic_load(&st->stat_changes);
	s->flushes = atomic_load(&st->log->flushes);
}
