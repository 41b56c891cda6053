/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The hook for faults. Built without RESTANTE_FAULTS it does nothing.
 *
 * (1) A call is counted once, by whoever makes it: os or a wrap of LMDB's.
 * (2) EINTR is never sticky: the calls that meet it are retried, and would
 *     be so for ever.
 * (3) The page of orders is written by a test while the processes run; it
 *     writes mask last, and what it writes is read anew at each call.
 */
#include "os/os_int.h"

#ifdef RESTANTE_FAULTS

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The file that $RESTANTE_FAULT_PAGE names, shared by all processes (3). */
struct orders {
	_Atomic int64_t wall_ms; /* added to the wall clock */
	_Atomic uint32_t mask;   /* of enum os_call; 0: no fault */
	_Atomic uint32_t error;
	_Atomic uint32_t sticky;
	_Atomic int32_t left; /* the call that makes it 0 fails */
	_Atomic uint32_t hits;
	char title[36]; /* only processes with this in their title */
};

static struct orders *orders;
static char own_title[64];

static struct {
	_Atomic unsigned mask; /* 0: no fault is set */
	_Atomic uint64_t at;
	_Atomic int error;
	_Atomic size_t short_by;
	_Atomic bool sticky;
	_Atomic uint64_t seen;
	_Atomic bool hit;
	bool told; /* in the log; set before there are threads */
} fault;

static bool
fault_memory(void)
{
	return os_fault(OS_MEMORY, NULL) != 0;
}

void
os_fault_set(unsigned mask, uint64_t n, int error, size_t short_by, bool sticky)
{
	atomic_store(&fault.mask, 0);
	atomic_store(&fault.at, n);
	atomic_store(&fault.error, error);
	atomic_store(&fault.short_by, short_by);
	atomic_store(&fault.sticky, sticky && error != EINTR); /* (2) */
	atomic_store(&fault.seen, 0);
	atomic_store(&fault.hit, false);
	mem_fault = (mask & 1u << OS_MEMORY) != 0 ? fault_memory : NULL;
	atomic_store(&fault.mask, mask);
}

void
os_fault_clear(void)
{
	atomic_store(&fault.mask, 0);
	mem_fault = NULL;
}

uint64_t
os_fault_calls(void)
{
	return atomic_load(&fault.seen);
}

bool
os_fault_hit(void)
{
	return atomic_load(&fault.hit);
}

/* What the page of orders says of this call. */
static int
ordered(enum os_call call, size_t *len)
{
	char title[sizeof(orders->title)];
	int32_t left;

	if ((atomic_load(&orders->mask) & 1u << call) == 0)
		return 0;
	memcpy(title, orders->title, sizeof(title));
	title[sizeof(title) - 1] = '\0';
	if (strstr(own_title, title) == NULL)
		return 0;
	left = atomic_fetch_sub(&orders->left, 1);
	if (left != 1 && !(left < 1 && atomic_load(&orders->sticky) != 0))
		return 0;
	atomic_fetch_add(&orders->hits, 1);
	if (len != NULL)
		*len = 0;
	return (int)atomic_load(&orders->error);
}

int64_t
fault_wall_ms(void)
{
	return orders != NULL ? atomic_load(&orders->wall_ms) : 0;
}

int
os_fault(enum os_call call, size_t *len)
{
	size_t short_by = atomic_load(&fault.short_by);
	uint64_t at = atomic_load(&fault.at);
	uint64_t n;
	int e;

	if (orders != NULL && (e = ordered(call, len)) != 0)
		return e;
	if ((atomic_load(&fault.mask) & 1u << call) == 0)
		return 0;
	n = atomic_fetch_add(&fault.seen, 1) + 1;
	if (n != at && !(n > at && atomic_load(&fault.sticky)))
		return 0;
	if (!atomic_exchange(&fault.hit, true) && fault.told)
		log_warn("a fault is put in", KV_N("call", n));
	if (len != NULL) {
		bool part = call == OS_WRITE && short_by > 0 && short_by < *len;

		*len = part ? *len - short_by : 0;
	}
	return atomic_load(&fault.error);
}

static const char *const kind_name[OS_CALL_MAX] = {
    [OS_OPEN] = "open",
    [OS_READ] = "read",
    [OS_WRITE] = "write",
    [OS_SYNC] = "sync",
    [OS_TRUNCATE] = "truncate",
    [OS_RENAME] = "rename",
    [OS_UNLINK] = "unlink",
    [OS_MKDIR] = "mkdir",
    [OS_ALLOCATE] = "allocate",
    [OS_ACCEPT] = "accept",
    [OS_SOCKET] = "socket",
    [OS_MEMORY] = "memory",
    [OS_LIST] = "list",
    [OS_STAT] = "stat",
};

static const struct {
	const char *name;
	int error;
} error_name[] = {
    {"EIO", EIO},
    {"ENOSPC", ENOSPC},
    {"EDQUOT", EDQUOT},
    {"EFBIG", EFBIG},
    {"EINTR", EINTR},
    {"EAGAIN", EAGAIN},
    {"EMFILE", EMFILE},
    {"ENFILE", ENFILE},
    {"ENOMEM", ENOMEM},
    {"EACCES", EACCES},
    {"EPERM", EPERM},
    {"EROFS", EROFS},
    {"ENOENT", ENOENT},
    {"ECONNABORTED", ECONNABORTED},
    {"ECONNRESET", ECONNRESET},
    {"EPIPE", EPIPE},
};

static unsigned
kinds_mask(str s)
{
	unsigned mask = 0;

	while (s.n > 0) {
		str one = str_cut(&s, '+');

		for (unsigned i = 0; i < OS_CALL_MAX; i++)
			if (str_eq(one, str_c(kind_name[i])))
				mask |= 1u << i;
	}
	return mask;
}

static int
error_number(str s)
{
	for (size_t i = 0; i < NELEM(error_name); i++)
		if (str_eq(s, str_c(error_name[i].name)))
			return error_name[i].error;
	return 0;
}

/* What $RESTANTE_FAULT asks for. */
static struct {
	unsigned mask;
	uint64_t n;
	int error;
	uint64_t short_by;
	bool sticky;
	str title; /* empty: any */
} wish;

/* "write+sync:17:ENOSPC[:short][:sticky][:in=TITLE]" */
static bool
wish_parse(str s)
{
	wish.mask = kinds_mask(str_cut(&s, ':'));
	if (wish.mask == 0 || !str_u64(str_cut(&s, ':'), &wish.n))
		return false;
	if ((wish.error = error_number(str_cut(&s, ':'))) == 0)
		return false;
	while (s.n > 0) {
		str word = str_cut(&s, ':');

		if (str_eq(word, S("sticky")))
			wish.sticky = true;
		else if (str_eq(word, S("short")))
			wish.short_by = 1;
		else if (str_starts(word, S("in=")))
			wish.title = str_from(word, 3);
		else if (!str_u64(word, &wish.short_by))
			return false;
	}
	return true;
}

static void
wish_set(void)
{
	fault.told = true;
	os_fault_set(
	    wish.mask, wish.n, wish.error, (size_t)wish.short_by, wish.sticky);
}

static void
orders_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *p;

	if (fd < 0)
		log_panic("RESTANTE_FAULT_PAGE cannot be opened");
	p = mmap(
	    NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		log_panic("RESTANTE_FAULT_PAGE cannot be mapped");
	orders = p;
}

/* Read before main, so that no call is missed; children inherit what is
 * set. The copy is kept: os_title may overwrite the environment. */
__attribute__((constructor)) static void
fault_from_environment(void)
{
	static char copy[256];
	const char *s = getenv("RESTANTE_FAULT_PAGE");

	if (s != NULL)
		orders_map(s);
	if ((s = getenv("RESTANTE_FAULT")) == NULL)
		return;
	snprintf(copy, sizeof(copy), "%s", s);
	if (!wish_parse(str_c(copy)))
		log_panic("RESTANTE_FAULT makes no sense");
	if (wish.title.n == 0)
		wish_set();
}

void
fault_title(const char *title)
{
	snprintf(own_title, sizeof(own_title), "%s", title);
	if (wish.title.n > 0 &&
	    str_find(str_c(title), wish.title) < strlen(title))
		wish_set();
}

#else

void
fault_title(const char *title)
{
}

int64_t
fault_wall_ms(void)
{
	return 0;
}

void
os_fault_set(unsigned mask, uint64_t n, int error, size_t short_by, bool sticky)
{
}

void
os_fault_clear(void)
{
}

uint64_t
os_fault_calls(void)
{
	return 0;
}

bool
os_fault_hit(void)
{
	return false;
}

int
os_fault(enum os_call call, size_t *len)
{
	return 0;
}

#endif
