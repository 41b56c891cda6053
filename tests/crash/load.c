/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The frame of the workloads: runs, writes facts, compares.
 *
 * (1) Facts are written before the acknowledgement that makes them binding.
 * (2) Acknowledgement 0 comes after the setup; the last step is followed by
 *     the close, which changes nothing.
 */
#include "load.h"
#include "reclog.h"
#include "replay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LANES_MAX 8
#define LINES_MAX 4096
#define WALL_START 1750000000000 /* a day in 2025 */

static const struct load *load;
static const struct load_path *path;
static int facts_fd = -1;

void
load_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

void
load_ok(enum err e, const char *what)
{
	if (e != OK)
		load_fail("%s: %s", what, err_name(e));
}

static unsigned
lanes(void)
{
	return MAX(1u, path->lanes);
}

static void
clock_step(unsigned i)
{
	/* With lanes time runs: nobody owns it. */
	if (path->lanes == 0)
		os_clock_fix(WALL_START + i * 1000ll, 1000000 + i * 1000ll);
}

/* ---- facts ---- */

/* "@ LANE STEP BYTES" and the text; in one write, for lanes share it. */
static void
facts_write(unsigned lane, unsigned i)
{
	struct buf text = {0};
	struct buf all = {0};

	load->dump(lane, &text);
	buf_f(&all, "@ %u %u %zu\n", lane, i, text.n);
	buf_str_add(&all, buf_str(&text));
	if (write(facts_fd, all.p, all.n) != (ssize_t)all.n)
		load_fail("cannot write the facts");
	buf_free(&text);
	buf_free(&all);
}

/* The text of a step; false: it was never reached. */
static bool
facts_find(str facts, unsigned lane, long step, str *text)
{
	while (facts.n > 0) {
		unsigned l;
		long i;
		size_t n;
		str line = str_cut(&facts, '\n');
		char head[100] = "";

		memcpy(head, line.p, MIN(line.n, sizeof(head) - 1));
		if (sscanf(head, "@ %u %ld %zu", &l, &i, &n) != 3)
			continue; /* the first line */
		*text = str_head(facts, n);
		if (l == lane && i == step)
			return true;
		facts = str_from(facts, n);
	}
	return false;
}

uint64_t
load_number(str facts, const char *key, unsigned nth)
{
	struct buf want = {0};
	uint64_t v = 0;

	buf_f(&want, "H %s\t", key);
	while (facts.n > 0) {
		str line = str_cut(&facts, '\n');

		if (!str_starts(line, buf_str(&want)))
			continue;
		line = str_from(line, want.n);
		for (unsigned i = 0; i <= nth; i++)
			if (!str_u64(str_cut(&line, ' '), &v))
				v = 0;
		break;
	}
	buf_free(&want);
	return v;
}

/* ---- running ---- */

static void
acknowledge(unsigned lane, unsigned i)
{
	char text[32];
	int n = path->lanes == 0
		    ? snprintf(text, sizeof(text), "%u", i)
		    : snprintf(text, sizeof(text), "%u lane%u", i, lane);

	/* Without a recorder there is no such descriptor. */
	(void)!write(RECLOG_ACK_FD, text, (size_t)n);
}

static void
steps(unsigned lane)
{
	facts_write(lane, 0);
	acknowledge(lane, 0);
	for (unsigned i = 1; i <= path->steps; i++) {
		clock_step(i);
		path->step(lane, i);
		facts_write(lane, i);
		acknowledge(lane, i);
	}
}

static void *
lane_main(void *arg)
{
	steps((unsigned)(uintptr_t)arg);
	return NULL;
}

static int
run(const char *dir)
{
	pthread_t t[LANES_MAX];

	clock_step(0);
	os_random_fix(7);
	load_ok(load->open(dir, path), "open");
	if (path->setup != NULL)
		path->setup();
	if (path->lanes == 0)
		steps(0);
	for (unsigned k = 0; k < path->lanes; k++)
		pthread_create(&t[k], NULL, lane_main, (void *)(uintptr_t)k);
	for (unsigned k = 0; k < path->lanes; k++)
		pthread_join(t[k], NULL);
	load->close();
	return 0;
}

/* ---- comparing ---- */

struct lines {
	str v[LINES_MAX];
	size_t n;
};

static void
lines_cut(struct lines *l, str text)
{
	l->n = 0;
	while (text.n > 0) {
		if (l->n == LINES_MAX)
			load_fail("too many lines");
		l->v[l->n++] = str_cut(&text, '\n');
	}
}

static str
key_of(str line)
{
	return str_cut(&line, '\t');
}

static bool
is_number(str line)
{
	return str_starts(line, S("H "));
}

/* The line of that key, or an empty one. */
static str
line_of(const struct lines *l, str key)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_eq(key_of(l->v[i]), key))
			return l->v[i];
	return STR_NONE;
}

static size_t
count(const struct lines *l, str line)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += str_eq(l->v[i], line);
	return n;
}

/* Whether the numbers of a line are at least those of the other. */
static bool
not_below(str have, str want)
{
	str_cut(&have, '\t');
	str_cut(&want, '\t');
	while (want.n > 0) {
		uint64_t a = 0;
		uint64_t b = 0;

		if (!str_u64(str_cut(&want, ' '), &b) ||
		    !str_u64(str_cut(&have, ' '), &a) || a < b)
			return false;
	}
	return true;
}

/* Whether the state is that one; *odd: the first line that is not. */
static bool
same(const struct lines *have, const struct lines *want, str *odd)
{
	for (size_t i = 0; i < want->n; i++) {
		str line = want->v[i];

		*odd = line;
		if (is_number(line)) {
			if (!not_below(line_of(have, key_of(line)), line))
				return false;
		} else if (count(have, line) != count(want, line)) {
			return false;
		}
	}
	for (size_t i = 0; i < have->n; i++) {
		*odd = have->v[i];
		if (!is_number(have->v[i]) && count(want, have->v[i]) == 0)
			return false;
	}
	return true;
}

static size_t
count_value(const struct lines *l, str value)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		str line = l->v[i];

		str_cut(&line, '\t');
		str_cut(&line, '\t');
		n += line.n > 0 && str_eq(line, value);
	}
	return n;
}

/* Whether the state lies between the two, each line by itself. What stands
 * behind a second tab is the thing itself: it is neither lost nor doubled
 * on its way. */
static bool
between(const struct lines *have, const struct lines *a, const struct lines *b,
    str *odd)
{
	for (size_t i = 0; i < have->n; i++) {
		*odd = have->v[i];
		if (is_number(*odd) || count(a, *odd) + count(b, *odd) > 0)
			continue;
		return false;
	}
	for (size_t i = 0; i < a->n; i++) {
		str line = a->v[i];
		str thing = line;
		size_t n, lo, hi;

		*odd = line;
		if (is_number(line)) {
			if (!not_below(line_of(have, key_of(line)), line))
				return false;
			continue;
		}
		if (line_of(b, key_of(line)).n > 0 &&
		    line_of(have, key_of(line)).n == 0)
			return false;
		str_cut(&thing, '\t');
		str_cut(&thing, '\t');
		n = count_value(have, thing);
		lo = MIN(count_value(a, thing), count_value(b, thing));
		hi = MAX(count_value(a, thing), count_value(b, thing));
		if (thing.n > 0 && (n < lo || n > hi))
			return false;
	}
	return true;
}

/* Whether all is there that the step does not touch. */
static bool
rest_there(const struct lines *have, const struct lines *a,
    const struct lines *b, str *odd)
{
	for (size_t i = 0; i < a->n; i++) {
		*odd = a->v[i];
		if (!is_number(*odd) && count(b, *odd) > 0 &&
		    count(have, *odd) == 0)
			return false;
	}
	return true;
}

static bool
unit_holds(const struct lines *have, const struct lines *a,
    const struct lines *b, str *odd)
{
	switch (path->unit) {
	case PER_MESSAGE:
		return between(have, a, b, odd);
	case PIECES:
		return rest_there(have, a, b, odd);
	default:
		return false;
	}
}

static void
compare(unsigned lane, long acked, str facts)
{
	static struct lines have, old, new;
	struct buf text = {0};
	str a = STR_NONE;
	str b = STR_NONE;
	str odd = STR_NONE;
	str odd_new = STR_NONE;
	bool next;

	if (!facts_find(facts, lane, acked, &a))
		load_fail("no facts of step %ld", acked);
	next = facts_find(facts, lane, acked + 1, &b);
	load->dump(lane, &text);
	lines_cut(&have, buf_str(&text));
	lines_cut(&old, a);
	lines_cut(&new, b);
	if (same(&have, &old, &odd) || (next && same(&have, &new, &odd_new)))
		;
	else if (!next || !unit_holds(&have, &old, &new, &odd_new))
		load_fail("lane %u is neither as step %ld left it (%.*s) nor "
			  "as the next would have (%.*s); it is\n%.*s",
		    lane, acked, STR_ARG(odd), STR_ARG(odd_new), (int)text.n,
		    text.p);
	if (load->go_on != NULL)
		load->go_on(lane, a);
	buf_free(&text);
}

/* The acknowledged step of a lane in "17" or "17 lane0,4 lane1"; -1: none. */
static long
acked_of(const char *acked, unsigned lane)
{
	while (*acked != '\0') {
		unsigned l = 0;
		long n = strtol(acked, NULL, 10);

		sscanf(acked, "%*d lane%u", &l);
		if (l == lane)
			return n;
		acked += strcspn(acked, ",");
		acked += *acked == ',';
	}
	return -1;
}

static int
verify(void *arg, const char *dir, const char *acked)
{
	const struct buf *facts = arg;
	enum err e;

	os_random_fix(11);
	clock_step(path->steps + 10);
	if ((e = load->open(dir, path)) != OK)
		load_fail("does not open: %s", err_name(e));
	load->check();
	for (unsigned k = 0; k < lanes(); k++) {
		long step = acked_of(acked, k);

		/* Before the setup was done, to open is all that is asked. */
		if (step >= 0)
			compare(k, step, buf_str(facts));
	}
	load->check();
	load->close();
	return 0;
}

static bool
path_set(str name)
{
	for (size_t i = 0; i < load->npaths; i++) {
		path = &load->paths[i];
		if (str_eq(name, str_c(path->name)))
			return true;
	}
	fprintf(stderr, "no path %.*s\n", STR_ARG(name));
	return false;
}

/* Only what a start does: for crashes in the middle of that. tell: also
 * tells the state, as facts of step 0. */
static int
recover(const char *name, const char *dir, bool tell)
{
	char real[4096];

	if (!path_set(str_c(name)) || realpath(dir, real) == NULL)
		return 2;
	os_random_fix(13);
	clock_step(path->steps + 5);
	load_ok(load->open(real, path), "open");
	if (tell) {
		printf("%s\n", name);
		fflush(stdout);
		facts_fd = STDOUT_FILENO;
		facts_write(0, 0);
	}
	load->close();
	return 0;
}

/* ---- the command line ---- */

static bool
facts_read(const char *file, struct buf *facts)
{
	str s;

	if (os_slurp(file, 1 << 28, facts) != OK)
		return false;
	s = buf_str(facts);
	return path_set(str_cut(&s, '\n'));
}

static int
main_run(const char *name, const char *dir, const char *file)
{
	char real[4096];

	if (!path_set(str_c(name)) || realpath(dir, real) == NULL)
		return 2;
	facts_fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	if (facts_fd < 0 || dprintf(facts_fd, "%s\n", name) < 0)
		return 2;
	return run(real);
}

int
load_main(int argc, char **argv, const struct load *l)
{
	struct buf facts = {0};
	const char *verb = argc > 1 ? argv[1] : "";

	load = l;
	limits_default(&limits);
	log_setup(l->name, LOG_ERROR);
	if (strcmp(verb, "paths") == 0) {
		for (size_t i = 0; i < l->npaths; i++)
			printf("%s\n", l->paths[i].name);
		return 0;
	}
	if (strcmp(verb, "run") == 0 && argc == 5)
		return main_run(argv[2], argv[3], argv[4]);
	if (strcmp(verb, "recover") == 0 && argc == 4)
		return recover(argv[2], argv[3], false);
	if (strcmp(verb, "tell") == 0 && argc == 4)
		return recover(argv[2], argv[3], true);
	if (strcmp(verb, "verify") == 0 && argc == 5 &&
	    facts_read(argv[4], &facts))
		return verify(&facts, argv[2], argv[3]);
	if (strcmp(verb, "replay") == 0 && argc >= 4 &&
	    facts_read(argv[2], &facts))
		return replay_main(argc - 3, argv + 3, verify, &facts);
	fprintf(stderr,
	    "usage: %s run PATH DIR FACTS | verify DIR ACKED FACTS\n"
	    "  | recover PATH DIR | tell PATH DIR\n"
	    "  | replay FACTS LOG [options] | paths\n",
	    l->name);
	return 2;
}
