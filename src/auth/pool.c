/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The threads that hash. Jobs wait in bounded queues; what is finished
 * waits in another for the serving thread, which an eventfd wakes.
 *
 * (1) A job belongs to the pool from pool_put until its done is called.
 * (2) Guesses come in crowds. Who is in doubt, or already waits with another
 *     login, lets others go first, three times out of four; so whoever has
 *     done nothing wrong waits for hashes of a few, not of the crowd (R35).
 */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "auth/auth_int.h"

struct queue {
	struct job *first, **last;
};

struct pool {
	pthread_mutex_t mu; /* guards the queues, their sizes and stop */
	pthread_cond_t more;
	struct queue todo, doubtful, finished;
	unsigned turn; /* (2) */
	size_t waiting, max;
	bool stop;
	int fd;
	void *arg;
	unsigned nthreads;
	pthread_t thread[];
};

static void
queue_add(struct queue *q, struct job *j)
{
	j->next = NULL;
	*q->last = j;
	q->last = &j->next;
}

static struct job *
queue_take(struct queue *q)
{
	struct job *j = q->first;

	if (j != NULL && (q->first = j->next) == NULL)
		q->last = &q->first;
	return j;
}

/* (2) */
static struct job *
next_job(struct pool *p)
{
	bool theirs = p->turn % 4 == 3;
	struct job *j = queue_take(theirs ? &p->doubtful : &p->todo);

	if (j == NULL)
		j = queue_take(theirs ? &p->todo : &p->doubtful);
	p->turn += j != NULL;
	return j;
}

static bool
waits(const struct queue *q, uint64_t who)
{
	const struct job *j = who != 0 ? q->first : NULL;

	while (j != NULL && j->who != who)
		j = j->next;
	return j != NULL;
}

static void
wake(int fd)
{
	uint64_t one = 1;

	(void)os_write_all(fd, &one, sizeof(one));
}

static void *
work(void *arg)
{
	struct pool *p = arg;
	struct job *j;

	pthread_mutex_lock(&p->mu);
	while (!p->stop) {
		if ((j = next_job(p)) == NULL) {
			pthread_cond_wait(&p->more, &p->mu);
			continue;
		}
		p->waiting--;
		pthread_mutex_unlock(&p->mu);
		j->run(j);
		pthread_mutex_lock(&p->mu);
		queue_add(&p->finished, j);
		wake(p->fd);
	}
	pthread_mutex_unlock(&p->mu);
	return NULL;
}

struct pool *
pool_new(unsigned threads, size_t queue_max, void *arg)
{
	struct pool *p;
	sigset_t all, old;

	p = x_alloc(sizeof(*p) + threads * sizeof(p->thread[0]));
	pthread_mutex_init(&p->mu, NULL);
	pthread_cond_init(&p->more, NULL);
	p->todo.last = &p->todo.first;
	p->doubtful.last = &p->doubtful.first;
	p->finished.last = &p->finished.first;
	p->max = queue_max;
	p->arg = arg;
	if ((p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		log_error("no eventfd", KV_ERRNO(errno));
		pool_free(&p);
		return NULL;
	}
	/* Signals are for the serving thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (; p->nthreads < threads; p->nthreads++)
		if (pthread_create(&p->thread[p->nthreads], NULL, work, p) != 0)
			break;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (p->nthreads == 0) {
		log_error("no thread can be started");
		pool_free(&p);
	}
	return p;
}

int
pool_fd(const struct pool *p)
{
	return p->fd;
}

bool
pool_put(struct pool *p, struct job *j)
{
	bool room;

	pthread_mutex_lock(&p->mu);
	if ((room = p->waiting < p->max)) {
		p->waiting++;
		queue_add(j->doubtful || waits(&p->todo, j->who) ? &p->doubtful
								 : &p->todo,
		    j);
		pthread_cond_signal(&p->more);
	}
	pthread_mutex_unlock(&p->mu);
	return room;
}

void
pool_reap(struct pool *p)
{
	struct job *j, *next;
	uint64_t n;

	(void)os_read(p->fd, &n, sizeof(n));
	pthread_mutex_lock(&p->mu);
	j = p->finished.first;
	p->finished.first = NULL;
	p->finished.last = &p->finished.first;
	pthread_mutex_unlock(&p->mu);
	for (; j != NULL; j = next) {
		next = j->next;
		j->done(j, p->arg);
	}
}

void
pool_free(struct pool **pp)
{
	struct pool *p = *pp;
	struct job *j;

	if (p == NULL)
		return;
	pthread_mutex_lock(&p->mu);
	p->stop = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->mu);
	for (unsigned i = 0; i < p->nthreads; i++)
		pthread_join(p->thread[i], NULL);
	while (
	    (j = queue_take(&p->finished)) != NULL || (j = next_job(p)) != NULL)
		j->done(j, p->arg);
	if (p->fd >= 0)
		os_close(&p->fd);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->mu);
	x_free(pp);
}
