/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The folder of a store, for fuzz targets: made once, emptied for each
 * input, gone when the program ends.
 */
#ifndef TESTS_FUZZ_FOLDER_H
#define TESTS_FUZZ_FOLDER_H

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "litter.h"

enum folder_in { IN_TOP, IN_LOG, IN_INDEX, IN_RUN, FOLDERS };

static char dir[64];
static DIR *folder[FOLDERS];
static const char *const folder_names[FOLDERS] = {".", "log", "index", "run"};

static void
folder_empty(void)
{
	for (int i = 0; i < FOLDERS; i++) {
		struct dirent *e;

		rewinddir(folder[i]);
		while ((e = readdir(folder[i])) != NULL)
			if (e->d_type == DT_REG)
				unlinkat(dirfd(folder[i]), e->d_name, 0);
	}
}

static void
folder_make(const char *name)
{
	FUZZ_TRUE(litter_make(dir,
		      access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
		      name) != NULL);
	for (int i = 0; i < FOLDERS; i++) {
		char path[100];

		snprintf(path, sizeof(path), "%s/%s", dir, folder_names[i]);
		FUZZ_TRUE(i == IN_TOP || mkdir(path, 0700) == 0);
		folder[i] = opendir(path);
		FUZZ_TRUE(folder[i] != NULL);
	}
}

static void
folder_put(enum folder_in in, const char *name, str s)
{
	int fd = openat(dirfd(folder[in]), name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	FUZZ_TRUE(fd >= 0 && write(fd, s.p, s.n) == (ssize_t)s.n);
	close(fd);
}

#endif
