/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The tests of the room os. */
#include "t_os.h"

#include <signal.h>
#include <unistd.h>

#include "litter.h"

char work[64];

const char *
in_work(const char *name)
{
	static char path[10][256];
	static unsigned at;

	at = (at + 1) % 10;
	snprintf(path[at], sizeof(path[at]), "%s/%s", work, name);
	return path[at];
}

int
main(int argc, char **argv)
{
	int failed;

	if (argc == 2 && strcmp(argv[1], "fault_again") == 0)
		return fault_again();
	if (litter_make(work, "/tmp", "t_os") == NULL)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	failed = t_file() + t_fault() + t_lmdb() + t_clock() + t_addr() +
		 t_socket() + t_process() + t_box();
	return failed == 0 ? 0 : 1;
}
