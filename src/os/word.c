/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Waiting for a word to change (futex(2)).
 */
#include <linux/futex.h>
#include <sys/syscall.h>

#include "os/os_int.h"

void
os_word_wait(_Atomic uint32_t *word, uint32_t is)
{
	/* Whatever it returns, the caller looks. */
	(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, is, NULL, NULL, 0);
}

void
os_word_wake(_Atomic uint32_t *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
