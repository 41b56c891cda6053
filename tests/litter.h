/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The folders of a test. Their names carry its process, KIND.PID.XXXXXX:
 *
 * (1) They go when the program ends, also when a failed assert has passed
 *     over their removal.
 * (2) What a program left that was killed goes when the next one starts.
 */
#ifndef TESTS_LITTER_H
#define TESTS_LITTER_H

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LITTER_MAX 64
static char litter_made[LITTER_MAX][64];
static pid_t litter_pid;
static pthread_mutex_t litter_mu = PTHREAD_MUTEX_INITIALIZER;

static inline int
litter_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	return remove(path);
}

/* With all that is in it. */
static inline int
litter_remove(const char *path)
{
	pthread_mutex_lock(&litter_mu);
	for (int i = 0; i < LITTER_MAX; i++)
		if (strcmp(litter_made[i], path) == 0)
			litter_made[i][0] = '\0';
	pthread_mutex_unlock(&litter_mu);
	return nftw(path, litter_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* (1); not in a child that was forked. */
static inline void
litter_at_exit(void)
{
	if (getpid() != litter_pid)
		return;
	for (int i = 0; i < LITTER_MAX; i++)
		if (litter_made[i][0] != '\0')
			nftw(litter_made[i], litter_one, 16,
			    FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* (2): ours, and of a process that has gone. */
static inline void
litter_sweep(const char *top)
{
	DIR *d = opendir(top);
	struct dirent *e;
	struct stat st;
	char path[512], *p, *end;
	long pid;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, "t_", 2) != 0 &&
		    strncmp(e->d_name, "fuzz_", 5) != 0)
			continue;
		if ((p = strchr(e->d_name, '.')) == NULL)
			continue;
		pid = strtol(p + 1, &end, 10);
		if (end == p + 1 || *end != '.' || pid <= 1 ||
		    kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			continue;
		snprintf(path, sizeof(path), "%s/%s", top, e->d_name);
		if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
		    st.st_uid == geteuid())
			nftw(path, litter_one, 16,
			    FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	}
	if (d != NULL)
		closedir(d);
}

/* Makes such a folder in top; NULL: $TMPDIR, or /tmp. NULL: it failed. */
static inline char *
litter_make(char path[64], const char *top, const char *kind)
{
	const char *tmp = getenv("TMPDIR");
	char *made;

	if (top == NULL)
		top = tmp != NULL && strlen(tmp) < 32 ? tmp : "/tmp";
	pthread_mutex_lock(&litter_mu);
	if (litter_pid == 0) {
		litter_pid = getpid();
		atexit(litter_at_exit);
		litter_sweep(top);
	}
	snprintf(path, 64, "%s/%s.%d.XXXXXX", top, kind, (int)getpid());
	made = mkdtemp(path);
	for (int i = 0; i < LITTER_MAX && made != NULL; i++)
		if (litter_made[i][0] == '\0') {
			memcpy(litter_made[i], path, 64);
			break;
		}
	pthread_mutex_unlock(&litter_mu);
	return made;
}

#endif
