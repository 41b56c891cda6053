/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * replay: makes the states that a power cut could have left, one after the
 * other, and runs a checker on each. As a library, so that a checker need
 * not be started anew each time: it runs in a forked child.
 */
#ifndef TESTS_CRASH_REPLAY_H
#define TESTS_CRASH_REPLAY_H

#include "base/base.h"

/* 0: the state is good; prints what is wrong. acked: the last number of
 * each kind of acknowledgement: "17", or "17 text,4 other", "" when there
 * is none. Runs in a child; dir is its own to change. */
typedef int replay_check(void *arg, const char *dir, const char *acked);

/* argv: LOG [options]; see usage in replay.c. Returns the exit status:
 * 0 all good, 1 bad states, 2 trouble. */
int replay_main(int argc, char **argv, replay_check *check, void *arg);

#endif
