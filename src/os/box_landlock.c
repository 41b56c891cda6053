/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Landlock, by system call number: what the kernel offers is found out at
 * run time, so the constants of the newest rules are written down here.
 *
 * (1) All rights that the kernel's version knows are handled, which means
 *     denied; then the folder's rule gives back what a store needs. What
 *     the kernel does not know is left to seccomp and to the user.
 * (2) Rules add up on the way from a file to the root, so a folder cannot
 *     be taken out of another. Where only some of a folder may be touched,
 *     it gives its names alone, and each of the some its contents; a file
 *     moved in from elsewhere would gain rights, which the kernel refuses.
 */
#include "os/box_int.h"

#include <fcntl.h>

struct ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

struct path_beneath {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

enum { VERSION = 1, PATH_BENEATH = 1 };

enum fs_right {
	FS_EXECUTE,
	FS_WRITE_FILE,
	FS_READ_FILE,
	FS_READ_DIR,
	FS_REMOVE_DIR,
	FS_REMOVE_FILE,
	FS_MAKE_CHAR,
	FS_MAKE_DIR,
	FS_MAKE_REG,
	FS_MAKE_SOCK,
	FS_MAKE_FIFO,
	FS_MAKE_BLOCK,
	FS_MAKE_SYM,
	FS_REFER,    /* version 2 */
	FS_TRUNCATE, /* version 3 */
	FS_IOCTL_DEV /* version 5 */
};
#define RIGHT(r) (UINT64_C(1) << (r))
#define STORE_RIGHTS                                                       \
	(RIGHT(FS_WRITE_FILE) | RIGHT(FS_READ_FILE) | RIGHT(FS_READ_DIR) | \
	    RIGHT(FS_REMOVE_DIR) | RIGHT(FS_REMOVE_FILE) |                 \
	    RIGHT(FS_MAKE_DIR) | RIGHT(FS_MAKE_REG) | RIGHT(FS_REFER) |    \
	    RIGHT(FS_TRUNCATE))

#define NAME_RIGHTS                                                          \
	(RIGHT(FS_READ_DIR) | RIGHT(FS_REMOVE_DIR) | RIGHT(FS_REMOVE_FILE) | \
	    RIGHT(FS_MAKE_DIR) | RIGHT(FS_MAKE_REG))
#define FILE_RIGHTS \
	(RIGHT(FS_WRITE_FILE) | RIGHT(FS_READ_FILE) | RIGHT(FS_TRUNCATE))

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

/* What this version of the kernel's rules can deny: (1). Returns the size
 * of the structure that it knows. */
static size_t
ruleset_of(int abi, struct ruleset *r)
{
	*r = (struct ruleset){.fs = RIGHT(FS_REFER) - 1};
	if (abi >= 2)
		r->fs |= RIGHT(FS_REFER);
	if (abi >= 3)
		r->fs |= RIGHT(FS_TRUNCATE);
	if (abi >= 5)
		r->fs |= RIGHT(FS_IOCTL_DEV);
	if (abi >= 4)
		r->net = 3; /* TCP: bind, connect */
	if (abi >= 6)
		r->scoped = 3; /* abstract sockets, signals */
	if (abi < 4)
		return offsetof(struct ruleset, net);
	return abi < 6 ? offsetof(struct ruleset, scoped) : sizeof(*r);
}

/* A file or a folder; a file has no rights of names. */
static int
allow_beneath(int rules, int at, const char *path, uint64_t rights)
{
	struct path_beneath rule = {.allowed = rights};
	int fd = openat(at, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return -1;
	rule.fd = fd;
	if ((r = fstat(fd, &st)) == 0) {
		if (!S_ISDIR(st.st_mode))
			rule.allowed &= FILE_RIGHTS;
		r = (int)syscall(
		    SYS_landlock_add_rule, rules, PATH_BENEATH, &rule, 0);
	}
	os_close(&fd);
	return r;
}

static int
allow_all(int rules, const char *dir, const char *const *within, uint64_t fs)
{
	int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (at < 0)
		return -1;
	r = allow_beneath(rules, at, ".",
	    (within == NULL ? STORE_RIGHTS : NAME_RIGHTS) & fs); /* (2) */
	for (; r == 0 && within != NULL && *within != NULL; within++) {
		r = allow_beneath(rules, at, *within, STORE_RIGHTS & fs);
		if (r != 0 && errno == ENOENT)
			r = 0;
	}
	os_close(&at);
	return r;
}

enum err
landlock_enter(const char *dir, const char *const *within, int *abi)
{
	struct ruleset r;
	size_t size;
	int rules;
	int v = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION);

	*abi = 0;
	if (v <= 0)
		return OK; /* a kernel without it, or with it switched off */
	size = ruleset_of(v, &r);
	rules = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
	if (rules < 0)
		return err_errno(errno);
	if ((dir != NULL && allow_all(rules, dir, within, r.fs) != 0) ||
	    syscall(SYS_landlock_restrict_self, rules, 0) != 0) {
		enum err e = err_errno(errno);

		log_error("landlock", KV_ERRNO(errno));
		os_close(&rules);
		return e;
	}
	os_close(&rules);
	*abi = v;
	return OK;
}
