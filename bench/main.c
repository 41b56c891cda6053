/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The command line of restante-bench. */
#include "bench.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct options opt = {.conns = 1,
    .count = 100,
    .size = 4096,
    .rcpts = 1,
    .batch = 1,
    .users = 1,
    .kind = "text",
    .arg = "",
    .password = "bench"};

static const struct workload *const groups[] = {workloads_lmtp, workloads_imap,
    workloads_fetch, workloads_pop3, workloads_idle};

static void
usage(void)
{
	fputs("usage: restante-bench WORKLOAD [--lmtp PORT] [--imap PORT]"
	      " [--imaps PORT]\n"
	      "  [--pop3 PORT] [--pop3s PORT] [--root PID] [--conns N]"
	      " [--count N] [--size BYTES]\n"
	      "  [--rcpts N] [--batch N] [--first USER] [--users N]"
	      " [--kind text|mixed|attachment|list|file]\n"
	      "  [--mail FILE] [--distinct N] [--arg TEXT] [--password WORD]"
	      " [--seed N] [--tls] [--one]\n"
	      "Loads the server on 127.0.0.1; its accounts are u0, u1, ..."
	      " Prints figures, one a line.\n"
	      "--root is the server's first process, whose CPU time is taken"
	      " with that of all its children.\n\n",
	    stderr);
	for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
		for (const struct workload *w = groups[g]; w->name; w++)
			fprintf(stderr, "  %-10s %s\n", w->name, w->help);
	exit(64);
}

static long
number(const char *s)
{
	char *e;
	long n = strtol(s, &e, 10);

	if (*s == '\0' || *e != '\0' || n < 0) {
		fprintf(stderr, "restante-bench: not a number: %s\n", s);
		exit(64);
	}
	return n;
}

static void
options(int ac, char **av)
{
	static const struct option names[] = {{"lmtp", 1, 0, 'l'},
	    {"imap", 1, 0, 'i'}, {"imaps", 1, 0, 'I'}, {"pop3", 1, 0, 'p'},
	    {"pop3s", 1, 0, 'P'}, {"root", 1, 0, 'r'}, {"conns", 1, 0, 'c'},
	    {"count", 1, 0, 'n'}, {"size", 1, 0, 's'}, {"rcpts", 1, 0, 'R'},
	    {"batch", 1, 0, 'b'}, {"first", 1, 0, 'f'}, {"users", 1, 0, 'u'},
	    {"kind", 1, 0, 'k'}, {"arg", 1, 0, 'a'}, {"password", 1, 0, 'w'},
	    {"seed", 1, 0, 'S'}, {"mail", 1, 0, 'm'}, {"distinct", 1, 0, 'd'},
	    {"tls", 0, 0, 't'}, {"one", 0, 0, 'o'}, {0}};
	int o;

	while ((o = getopt_long(ac, av, "", names, NULL)) != -1) {
		switch (o) {
		case 'l':
			opt.lmtp = (int)number(optarg);
			break;
		case 'i':
			opt.imap = (int)number(optarg);
			break;
		case 'I':
			opt.imaps = (int)number(optarg);
			break;
		case 'p':
			opt.pop3 = (int)number(optarg);
			break;
		case 'P':
			opt.pop3s = (int)number(optarg);
			break;
		case 'r':
			opt.root = (int)number(optarg);
			break;
		case 'c':
			opt.conns = (int)number(optarg);
			break;
		case 'n':
			opt.count = number(optarg);
			break;
		case 's':
			opt.size = (size_t)number(optarg);
			break;
		case 'R':
			opt.rcpts = number(optarg);
			break;
		case 'b':
			opt.batch = (int)number(optarg);
			break;
		case 'f':
			opt.first = (int)number(optarg);
			break;
		case 'u':
			opt.users = (int)number(optarg);
			break;
		case 'k':
			opt.kind = optarg;
			break;
		case 'a':
			opt.arg = optarg;
			break;
		case 'w':
			opt.password = optarg;
			break;
		case 'S':
			opt.seed = (uint64_t)number(optarg);
			break;
		case 'm':
			opt.mail = optarg;
			break;
		case 'd':
			opt.distinct = number(optarg);
			break;
		case 't':
			opt.tls = true;
			break;
		case 'o':
			opt.one = true;
			break;
		default:
			usage();
		}
	}
	if (opt.distinct == 0 || opt.distinct > opt.count)
		opt.distinct = opt.count;
	if (opt.conns < 1 || opt.users < 1 || opt.rcpts < 1 || opt.batch < 1 ||
	    opt.count < 1)
		usage();
}

int
main(int ac, char **av)
{
	struct rlimit r;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	options(ac, av);
	if (optind != ac - 1)
		usage();
	for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
		for (const struct workload *w = groups[g]; w->name; w++)
			if (strcmp(w->name, av[optind]) == 0) {
				run_all(w);
				return 0;
			}
	usage();
}
