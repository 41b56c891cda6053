/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The box: what a process gives up before it meets a stranger's bytes.
 *
 * (1) The order matters: the root directory while we may change it, the
 *     user while we may change it, then the last capabilities, then the
 *     fences that nobody can take down again.
 * (2) What was asked for and cannot be had is an error: no process runs
 *     with less of a box than it was told. Landlock alone degrades, and
 *     says so, for kernels differ.
 * (3) Changing the user makes the kernel forget that we die with our
 *     parent and that we leave no core: both are said again.
 */
#include "os/box_int.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

/* Into a directory that is empty and has no name any more, so that it will
 * stay empty. */
static int
enter_empty(void)
{
	char run[] = "/run/restante.XXXXXX";
	char tmp[] = "/tmp/restante.XXXXXX";
	char *dir = mkdtemp(run);

	if (dir == NULL)
		dir = mkdtemp(tmp);
	if (dir == NULL)
		return -1;
	if (chmod(dir, 0) != 0 || chdir(dir) != 0 || rmdir(dir) != 0)
		return -1;
	return chroot(".") == 0 ? chdir("/") : -1;
}

static int
change_user(const struct os_box_opts *o)
{
	bool root = geteuid() == 0;

	if (o->uid == (uid_t)-1)
		return 0;
	if (root && setgroups(0, NULL) != 0)
		return -1;
	if (o->gid != (gid_t)-1 && setresgid(o->gid, o->gid, o->gid) != 0)
		return -1;
	return setresuid(o->uid, o->uid, o->uid);
}

static void
drop_bounding(void)
{
	/* Without CAP_SETPCAP there is nothing in it that we could regain:
	 * no_new_privs sees to it. */
	for (int i = 0; i <= CAP_LAST_CAP; i++)
		(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

static int
drop_capabilities(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct none[2] = {{0}, {0}};

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return (int)syscall(SYS_capset, &h, none);
}

/* DAC_OVERRIDE: a new certificate of another user's is read, sockets in
 * other users' folders are removed at the end; SETPCAP: a child empties its
 * bounding set. All are among the first 32. */
enum {
	FEW = 1 << CAP_DAC_OVERRIDE | 1 << CAP_KILL | 1 << CAP_SETGID |
	      1 << CAP_SETUID | 1 << CAP_SETPCAP | 1 << CAP_SYS_CHROOT
};

enum err
os_keep_few_rights(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{0}, {0}};
	uint32_t few = geteuid() == 0 ? (uint32_t)FEW : 0;

	if (syscall(SYS_capget, &h, d) != 0)
		return err_errno(errno);
	for (int i = 0; i <= CAP_LAST_CAP; i++)
		if (i >= 32 || (few & 1u << i) == 0)
			(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* What is lacking already, in a container say, cannot be had. */
	few &= d[0].permitted;
	d[0] = (struct __user_cap_data_struct){few, few, 0};
	d[1] = (struct __user_cap_data_struct){0};
	if (syscall(SYS_capset, &h, d) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_errno(errno);
	return OK;
}

/* (3): with_parent is what was in force before. */
static int
die_with(pid_t parent, int with_parent)
{
	if (with_parent == 0)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, with_parent) != 0)
		return -1;
	if (getppid() != parent)
		raise(SIGKILL); /* it died meanwhile */
	return 0;
}

static int
give_up_rights(const struct os_box_opts *o)
{
	pid_t parent = getppid();
	int with_parent = 0;

	tzset(); /* while its file can be read */
	(void)prctl(PR_GET_PDEATHSIG, &with_parent);
	if (o->chroot_empty && geteuid() == 0 && enter_empty() != 0)
		return -1;
	drop_bounding();
	if (change_user(o) != 0 || drop_capabilities() != 0)
		return -1;
	if (die_with(parent, with_parent) != 0)
		return -1;
	os_no_core();
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

enum err
os_box_enter(enum os_box box, const struct os_box_opts *o, int *landlock_abi)
{
	enum err e;

	*landlock_abi = 0;
	if (give_up_rights(o) != 0) {
		e = err_errno(errno);
		log_error("cannot give up rights", KV_ERRNO(errno));
		return e == OK ? ERR_DENIED : e;
	}
	if (box == BOX_NONE)
		return OK;
#ifndef RESTANTE_WIDE_SECCOMP
	/* After chroot the folder's path means nothing: no rule for it. */
	if ((e = landlock_enter(o->chroot_empty ? NULL : o->dir, o->within,
		 landlock_abi)) != OK)
		return e;
#endif
	return seccomp_enter(box);
}
