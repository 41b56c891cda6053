/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The grants that auth has given and nobody has used yet.
 *
 * (1) A grant is found by its number alone and then must fit in all else;
 *     one that does not fit is used up too: whoever presents it for another
 *     connection is not to try again.
 * (2) Their number is bounded: past it, the expired go, and then new ones
 *     are refused, so that a flood of recipients costs no memory.
 */
#include <pthread.h>
#include <time.h>

#include "daemon/mail_int.h"

#define GRANTS_MAX 262144
#define VALID_MAX_MS (3600 * 1000)
#define WAIT_MS 1000
#define SLICE_MS 20

struct held {
	struct grant g;
	str name;
};
struct grants {
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct map *by_number; /* lock */
	void (*hear)(void *arg);
	void *arg;
};

struct grants *
grants_new(void)
{
	struct grants *g = x_alloc(sizeof(*g));

	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->came, NULL);
	g->by_number = map_new();
	return g;
}

void
grants_hear(struct grants *g, void (*hear)(void *arg), void *arg)
{
	g->hear = hear;
	g->arg = arg;
}

static void
held_free(struct held *h)
{
	x_wipe(h->g.number, sizeof(h->g.number));
	x_free_str(&h->name);
	x_free(&h);
}

void
grants_free(struct grants **gp)
{
	struct grants *g = *gp;
	size_t at = 0;
	void *v;
	str key;

	*gp = NULL;
	if (g == NULL)
		return;
	while (map_next(g->by_number, &at, &key, &v))
		held_free(v);
	map_free(&g->by_number);
	pthread_mutex_destroy(&g->lock);
	pthread_cond_destroy(&g->came);
	x_free(&g);
}

/* Frees those for which gone says so. The lock is held. */
static void
sweep(struct grants *g, uint64_t account, int64_t now)
{
	size_t at = 0;
	void *v;
	str key;

	while (map_next(g->by_number, &at, &key, &v)) {
		struct held *h = v;

		if (h->g.account != account && h->g.expires_ms > now)
			continue;
		map_del(g->by_number, key);
		held_free(h);
	}
}

void
grants_expire(struct grants *g)
{
	pthread_mutex_lock(&g->lock);
	sweep(g, 0, os_mono_ms());
	pthread_mutex_unlock(&g->lock);
}

void
grants_revoke(struct grants *g, uint64_t account)
{
	pthread_mutex_lock(&g->lock);
	sweep(g, account, os_mono_ms());
	pthread_mutex_unlock(&g->lock);
}

bool
grants_add(struct grants *g, struct msg *m)
{
	struct held *h = x_alloc(sizeof(*h)), *old;
	uint32_t valid;

	msg_get_bytes(m, h->g.number, sizeof(h->g.number));
	h->g.kind = msg_get_u8(m);
	h->g.protocol = msg_get_u8(m);
	h->g.account = msg_get_u64(m);
	h->name = x_dup(msg_get_str(m));
	h->g.front = msg_get_u32(m);
	h->g.conn = msg_get_u64(m);
	valid = msg_get_u32(m);
	if (!msg_end(m) || h->g.account == 0 || valid > VALID_MAX_MS ||
	    (h->g.kind != GRANT_LOGIN && h->g.kind != GRANT_APPEND)) {
		held_free(h);
		return false;
	}
	h->g.expires_ms = os_mono_ms() + valid;
	pthread_mutex_lock(&g->lock);
	if (map_count(g->by_number) >= GRANTS_MAX)
		sweep(g, 0, os_mono_ms());
	if (map_count(g->by_number) >= GRANTS_MAX) {
		log_warn("too many grants are unused");
		old = h;
	} else {
		old = map_put(
		    g->by_number, str_of(h->g.number, sizeof(h->g.number)), h);
	}
	pthread_cond_broadcast(&g->came);
	pthread_mutex_unlock(&g->lock);
	if (old != NULL)
		held_free(old);
	return true;
}

/* auth tells us before it tells whoever presents the grant: it has come, if
 * only as far as the channel, where nobody may have a thread to take it from.
 * But what found no room in there comes later. The lock is held. */
static struct held *
wait_for(struct grants *g, str number)
{
	struct timespec t;
	struct held *h;

	for (int i = 0; i < WAIT_MS / SLICE_MS; i++) {
		if ((h = map_del(g->by_number, number)) != NULL)
			return h;
		if (g->hear != NULL) {
			pthread_mutex_unlock(&g->lock);
			g->hear(g->arg);
			pthread_mutex_lock(&g->lock);
			if ((h = map_del(g->by_number, number)) != NULL)
				return h;
		}
		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += SLICE_MS * 1000000;
		if (t.tv_nsec >= 1000000000) {
			t.tv_sec++;
			t.tv_nsec -= 1000000000;
		}
		(void)pthread_cond_timedwait(&g->came, &g->lock, &t);
	}
	return NULL;
}

enum err
grants_take(struct grants *g, const struct grant_wanted *want,
    struct grant *out, str *name)
{
	struct held *h;
	enum err e = OK;

	*name = STR_NONE;
	pthread_mutex_lock(&g->lock);
	h = wait_for(g, str_of(want->number, sizeof(h->g.number)));
	pthread_mutex_unlock(&g->lock);
	if (h == NULL)
		return ERR_DENIED;
	if (h->g.kind != want->kind || h->g.protocol != want->protocol ||
	    h->g.front != want->front || h->g.conn != want->conn ||
	    h->g.expires_ms <= os_mono_ms()) {
		e = ERR_DENIED;
	} else {
		*out = h->g;
		*name = h->name;
		h->name = STR_NONE;
	}
	held_free(h);
	return e;
}
