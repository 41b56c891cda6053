/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The names of the kinds of failure, and the kind of an errno value.
 */
#include "base/base.h"

#include <errno.h>

static const char *const names[ERR_MAX] = {
    [OK] = "ok",
    [ERR_NOTFOUND] = "not found",
    [ERR_EXISTS] = "exists",
    [ERR_INVALID] = "invalid",
    [ERR_LIMIT] = "limit",
    [ERR_TOOBIG] = "too big",
    [ERR_DENIED] = "denied",
    [ERR_CANNOT] = "cannot",
    [ERR_READONLY] = "read-only",
    [ERR_FULL] = "disk full",
    [ERR_OVERQUOTA] = "over quota",
    [ERR_IO] = "i/o error",
    [ERR_CORRUPT] = "corrupt",
    [ERR_BUSY] = "busy",
    [ERR_UNAVAILABLE] = "unavailable",
    [ERR_NOMEM] = "no memory",
    [ERR_EXPUNGED] = "expunged",
    [ERR_AUTH] = "refused",
    [ERR_TIMEOUT] = "timeout",
};

const char *
err_name(enum err e)
{
	if ((unsigned)e >= ERR_MAX || names[e] == NULL)
		return "unknown";
	return names[e];
}

enum err
err_errno(int error)
{
	switch (error) {
	case 0:
		return OK;
	case ENOENT:
	case ENOTDIR:
		return ERR_NOTFOUND;
	case EEXIST:
		return ERR_EXISTS;
	case EINVAL:
	case ENAMETOOLONG:
		return ERR_INVALID;
	case EMFILE:
	case ENFILE:
		return ERR_LIMIT;
	case EACCES:
	case EPERM:
		return ERR_DENIED;
	case EROFS:
		return ERR_READONLY;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return ERR_FULL;
	case EWOULDBLOCK:
	case EBUSY:
		return ERR_BUSY;
	case ECONNREFUSED:
	case ECONNRESET:
	case EPIPE:
	case ENOTCONN:
		return ERR_UNAVAILABLE;
	case ENOMEM:
		return ERR_NOMEM;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	default:
		return ERR_IO;
	}
}
