/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * A message on its way in: see data.h.
 *
 * (1) One state machine, fed in pieces of any size, gives the same result
 *     for every cutting of the same bytes.
 * (2) A line begins after CR LF and nowhere else; so only CR LF . CR LF
 *     ends the data, and only there a leading dot is dropped. After a bare
 *     LF that is made into CR LF no line begins in this sense.
 * (3) A message that will be refused is no longer kept, only watched for
 *     its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "lmtp/data.h"
#include "ipc/ipc.h"
#include "os/os.h"

void
data_begin(struct data *d, bool fix_lf)
{
	*d = (struct data){.fix_lf = fix_lf, .fd = -1};
}

void
data_free(struct data *d)
{
	if (d->map != NULL)
		munmap(d->map, d->size);
	if (d->fd >= 0)
		os_close(&d->fd);
	buf_free(&d->mem);
	*d = (struct data){.fd = -1};
}

static void
fault(struct data *d, enum data_fault why)
{
	d->faults |= why;
	buf_free(&d->mem);
	d->mem = (struct buf){0};
	if (d->fd >= 0)
		os_close(&d->fd);
}

/* Larger than what travels within a message between processes, it will be a
 * file in any case. */
static size_t
memory_max(void)
{
	return MIN(limits.spool_memory_max, MSG_INLINE_MAX);
}

static void
flush(struct data *d)
{
	if (d->fd < 0 && (d->fd = os_memfd("message")) < 0) {
		log_warn("no memory for a message", KV_ERRNO(errno));
		fault(d, DATA_NOMEM);
		return;
	}
	if (os_write_all(d->fd, d->mem.p, d->mem.n) != 0) {
		log_warn("no memory for a message", KV_ERRNO(errno));
		fault(d, DATA_NOMEM);
		return;
	}
	buf_reset(&d->mem);
}

void
data_add(struct data *d, str in)
{
	d->size += in.n;
	if (d->size > limits.message_size_max) {
		if ((d->faults & DATA_TOOBIG) == 0)
			limit_hit(LIMIT_message_size_max, STR_NONE);
		fault(d, DATA_TOOBIG);
	}
	if (d->faults != DATA_GOOD)
		return;
	buf_str_add(&d->mem, in);
	if (d->mem.failed)
		fault(d, DATA_NOMEM);
	else if (d->mem.n > memory_max())
		flush(d);
}

/* A run of message bytes that came by DATA. */
static void
keep(struct data *d, const char *from, const char *to)
{
	size_t n = (size_t)(to - from);

	if (n == 0)
		return;
	if (memchr(from, 0, n) != NULL)
		fault(d, DATA_NUL);
	data_add(d, str_of(from, n));
}

/* Within a line: moves p behind the next thing that matters. */
static const char *
middle(struct data *d, const char **from, const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));
	const char *cr = memchr(p, '\r', (size_t)((lf != NULL ? lf : end) - p));

	if (cr != NULL) {
		d->at = AT_CR;
		return cr + 1;
	}
	d->at = AT_MID;
	if (lf == NULL)
		return end;
	if (!d->fix_lf) {
		fault(d, DATA_BARE_LF);
		return lf + 1;
	}
	keep(d, *from, lf);
	data_add(d, S("\r\n"));
	*from = lf + 1;
	return lf + 1;
}

size_t
data_eat(struct data *d, str in, bool *done)
{
	const char *p = in.p, *end = in.p + in.n, *from = in.p;

	*done = false;
	while (p < end) {
		switch (d->at) {
		case AT_BOL:
			if (*p != '.') {
				p = middle(d, &from, p, end);
				break;
			}
			keep(d, from, p);
			from = ++p;
			d->at = AT_DOT;
			break;
		case AT_MID:
			p = middle(d, &from, p, end);
			break;
		case AT_CR:
			if (*p == '\n') {
				p++;
				d->at = AT_BOL;
				break;
			}
			fault(d, DATA_BARE_CR);
			d->at = AT_MID;
			break;
		case AT_DOT:
			if (*p != '\r') {
				d->at = AT_MID;
				break;
			}
			from = ++p;
			d->at = AT_DOT_CR;
			break;
		case AT_DOT_CR:
			if (*p == '\n') {
				*done = true;
				return (size_t)(p + 1 - in.p);
			}
			fault(d, DATA_BARE_CR);
			d->at = AT_MID;
			break;
		}
	}
	keep(d, from, end);
	return in.n;
}

enum err
data_whole(struct data *d, str *whole)
{
	if (d->fd < 0) {
		*whole = buf_str(&d->mem);
		return OK;
	}
	if (d->mem.n > 0)
		flush(d);
	if (d->faults != DATA_GOOD)
		return ERR_NOMEM;
	if (fcntl(d->fd, F_ADD_SEALS,
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
		return ERR_NOMEM;
	d->map = mmap(NULL, d->size, PROT_READ, MAP_SHARED, d->fd, 0);
	if (d->map == MAP_FAILED) {
		d->map = NULL;
		return ERR_NOMEM;
	}
	*whole = str_of(d->map, d->size);
	return OK;
}
