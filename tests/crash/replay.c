/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Walks a log once, stops at the points that were chosen, makes some states
 * at each and has them checked.
 *
 * (1) A point is after a change or an acknowledgement; a flush has no
 *     effect before the point after it.
 * (2) State K stands at point K / per_point and has dice of its own, made
 *     of the seed and K: so it can be made again alone. The same seed and
 *     --states are needed, for they choose the points.
 * (3) A state that is no other than one already checked is not counted.
 */
#include "replay.h"
#include "fsmodel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_SECONDS 30
#define BAD_SHOWN 3
#define BAD_MAX 1000 /* then it is hopeless: the rest is not tried */
#define KINDS 16     /* of acknowledgements */

static const char usage[] =
    "usage: LOG [--states N] [--seed S] [--from ACK] [--state K]\n"
    "  [--keep DIR] [--base DIR] [--scratch DIR] [--dump DIR] [--quiet]\n"
    "  [--acked]\n"
    "--from: only points after this was acknowledged; --state: that state\n"
    "alone; --keep: bad states are put there; --base: what was there\n"
    "before the log; --dump: with --state, makes it there, unchecked;\n"
    "--acked: says what was acknowledged last, and how many changes were\n"
    "made, no more\n";

struct ack {
	char text[64];
	long number;
};

struct replay {
	const char *log_path, *keep, *base, *dump;
	char scratch[256];
	uint64_t states, seed;
	long from;
	int64_t only; /* a state's number, or -1 */
	bool quiet, acked_only;
	replay_check *check;
	void *arg;

	const char *log;
	uint64_t log_n;
	uint64_t mutations; /* as the recorder counts them */
	struct fs *fs;
	struct ack acks[KINDS];
	size_t nacks;
	char acked[KINDS * 96];
	uint64_t points; /* in the log */
	uint64_t per_point;
	uint64_t nth;   /* every point is used, or one in so many by chance */
	uint64_t *seen; /* hashes; open addressing, 0: free */
	size_t seen_cap;
	uint64_t tried, bad;
};

static _Noreturn void
trouble(const char *what)
{
	fprintf(stderr, "replay: %s\n", what);
	exit(2);
}

/* ---- the log ---- */

static void
log_map(struct replay *rp)
{
	int fd = open(rp->log_path, O_RDONLY | O_CLOEXEC);
	const struct reclog *l;
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size < RECLOG_HEAD)
		trouble("no log");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		trouble("cannot map the log");
	close(fd);
	l = p;
	if (memcmp(l->magic, RECLOG_MAGIC, 8) != 0)
		trouble("not a log");
	if (l->overflowed || l->end > (uint64_t)st.st_size - RECLOG_HEAD)
		trouble("the log was too small: RECORD_SIZE");
	rp->log = (const char *)p + RECLOG_HEAD;
	rp->log_n = l->end;
	rp->mutations = l->mutations;
}

/* The record at *at, which moves behind it; NULL at the end. */
static const struct reclog_rec *
log_next(const struct replay *rp, uint64_t *at)
{
	const struct reclog_rec *r;

	if (*at >= rp->log_n)
		return NULL;
	r = (const struct reclog_rec *)(const void *)(rp->log + *at);
	*at += sizeof(*r) + ((r->len + 7u) & ~7u);
	return r;
}

static void
acked_print(struct replay *rp)
{
	char *p = rp->acked;
	char *end = rp->acked + sizeof(rp->acked);

	for (size_t i = 0; i < rp->nacks; i++)
		p += snprintf(p, (size_t)(end - p), "%s%ld%s%s",
		    i > 0 ? "," : "", rp->acks[i].number,
		    rp->acks[i].text[0] != '\0' ? " " : "", rp->acks[i].text);
}

static void
ack_take(struct replay *rp, const char *p, size_t n)
{
	struct ack a = {.text = ""};
	char copy[128] = "";
	size_t i = 0;

	memcpy(copy, p, MIN(n, sizeof(copy) - 1));
	if (sscanf(copy, "%ld %63[^\n]", &a.number, a.text) < 1)
		trouble("an acknowledgement without a number");
	while (i < rp->nacks && strcmp(rp->acks[i].text, a.text) != 0)
		i++;
	if (i == KINDS)
		trouble("too many kinds of acknowledgements");
	rp->acks[i] = a;
	if (i == rp->nacks)
		rp->nacks++;
	acked_print(rp);
}

/* Takes one record; true: a point is here. (1) */
static bool
take(struct replay *rp, const struct reclog_rec *r)
{
	const char *bytes = (const char *)(r + 1);
	char path[8192];
	const char *why;

	if (r->op == REC_ACK) {
		ack_take(rp, bytes, r->len);
		return true;
	}
	if (r->op == REC_OPEN || (r->op >= REC_RENAME && r->op <= REC_MKDIR)) {
		if (r->len >= sizeof(path))
			trouble("a path that is too long");
		memcpy(path, bytes, r->len);
		path[r->len] = '\0';
		bytes = path;
	}
	if (!fs_apply(rp->fs, r, bytes, &why)) {
		fprintf(stderr, "replay: record of kind %u, %s\n", r->op, why);
		exit(2);
	}
	return r->op != REC_RANGE && r->op != REC_MAPPED &&
	       (r->op != REC_OPEN || (r->at & (O_CREAT | O_TRUNC)));
}

static bool
beyond(const struct replay *rp)
{
	if (rp->from < 0)
		return true;
	for (size_t i = 0; i < rp->nacks; i++)
		if (rp->acks[i].number >= rp->from)
			return true;
	return false;
}

static void
begin(struct replay *rp)
{
	fs_free(&rp->fs);
	rp->fs = fs_new(rp->base);
	rp->nacks = 0;
	rp->acked[0] = '\0';
}

/* Counts the points, and so decides how many states each will have. */
static void
survey(struct replay *rp)
{
	const struct reclog_rec *r;
	uint64_t at = 0;

	rp->fs = fs_new(rp->base);
	while ((r = log_next(rp, &at)) != NULL)
		if (take(rp, r) && beyond(rp))
			rp->points++;
	if (rp->acked_only)
		return;
	if (rp->points == 0)
		trouble("nothing was recorded");
	rp->nth = 1;
	while (rp->points / (rp->nth + 1) * 4 >= rp->states)
		rp->nth++;
	/* Some will be the same as others (3). */
	rp->per_point = rp->states * rp->nth * 4 / (rp->points * 3) + 1;
	rp->per_point = MAX(4u, rp->per_point);
}

/* ---- one state ---- */

static bool
seen_before(struct replay *rp, uint64_t hash)
{
	size_t i;

	for (size_t k = 0; rp->acked[k] != '\0'; k++)
		hash = (hash ^ (unsigned char)rp->acked[k]) * 0x100000001b3u;
	hash |= hash == 0;
	i = hash & (rp->seen_cap - 1);
	while (rp->seen[i] != 0 && rp->seen[i] != hash)
		i = (i + 1) & (rp->seen_cap - 1);
	if (rp->seen[i] == hash)
		return true;
	rp->seen[i] = hash;
	return false;
}

static uint64_t
make(struct replay *rp, uint64_t number, const char *dir)
{
	static const enum loss first[] = {LOSS_ALL, LOSS_NOTHING, LOSS_NAMES};
	uint64_t v = number % rp->per_point;
	struct dice d = {rp->seed * 0x2545f4914f6cdd1du + number};

	return fs_place(
	    rp->fs, v < NELEM(first) ? first[v] : LOSS_SOME, &d, dir);
}

static int
child_run(struct replay *rp, int out)
{
	pid_t pid;
	int st;

	fflush(stdout);
	if ((pid = fork()) < 0)
		trouble("cannot fork");
	if (pid == 0) {
		int r;

		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
		alarm(CHECK_SECONDS);
		r = rp->check(rp->arg, rp->scratch, rp->acked);
		fflush(NULL);
		_exit(r);
	}
	while (waitpid(pid, &st, 0) < 0)
		if (errno != EINTR)
			trouble("cannot wait");
	return st;
}

/* The bad state as it was, for whoever wants to look. */
static void
keep(struct replay *rp, uint64_t number, const char *said)
{
	char dir[512];
	FILE *f;

	(void)mkdir(rp->keep, 0700);
	snprintf(dir, sizeof(dir), "%s/state-%llu", rp->keep,
	    (unsigned long long)number);
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		trouble("cannot keep the bad state");
	make(rp, number, dir);
	snprintf(dir, sizeof(dir), "%s/state-%llu.txt", rp->keep,
	    (unsigned long long)number);
	if ((f = fopen(dir, "w")) == NULL)
		return;
	fprintf(f,
	    "acknowledged: %s\n"
	    "again: replay %s --states %llu --seed %llu --from %ld --state "
	    "%llu\n"
	    "%s\n",
	    rp->acked, rp->log_path, (unsigned long long)rp->states,
	    (unsigned long long)rp->seed, rp->from, (unsigned long long)number,
	    said);
	fclose(f);
}

static void
report(struct replay *rp, uint64_t number, int st, int out)
{
	char said[2000] = "";
	ssize_t n = pread(out, said, sizeof(said) - 1, 0);

	said[n > 0 ? n : 0] = '\0';
	if (rp->bad++ >= BAD_SHOWN)
		return;
	printf("bad state %llu, acknowledged \"%s\", %s %d: %s\n",
	    (unsigned long long)number, rp->acked,
	    WIFSIGNALED(st) ? "signal" : "exit",
	    WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st),
	    rp->quiet ? "" : said);
	if (rp->keep != NULL)
		keep(rp, number, said);
}

static void
try_state(struct replay *rp, uint64_t number, int out)
{
	uint64_t hash = make(rp, number, rp->scratch);
	int st;

	if (rp->only < 0 && seen_before(rp, hash)) /* (3) */
		return;
	if (ftruncate(out, 0) != 0 || lseek(out, 0, SEEK_SET) != 0)
		trouble("cannot empty the checker's output");
	rp->tried++;
	if ((st = child_run(rp, out)) != 0)
		report(rp, number, st, out);
}

static void
dump(struct replay *rp)
{
	make(rp, (uint64_t)rp->only, rp->dump);
	printf("acknowledged %s\n", rp->acked);
}

static bool
chosen(const struct replay *rp, uint64_t point)
{
	struct dice d = {rp->seed * 0x9fb21c651e98df25u + point / rp->nth};

	return point % rp->nth == dice_throw(&d, rp->nth);
}

static void
walk(struct replay *rp, int out)
{
	const struct reclog_rec *r;
	uint64_t point = 0;
	uint64_t at = 0;

	begin(rp);
	while ((r = log_next(rp, &at)) != NULL && rp->bad < BAD_MAX) {
		uint64_t first;

		if (!take(rp, r) || !beyond(rp))
			continue;
		first = point * rp->per_point;
		if (rp->only >= 0) {
			if (point++ != (uint64_t)rp->only / rp->per_point)
				continue;
			if (rp->dump != NULL)
				dump(rp);
			else
				try_state(rp, (uint64_t)rp->only, out);
			return;
		}
		if (!chosen(rp, point++))
			continue;
		for (uint64_t v = 0; v < rp->per_point; v++)
			try_state(rp, first + v, out);
	}
}

/* ---- options ---- */

static bool
option(struct replay *rp, const char *name, const char *value)
{
	if (strcmp(name, "--states") == 0)
		rp->states = strtoull(value, NULL, 10);
	else if (strcmp(name, "--seed") == 0)
		rp->seed = strtoull(value, NULL, 10);
	else if (strcmp(name, "--from") == 0)
		rp->from = strtol(value, NULL, 10);
	else if (strcmp(name, "--state") == 0)
		rp->only = strtoll(value, NULL, 10);
	else if (strcmp(name, "--keep") == 0)
		rp->keep = value;
	else if (strcmp(name, "--base") == 0)
		rp->base = value;
	else if (strcmp(name, "--dump") == 0)
		rp->dump = value;
	else if (strcmp(name, "--scratch") == 0)
		snprintf(rp->scratch, sizeof(rp->scratch), "%s", value);
	else
		return false;
	return true;
}

static void
options(struct replay *rp, int argc, char **argv)
{
	rp->states = 1000;
	rp->seed = 1;
	rp->from = -1;
	rp->only = -1;
	if (argc < 1)
		trouble(usage);
	rp->log_path = argv[0];
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quiet") == 0)
			rp->quiet = true;
		else if (strcmp(argv[i], "--acked") == 0)
			rp->acked_only = true;
		else if (i + 1 >= argc || !option(rp, argv[i], argv[i + 1]))
			trouble(usage);
		else
			i++;
	}
	if (rp->states == 0 || (rp->dump != NULL && rp->only < 0))
		trouble(usage);
}

/* Memory, when there is room: half a gigabyte is more than enough. */
static void
scratch_make(struct replay *rp)
{
	const char *tmp = getenv("TMPDIR");

	if (rp->scratch[0] != '\0')
		return;
	/* The name says whose it is: tests/litter.py takes away what is left
	 * when we are killed. */
	snprintf(rp->scratch, sizeof(rp->scratch), "%s/replay.%d.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm"
	    : tmp != NULL                 ? tmp
					  : "/tmp",
	    (int)getpid());
	if (mkdtemp(rp->scratch) == NULL)
		trouble("cannot make a scratch directory");
}

static void
scratch_drop(struct replay *rp)
{
	struct dice d = {1};

	fs_free(&rp->fs);
	rp->fs = fs_new(NULL);
	fs_place(rp->fs, LOSS_ALL, &d, rp->scratch);
	(void)rmdir(rp->scratch);
	fs_free(&rp->fs);
}

int
replay_main(int argc, char **argv, replay_check *check, void *arg)
{
	struct replay rp = {.check = check, .arg = arg};
	int64_t start = 0;
	int out;

	options(&rp, argc, argv);
	log_map(&rp);
	if (rp.acked_only) {
		survey(&rp);
		printf(
		    "%s\n%llu\n", rp.acked, (unsigned long long)rp.mutations);
		return 0;
	}
	scratch_make(&rp);
	for (rp.seen_cap = 1024; rp.seen_cap < rp.states * 8;)
		rp.seen_cap *= 2;
	rp.seen = x_array(rp.seen_cap, sizeof(*rp.seen));
	survey(&rp);
	out = memfd_create("said", MFD_CLOEXEC);
	if (out < 0)
		trouble("no memory for the checker's output");
	start = time(NULL);
	walk(&rp, out);
	close(out);
	scratch_drop(&rp);
	x_free(&rp.seen);
	if (rp.dump != NULL)
		return 0;
	printf("states %llu bad %llu points %llu per point %llu seconds %lld "
	       "seed %llu\n",
	    (unsigned long long)rp.tried, (unsigned long long)rp.bad,
	    (unsigned long long)(rp.points / rp.nth),
	    (unsigned long long)rp.per_point, (long long)(time(NULL) - start),
	    (unsigned long long)rp.seed);
	return rp.bad > 0;
}
