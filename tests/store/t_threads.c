/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Many threads at one store (R119): sessions that append, flag, expunge,
 * copy, move, read and sync; one that makes, renames and deletes mailboxes;
 * one that frees, compacts and copies the store. Under ThreadSanitizer it
 * looks for races; at the end nothing may be wrong or lost, and the index
 * made again from the log says the same.
 *
 * Every message has a number of its own in its subject. A thread knows which
 * of its own messages are there: only it expunges them.
 */
#include "seeds.h"
#undef assert_str
#include <fcntl.h>
#include <pthread.h>

#include "os/os.h"
#include "store/import.h"
#include "store/t_store.h"

#define SESSIONS 4
#define BOXES 3
#define OWN 400
#define STEPS 250

struct own { /* a message of this thread */
	uint32_t box, uid;
	unsigned number;
	bool seen;
};
struct session {
	struct fix *f;
	struct rnd r;
	pthread_t thread;
	unsigned id;
	uint32_t box[BOXES];
	struct own own[OWN];
	size_t nown;
	unsigned made;
	bool wrong;
};
static atomic_uint running;

#define MUST(cond)                                                        \
	do {                                                              \
		if (!(cond)) {                                            \
			fprintf(stderr, "thread %u: %s\n", s->id, #cond); \
			s->wrong = true;                                  \
			return;                                           \
		}                                                         \
	} while (0)

static size_t
text_of(unsigned number, char *p, size_t n)
{
	return (size_t)snprintf(p, n,
	    "From: a@example.org\r\nSubject: %u\r\nMessage-ID: <%u@x>\r\n\r\n"
	    "%0*u\r\n",
	    number, number, (int)(number % 700), number);
}

static void
append(struct session *s)
{
	char text[1000];
	unsigned number = s->id * 100000 + s->made;
	struct new_message m = {.internaldate = {1600000000, 0}};
	uint32_t validity, uid, box = s->box[rnd(&s->r, BOXES)];

	if (s->nown == OWN)
		return;
	m.message = str_of(text, text_of(number, text, sizeof(text)));
	MUST(store_append(s->f->a, box, &m, 1, &validity, &uid) == OK);
	s->made++;
	s->own[s->nown++] = (struct own){box, uid, number, false};
}

static void
read_one(struct session *s, struct view *v, const struct own *o)
{
	char want[1000], got[1000];
	size_t n = text_of(o->number, want, sizeof(want));
	struct source *src = NULL;
	struct entry e;
	uint32_t seq = view_seq(v, o->uid);

	MUST(seq != 0);
	MUST(view_entries(v, seq, &e, 1) == 1);
	MUST(!e.expunged && e.uid == o->uid);
	MUST(((e.flags & FLAG_SEEN) != 0) == o->seen);
	MUST(view_source(v, &e, &src) == OK);
	MUST(src->size == n);
	MUST(src->ops->read(src, 0, got, n) == OK);
	MUST(memcmp(got, want, n) == 0);
	source_unref(&src);
}

/* Takes a message of one's own to another mailbox, or away. */
static void
change(struct session *s, struct view *v, struct own *o)
{
	struct ranges one = {0}, gone = {0};
	struct flag_change c = {.op = rnd(&s->r, 2) ? FLAGS_ADD : FLAGS_DEL,
	    .flags.system = FLAG_SEEN,
	    .unchangedsince = UINT64_MAX,
	    .silent = rnd(&s->r, 2)};
	uint32_t to = s->box[rnd(&s->r, BOXES)], validity, *a, *b;
	struct arena *ar = arena_new(0);
	size_t n;

	ranges_add(&one, o->uid, o->uid);
	switch (rnd(&s->r, 5)) {
	case 0:
		MUST(store_expunge(v, &one, true, &gone) == OK);
		MUST(ranges_count(&gone) == 1);
		*o = s->own[--s->nown];
		break;
	case 1:
	case 2:
		MUST(store_copy(v, &one, to, rnd(&s->r, 2), ar, &validity, &a,
			 &b, &n) == OK);
		MUST(n == 1 && a[0] == o->uid);
		/* A copy left behind belongs to nobody, and stays. */
		o->box = to;
		o->uid = b[0];
		break;
	default:
		MUST(store_flags(v, &one, &c, NULL, &gone) == OK);
		MUST(gone.n == 0);
		o->seen = c.op == FLAGS_ADD;
	}
	ranges_free(&one);
	ranges_free(&gone);
	arena_free(&ar);
}

static void
session_step(struct session *s, struct view **v)
{
	struct arena *ar = arena_new(0);
	struct changes c;
	struct own *o;

	if (rnd(&s->r, 3) == 0 || s->nown == 0) {
		append(s);
	} else {
		o = &s->own[rnd(&s->r, s->nown)];
		if (*v != NULL &&
		    (view_mailbox(*v) != o->box || rnd(&s->r, 20) == 0))
			view_close(v);
		if (*v == NULL)
			MUST(view_open(s->f->a, o->box, false, s->id + 1, v) ==
			     OK);
		MUST(view_sync(*v, SYNC_ALL, ar, &c) == OK);
		changes_free(&c);
		read_one(s, *v, o);
		if (!s->wrong)
			change(s, *v, o);
		if (rnd(&s->r, 10) == 0)
			view_park(*v);
	}
	arena_free(&ar);
}

static void *
session_run(void *arg)
{
	struct session *s = arg;
	struct view *v = NULL;

	for (int i = 0; i < STEPS && !s->wrong; i++)
		session_step(s, &v);
	view_close(&v);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void
tree_step(struct session *s)
{
	char from[40], to[40];
	uint32_t id;
	struct view *v = NULL;

	snprintf(from, sizeof(from), "t%u/x", s->made);
	snprintf(to, sizeof(to), "t%u/y", ++s->made);
	MUST(mailbox_create(s->f->a, str_c(from), 0, &id) == OK);
	s->box[0] = s->box[1] = s->box[2] = id;
	append(s);
	MUST(view_open(s->f->a, id, false, 9, &v) == OK);
	MUST(mailbox_rename(s->f->a, str_c(from), str_c(to)) == OK);
	MUST(view_exists(v) == 1 && !view_gone(v));
	if (s->made % 2 == 0) {
		MUST(mailbox_delete(s->f->a, str_c(to)) == OK);
		MUST(view_gone(v));
	}
	view_close(&v);
	s->nown = 0;
}

static void *
tree_run(void *arg)
{
	struct session *s = arg;

	while (atomic_load(&running) > 0 && !s->wrong && s->made < 60)
		tree_step(s);
	return NULL;
}

static void
chores_step(struct session *s)
{
	char path[64];
	bool more = true;
	int dir;

	MUST(store_expire(s->f->st, &more) == OK);
	MUST(store_compact(s->f->st, &more) == OK);
	if (s->made++ % 16 != 0)
		return;
	MUST(litter_make(path, NULL, "t_threads") != NULL);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(store_backup(s->f->st, dir) == OK);
	os_close(&dir);
	MUST(litter_remove(path) == 0);
}

static void *
chores_run(void *arg)
{
	struct session *s = arg;

	while (atomic_load(&running) > 0 && !s->wrong) {
		chores_step(s);
		usleep(2000);
	}
	return NULL;
}

/* What of the threads knows its messages to be there, is. */
static void
verify(struct session *s)
{
	for (int k = 0; k < BOXES; k++) {
		struct view *v;

		MUST(view_open(s->f->a, s->box[k], true, 0, &v) == OK);
		for (size_t i = 0; i < s->nown && !s->wrong; i++)
			if (s->own[i].box == s->box[k])
				read_one(s, v, &s->own[i]);
		view_close(&v);
	}
}

static void
turn(uint64_t seed)
{
	static struct session s[SESSIONS + 2];
	struct fix *f = fix_new();

	limits.expunged_keep_s = 1;
	limits.segment_bytes = 1 << 20;
	memset(s, 0, sizeof(s));
	atomic_store(&running, SESSIONS);
	for (unsigned i = 0; i < SESSIONS + 2; i++) {
		s[i].f = f;
		s[i].id = i;
		s[i].r = (struct rnd){.state = seed * 1000 + i};
		s[i].box[0] = 1;
		for (unsigned k = 1; k < BOXES; k++) {
			struct mailbox_info info;

			assert_int_equal(
			    mailbox_find(f->a, f->ar,
				k == 1 ? S("Archive") : S("Sent"), &info),
			    OK);
			s[i].box[k] = info.id;
		}
	}
	for (unsigned i = 0; i < SESSIONS + 2; i++)
		assert_int_equal(pthread_create(&s[i].thread, NULL,
				     i < SESSIONS    ? session_run
				     : i == SESSIONS ? tree_run
						     : chores_run,
				     &s[i]),
		    0);
	for (unsigned i = 0; i < SESSIONS + 2; i++) {
		pthread_join(s[i].thread, NULL);
		assert_false(s[i].wrong);
	}
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < SESSIONS; i++) {
			verify(&s[i]);
			assert_false(s[i].wrong);
		}
		fix_check(f);
		if (round < 2)
			assert_int_equal(fix_reopen_as(f, round == 1), OK);
	}
	fix_free(f);
}

static void
threads(void **state)
{
	struct rnd r;

	for_seeds(&r, 2) turn(r.seed);
	limits_default(&limits);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
