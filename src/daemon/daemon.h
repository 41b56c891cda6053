/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * daemon: the server's processes. docs/design.md draws them.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "daemon/settings.h"

/* Serves until SIGTERM or SIGINT. data: absolute path of the data directory,
 * made when missing. *s may be replaced: at SIGHUP reload(arg) gives settings
 * read anew, or NULL, having logged why not. Prints one line per listener
 * when it is ready, and tells an error in one line. Returns an exit code of
 * sysexits.h. */
int daemon_serve(struct settings **s, const char *data,
    struct settings *(*reload)(void *arg), void *arg);

#endif
