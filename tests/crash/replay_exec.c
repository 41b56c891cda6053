/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * replay LOG [options] -- CHECKER [arguments]: runs a program on each
 * state. {dir} and {acked} in its arguments are replaced.
 */
#include "replay.h"

#include <stdio.h>
#include <unistd.h>

#define ARGS_MAX 64

static int
exec_check(void *arg, const char *dir, const char *acked)
{
	char **argv = arg;
	char *out[ARGS_MAX + 1] = {NULL};

	for (int i = 0; i < ARGS_MAX && argv[i] != NULL; i++) {
		out[i] = argv[i];
		if (strcmp(argv[i], "{dir}") == 0)
			out[i] = x_cstr(str_c(dir));
		else if (strcmp(argv[i], "{acked}") == 0)
			out[i] = x_cstr(str_c(acked));
	}
	execvp(out[0], out);
	fprintf(stderr, "cannot run %s\n", out[0]);
	return 127;
}

int
main(int argc, char **argv)
{
	int n = 1;

	while (n < argc && strcmp(argv[n], "--") != 0)
		n++;
	if (n + 1 >= argc) {
		fprintf(stderr,
		    "usage: replay LOG [options] -- CHECKER [arguments]\n");
		return 2;
	}
	return replay_main(n - 1, argv + 1, exec_check, argv + n + 1);
}
