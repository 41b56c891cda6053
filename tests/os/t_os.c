/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The tests of the room os. */
#include "t_os.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

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

static void
remove_work(void)
{
	DIR *d = opendir(work);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && unlink(in_work(e->d_name)) != 0)
			rmdir(in_work(e->d_name));
	if (d != NULL)
		closedir(d);
	rmdir(work);
}

int
main(int argc, char **argv)
{
	int failed;

	if (argc == 2 && strcmp(argv[1], "fault_again") == 0)
		return fault_again();
	snprintf(work, sizeof(work), "/tmp/t_os.XXXXXX");
	if (mkdtemp(work) == NULL)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	failed = t_file() + t_fault() + t_lmdb() + t_clock() + t_addr() +
		 t_socket() + t_process() + t_box();
	remove_work();
	return failed == 0 ? 0 : 1;
}
