/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What every child does first: it enters the box of its kind.
 */
#include <stdio.h>

#include "daemon/daemon_int.h"
#include "store/store.h"

void
child_rest(void *arg)
{
	os_memory_rest();
}

enum err
child_box(const struct child *c)
{
	static const enum os_box boxes[] = {
	    [PROC_SUPERVISOR] = BOX_NONE,
	    [PROC_FRONT] = BOX_FRONT,
	    [PROC_INTAKE] = BOX_FRONT,
	    [PROC_AUTH] = BOX_AUTH,
	    [PROC_KEYS] = BOX_KEYS,
	    [PROC_MAIL] = BOX_MAIL,
	};
	static const char *const store[] = {STORE_NAMES, NULL};
	struct os_box_opts o = {.uid = c->uid, .gid = c->gid};
	struct buf dir = {0};
	char *path = NULL;
	int abi = 0;
	enum err e;

	if (c->kind == PROC_MAIL || c->kind == PROC_AUTH) {
		buf_f(
		    &dir, "%s%s", c->data, c->kind == PROC_AUTH ? "/auth" : "");
		path = x_cstr(buf_str(&dir));
		o.dir = path;
		/* Under one user only this keeps secrets and keys from mail;
		 * with users of their own it is the users. */
		if (c->kind == PROC_MAIL && c->uid == (uid_t)-1) {
			store_prepare(c->data);
			o.within = store;
		}
	} else {
		o.chroot_empty = c->uid != (uid_t)-1;
	}
	if ((e = os_box_enter(boxes[c->kind], &o, &abi)) != OK)
		log_error("cannot enter the box", KV_ERR(e));
	else
		log_info("in the box", KV_N("landlock_abi", abi));
	x_free(&path);
	buf_free(&dir);
	return e;
}
