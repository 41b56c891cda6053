/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* What a process and all its descendants use: see proc.h. */
#include "proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROCS_MAX 65536

struct proc {
	int pid, ppid;
	double ticks; /* its own */
	double child_ticks;
	char in; /* of the tree */
};

static struct proc *procs;
static int procs_n;

static void
read_one(int pid)
{
	char path[64], b[1024], *p;
	unsigned long u, s, cu, cs;
	int ppid;
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return;
	n = fread(b, 1, sizeof b - 1, f);
	fclose(f);
	b[n] = '\0';
	p = strrchr(b, ')');
	/* state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt
	 * utime stime cutime cstime: those of ended children are in the last. */
	if (!p ||
	    sscanf(p + 1,
		" %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu",
		&ppid, &u, &s, &cu, &cs) != 5)
		return;
	if (procs_n < PROCS_MAX)
		procs[procs_n++] = (struct proc){
		    pid, ppid, (double)(u + s), (double)(cu + cs), 0};
}

/* Marks the descendants of the root. */
static void
scan(int root)
{
	struct dirent *e;
	DIR *d = opendir("/proc");
	int found;

	if (!procs)
		procs = calloc(PROCS_MAX, sizeof *procs);
	procs_n = 0;
	if (!d || !procs)
		return;
	while ((e = readdir(d)))
		if (atoi(e->d_name) > 0)
			read_one(atoi(e->d_name));
	closedir(d);
	do {
		found = 0;
		for (int i = 0; i < procs_n; i++) {
			int in = procs[i].pid == root;

			for (int k = 0; !in && k < procs_n; k++)
				in = procs[k].in &&
				     procs[k].pid == procs[i].ppid;
			if (in && !procs[i].in)
				found = procs[i].in = 1;
		}
	} while (found);
}

/* Of a process's threads to the nanosecond, where the kernel tells; of those
 * that have ended only the ticks of the whole process know. */
static double
exact(int pid)
{
	char path[320];
	struct dirent *e;
	double t = 0;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		unsigned long long ns;
		FILE *f;

		snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid,
		    e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%llu", &ns) == 1)
			t += (double)ns / 1e9;
		fclose(f);
	}
	if (d)
		closedir(d);
	return t;
}

double
proc_cpu(int root)
{
	double hz = (double)sysconf(_SC_CLK_TCK);

	double t = 0;

	scan(root);
	for (int i = 0; i < procs_n; i++) {
		double own = procs[i].ticks / hz, x;

		if (!procs[i].in)
			continue;
		x = exact(procs[i].pid);
		t += (x > own ? x : own) + procs[i].child_ticks / hz;
	}
	return t;
}

double
proc_machine(void)
{
	unsigned long user, nice, sys, irq, soft;
	FILE *f = fopen("/proc/stat", "r");
	int n = 0;

	if (f) {
		n = fscanf(f, "cpu %lu %lu %lu %*u %*u %lu %lu", &user, &nice,
		    &sys, &irq, &soft);
		fclose(f);
	}
	return n == 5 ? (double)(user + nice + sys + irq + soft) /
			    (double)sysconf(_SC_CLK_TCK)
		      : 0;
}

double
proc_memory(int root)
{
	double total = 0;

	scan(root);
	for (int i = 0; i < procs_n; i++) {
		char path[64], b[256];
		FILE *f;

		if (!procs[i].in)
			continue;
		snprintf(
		    path, sizeof path, "/proc/%d/smaps_rollup", procs[i].pid);
		f = fopen(path, "r");
		while (f && fgets(b, sizeof b, f)) {
			long kb;

			if (sscanf(b, "Pss_Anon: %ld", &kb) == 1 ||
			    sscanf(b, "Pss_Shmem: %ld", &kb) == 1)
				total += (double)kb * 1024;
		}
		if (f)
			fclose(f);
	}
	return total;
}
