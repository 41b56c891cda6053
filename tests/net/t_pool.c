/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The pool's ownership protocol: one owner at a time, no lost poke, no lost
 * message, ids that have gone are harmless. Run under ThreadSanitizer too.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include <fcntl.h>

#include "t_net.h"

/* ---- a session that checks that it is alone ---- */

struct guest {
	atomic_int inside;
	atomic_uint pokes;
	conn_id id;
	unsigned lines, mails, timers;
	bool closed;
};

static atomic_uint g_open, g_closed, g_mail_in, g_mail_dropped, g_overlap;
static atomic_uint g_spins;

static void
enter(struct guest *g)
{
	if (atomic_fetch_add(&g->inside, 1) != 0)
		atomic_fetch_add(&g_overlap, 1);
}

static void
leave(struct guest *g)
{
	atomic_fetch_sub(&g->inside, 1);
}

static enum gather
guest_gather(struct conn *c)
{
	struct guest *g = conn_user(c);
	enum gather r = GATHER_MORE;
	str in = conn_input(c);

	enter(g);
	if (str_chr(in, '\n') < in.n)
		r = GATHER_RUN;
	leave(g);
	return r;
}

static enum next
guest_run(struct conn *c, enum why why)
{
	struct guest *g = conn_user(c);
	enum next next = NEXT_INPUT;
	void *m;

	enter(g);
	for (unsigned i = 0; i < atomic_load(&g_spins); i++)
		__asm__ volatile("");
	while ((m = conn_mail(c)) != NULL) {
		atomic_fetch_add(&g_mail_in, 1);
		g->mails++;
		free(m);
	}
	switch (why) {
	case WHY_OPEN:
		atomic_fetch_add(&g_open, 1);
		break;
	case WHY_INPUT: {
		str in = conn_input(c);
		str line = str_head(in, str_chr(in, '\n'));

		g->lines++;
		if (str_eq(line, S("quit")))
			next = NEXT_CLOSE;
		else if (str_eq(line, S("wait")))
			next = NEXT_WAIT;
		else if (str_eq(line, S("hold")))
			next = NEXT_HOLD;
		else if (str_eq(line, S("timer")))
			conn_timer(c, 5);
		out_str(c, line);
		out_s(c, "\n");
		conn_eat(c, line.n + 1);
		break;
	}
	case WHY_POKE:
		atomic_fetch_add(&g->pokes, 1);
		break;
	case WHY_TIMER:
		g->timers++;
		break;
	case WHY_MORE:
		break;
	case WHY_STOP:
		out_s(c, "bye\n");
		next = NEXT_CLOSE;
		break;
	}
	leave(g);
	return next;
}

static void
guest_closed(struct conn *c)
{
	struct guest *g = conn_user(c);

	enter(g);
	assert_false(g->closed);
	g->closed = true;
	atomic_fetch_add(&g_closed, 1);
	leave(g);
}

static const struct service guest_service = {.name = "guest",
    .gather = guest_gather,
    .run = guest_run,
    .closed = guest_closed};

static void
counters_reset(void)
{
	g_open = g_closed = g_mail_in = g_mail_dropped = g_overlap = 0;
	g_spins = 0;
}

static void
mail_drop(void *m)
{
	atomic_fetch_add(&g_mail_dropped, 1);
	free(m);
}

static struct net *
pool(unsigned lo, unsigned hi)
{
	struct net_opts o = {
	    .threads_min = lo, .threads_max = hi, .conns_max = 600};

	counters_reset();
	return net_new(&o);
}

/* ---- one thread, step by step ---- */

static void
echoes(void **state)
{
	struct net *n = pool(0, 1);
	struct guest g = {0};
	int peer = pair_add(n, &guest_service, &g, &g.id);

	peer_write(peer, "hel");
	steps(n);
	assert_int_equal(g.lines, 0);
	peer_write(peer, "lo\nand\npipe");
	steps(n);
	assert_int_equal(g.lines, 2);
	peer_expect(n, peer, "hello\nand\n");
	peer_write(peer, "d\nquit\n");
	steps(n);
	peer_expect(n, peer, "piped\nquit\n");
	assert_true(g.closed);
	assert_true(peer_eof(peer));
	assert_int_equal(net_count(n), 0);
	close(peer);
	net_free(&n);
}

static void
poke_while_waiting(void **state)
{
	struct net *n = pool(0, 1);
	struct guest g = {0};
	int peer = pair_add(n, &guest_service, &g, &g.id);

	peer_write(peer, "wait\nnext\n");
	steps(n);
	assert_int_equal(g.lines, 1); /* input is not looked at */
	conn_poke(n, g.id);
	steps(n);
	assert_int_equal(g.pokes, 1);
	assert_int_equal(g.lines, 2);
	close(peer);
	steps(n);
	assert_true(g.closed);
	net_free(&n);
}

static void
hangup_while_waiting(void **state)
{
	struct net *n = pool(0, 1);
	struct guest g = {0};
	int peer = pair_add(n, &guest_service, &g, &g.id);

	peer_write(peer, "wait\n");
	steps(n);
	close(peer);
	steps(n);
	assert_true(g.closed);
	net_free(&n);
}

/* What was said before goes out with the answer, in one piece. */
static void
hold_keeps_replies(void **state)
{
	struct net *n = pool(0, 1);
	struct guest g = {0};
	int peer = pair_add(n, &guest_service, &g, &g.id);
	char reply[64];

	peer_write(peer, "a\nhold\nnext\n");
	steps(n);
	assert_int_equal(g.lines, 2);
	assert_true(recv(peer, reply, sizeof(reply), MSG_DONTWAIT) < 0);
	conn_poke(n, g.id);
	steps(n);
	assert_int_equal(g.pokes, 1);
	assert_int_equal(g.lines, 3);
	assert_int_equal(recv(peer, reply, sizeof(reply), MSG_DONTWAIT), 12);
	assert_memory_equal(reply, "a\nhold\nnext\n", 12);
	/* Who has gone meanwhile is noticed afterwards. */
	peer_write(peer, "hold\n");
	steps(n);
	close(peer);
	steps(n);
	assert_false(g.closed);
	conn_poke(n, g.id);
	steps(n);
	assert_true(g.closed);
	net_free(&n);
}

static void
timer_rings_once(void **state)
{
	struct net *n = pool(0, 1);
	struct guest g = {0};
	int peer = pair_add(n, &guest_service, &g, &g.id);
	int64_t end = os_mono_ms() + 2000;

	peer_write(peer, "timer\n");
	while (g.timers == 0 && os_mono_ms() < end)
		net_step(n, 10);
	assert_int_equal(g.timers, 1);
	for (int i = 0; i < 10; i++)
		net_step(n, 10);
	assert_int_equal(g.timers, 1);
	close(peer);
	net_free(&n);
}

/* An id that has gone is harmless, though its slot is in use again. */
static void
stale_ids(void **state)
{
	struct net *n = pool(0, 1);
	struct guest a = {0}, b = {0};
	int p = pair_add(n, &guest_service, &a, &a.id), q;

	steps(n);
	close(p);
	steps(n);
	assert_true(a.closed);
	q = pair_add(n, &guest_service, &b, &b.id);
	steps(n);
	assert_int_equal(a.id >> 32, b.id >> 32); /* the same slot */
	assert_true(a.id != b.id);
	conn_poke(n, a.id);
	conn_post(n, a.id, malloc(1), mail_drop);
	assert_false(net_kick(n, a.id));
	conn_post(n, 0, malloc(1), mail_drop);
	conn_post(n, 0x7fffffffffffffff, malloc(1), mail_drop);
	steps(n);
	assert_int_equal(b.pokes, 0);
	assert_int_equal(b.mails, 0);
	assert_int_equal(g_mail_dropped, 3);
	conn_post(n, b.id, malloc(1), mail_drop);
	steps(n);
	assert_int_equal(b.mails, 1);
	close(q);
	net_free(&n);
}

static void
kick_and_stop(void **state)
{
	struct net *n = pool(0, 1);
	struct guest a = {0}, b = {0};
	int p = pair_add(n, &guest_service, &a, &a.id);
	int q = pair_add(n, &guest_service, &b, &b.id);

	steps(n);
	assert_true(net_kick(n, a.id));
	steps(n);
	peer_expect(n, p, "bye\n");
	assert_true(a.closed);
	assert_false(b.closed);
	net_stop(n);
	assert_true(b.closed);
	peer_expect(n, q, "bye\n");
	close(p);
	close(q);
	net_free(&n);
}

/* An idle plaintext connection costs its slot and nothing else. */
static void
idle_is_small(void **state)
{
	struct net *n = pool(0, 1);
	struct guest g = {0};
	int peer = pair_add(n, &guest_service, &g, &g.id);

	assert_true(sizeof(struct conn) <= 300);
	peer_write(peer, "hello\n");
	steps(n);
	peer_expect(n, peer, "hello\n");
	assert_null(net_slot(n, (uint32_t)(g.id >> 32))->io);
	/* What is left of a command keeps its own size and no more. */
	peer_write(peer, "par");
	steps(n);
	assert_true(net_slot(n, (uint32_t)(g.id >> 32))->io->in.cap <= 2048);
	close(peer);
	net_free(&n);
}

static void
each_and_describe(void *ctx, const struct net_seen *c)
{
	struct buf *b = ctx;

	buf_str_add(b, c->what);
	buf_f(b, " %u;", (unsigned)c->label);
	assert_true(os_addr_loopback(c->peer));
}

static atomic_uint g_ended;
static void
label_ended(void *arg, uint64_t label)
{
	atomic_fetch_add(&g_ended, (unsigned)label);
}

static void
describes(void **state)
{
	struct net_opts o = {
	    .threads_max = 1, .conns_max = 4, .ended = label_ended};
	struct net *n = net_new(&o);
	struct guest g = {0};
	struct buf b = {0};
	int peer;

	g_ended = 0;
	net_label(7);
	peer = pair_add(n, &guest_service, &g, &g.id);
	net_label(0);

	steps(n);
	conn_describe(net_slot(n, (uint32_t)(g.id >> 32)), S("imap ann"));
	net_each(n, each_and_describe, &b);
	assert_true(str_eq(buf_str(&b), S("imap ann 7;")));
	buf_free(&b);
	close(peer);
	net_free(&n);
	assert_int_equal(g_ended, 7);
}

/* ---- storms ---- */

#define GUESTS 120
#define ROUNDS 40

struct storm {
	struct net *n;
	struct guest *g;
	int *peer;
	_Atomic uint64_t *ids;
	atomic_bool stop;
	atomic_uint seed;
};

static void *
poker(void *arg)
{
	struct storm *s = arg;
	unsigned seed = s->seed++;

	while (!atomic_load(&s->stop)) {
		unsigned i = (unsigned)rand_r(&seed) % GUESTS;
		conn_id id = atomic_load(&s->ids[i]);

		switch (rand_r(&seed) % 8) {
		case 0:
		case 1:
		case 2:
			conn_post(s->n, id, malloc(8), mail_drop);
			break;
		case 3:
			if (rand_r(&seed) % 64 == 0)
				net_poke_all(s->n);
			break;
		case 4:
			if (rand_r(&seed) % 32 == 0)
				net_kick(s->n, id);
			break;
		default:
			conn_poke(s->n, id);
		}
		if (rand_r(&seed) % 16 == 0)
			usleep(100);
	}
	return NULL;
}

static unsigned
storm_round(struct storm *s, unsigned *seed, struct guest *g)
{
	static const char *const words[] = {"a\n", "wait\n", "ti", "mer\n",
	    "x\ny\nz\n", "quit\n", "wa", "it\n"};
	unsigned made = 0;

	for (unsigned i = 0; i < GUESTS; i++) {
		const char *w = words[(unsigned)rand_r(seed) % NELEM(words)];
		char drain[4096];

		if (s->peer[i] >= 0 && rand_r(seed) % 6 == 0) {
			close(s->peer[i]);
			s->peer[i] = -1;
		}
		if (s->peer[i] < 0) {
			struct guest *x = &g[made++];

			s->peer[i] = pair_add(s->n, &guest_service, x, &x->id);
			atomic_store(&s->ids[i], x->id);
			continue;
		}
		(void)!send(s->peer[i], w, strlen(w), MSG_NOSIGNAL);
		while (recv(s->peer[i], drain, sizeof(drain), 0) > 0)
			;
	}
	return made;
}

/* Pokes, posts, input, hang-ups and kicks from everywhere: nobody is run
 * twice at once, everybody is closed once, no message is lost. */
static void
storm(void **state)
{
	static struct guest guests[GUESTS * (ROUNDS + 1)];
	static int peer[GUESTS];
	static _Atomic uint64_t ids[GUESTS];
	struct storm s = {pool(2, 8), guests, peer, ids, false, 1};
	pthread_t t[3];
	unsigned seed = 7, made = 0;

	memset(guests, 0, sizeof(guests));
	for (unsigned i = 0; i < GUESTS; i++)
		peer[i] = -1;
	g_spins = 200;
	assert_int_equal(net_start(s.n), OK);
	for (unsigned i = 0; i < NELEM(t); i++)
		pthread_create(&t[i], NULL, poker, &s);
	for (unsigned r = 0; r < ROUNDS; r++)
		made += storm_round(&s, &seed, guests + made);
	atomic_store(&s.stop, true);
	for (unsigned i = 0; i < NELEM(t); i++)
		pthread_join(t[i], NULL);
	net_stop(s.n);
	assert_int_equal(net_count(s.n), 0);
	assert_int_equal(g_overlap, 0);
	assert_int_equal(g_closed, made);
	for (unsigned i = 0; i < made; i++)
		assert_true(guests[i].closed);
	for (unsigned i = 0; i < GUESTS; i++)
		if (peer[i] >= 0)
			close(peer[i]);
	net_free(&s.n);
	assert_true(g_mail_in > 0);
	print_message("%u connections, %u messages taken, %u dropped\n", made,
	    g_mail_in, g_mail_dropped);
}

/* No poke is lost: each of many is followed by a run that sees it. */
static void *
counter_main(void *arg)
{
	struct storm *s = arg;

	for (unsigned i = 0; i < 3000; i++)
		conn_post(s->n, s->ids[0], malloc(8), mail_drop);
	return NULL;
}

static void
no_lost_poke(void **state)
{
	static _Atomic uint64_t ids[1];
	struct guest g = {0};
	struct storm s = {.n = pool(2, 4), .ids = ids};
	pthread_t t[4];
	int peer;
	int64_t end = os_mono_ms() + 20000;

	assert_int_equal(net_start(s.n), OK);
	peer = pair_add(s.n, &guest_service, &g, &g.id);
	ids[0] = g.id;
	for (unsigned i = 0; i < NELEM(t); i++)
		pthread_create(&t[i], NULL, counter_main, &s);
	for (unsigned i = 0; i < NELEM(t); i++)
		pthread_join(t[i], NULL);
	while (g_mail_in < 3000 * NELEM(t) && os_mono_ms() < end)
		usleep(1000);
	assert_int_equal(g_mail_in, 3000 * NELEM(t));
	close(peer);
	net_free(&s.n);
	assert_int_equal(g_overlap, 0);
}

/* Threads that wait do not stop the others: the pool grows (5). */
static atomic_uint g_in_sleep;
static enum next
sleeper_run(struct conn *c, enum why why)
{
	if (why == WHY_INPUT) {
		conn_eat(c, conn_input(c).n);
		atomic_fetch_add(&g_in_sleep, 1);
		for (int i = 0; i < 500 && atomic_load(&g_in_sleep) < 12; i++)
			usleep(10000);
		out_s(c, "ok\n");
	}
	return why == WHY_STOP ? NEXT_CLOSE : NEXT_INPUT;
}
static const struct service sleeper_service = {
    .name = "sleeper", .run = sleeper_run};

static void
pool_grows(void **state)
{
	struct net *n = pool(2, 16);
	conn_id id;
	int peer[12];

	g_in_sleep = 0;
	assert_int_equal(net_start(n), OK);
	for (unsigned i = 0; i < NELEM(peer); i++) {
		peer[i] = pair_add(n, &sleeper_service, NULL, &id);
		peer_write(peer[i], "x");
	}
	for (unsigned i = 0; i < NELEM(peer); i++) {
		peer_expect(NULL, peer[i], "ok\n");
		close(peer[i]);
	}
	assert_int_equal(g_in_sleep, 12);
	net_free(&n);
}

/* Watches: not twice at once, none after net_unwatch. */
struct bell {
	int fd;
	atomic_int inside;
	atomic_uint rung;
	atomic_bool gone;
};
static void
bell_ready(void *arg)
{
	struct bell *b = arg;
	char c[16];

	assert_int_equal(atomic_fetch_add(&b->inside, 1), 0);
	assert_false(atomic_load(&b->gone));
	if (read(b->fd, c, sizeof(c)) > 0)
		atomic_fetch_add(&b->rung, 1);
	atomic_fetch_sub(&b->inside, 1);
}

static void
watches(void **state)
{
	struct net *n = pool(2, 4);
	struct bell b;
	struct watch *w;
	int fd[2];

	assert_int_equal(net_start(n), OK);
	for (int round = 0; round < 50; round++) {
		memset(&b, 0, sizeof(b));
		assert_int_equal(os_socketpair(SOCK_STREAM, fd), 0);
		b.fd = fd[0];
		w = net_watch(n, fd[0], bell_ready, &b);
		net_watch_write(w, round % 2);
		for (int i = 0; i < 20; i++)
			(void)!write(fd[1], "x", 1);
		while (atomic_load(&b.rung) == 0)
			usleep(100);
		net_unwatch(&w);
		atomic_store(&b.gone, true);
		(void)!write(fd[1], "x", 1);
		close(fd[0]);
		close(fd[1]);
	}
	net_free(&n);
}

static atomic_uint g_ticks;
static void
tick(void *arg)
{
	atomic_fetch_add(&g_ticks, 1);
}

static void
ticks(void **state)
{
	struct net *n = pool(1, 2);

	g_ticks = 0;
	net_tick(n, 20, tick, NULL);
	assert_int_equal(net_start(n), OK);
	for (int i = 0; i < 300 && g_ticks < 3; i++)
		usleep(10000);
	assert_true(g_ticks >= 3);
	net_free(&n);
}

static void
job(void *arg)
{
	usleep(20000);
	atomic_fetch_add((atomic_uint *)arg, 1);
}

/* Jobs run side by side, and net_stop waits for them. */
static void
jobs(void **state)
{
	struct net *n = pool(1, 8);
	atomic_uint done = 0;

	assert_int_equal(net_start(n), OK);
	for (int i = 0; i < 30; i++)
		net_job(n, job, &done);
	net_free(&n);
	assert_int_equal(done, 30);
	n = pool(0, 1);
	net_job(n, job, &done);
	steps(n);
	assert_int_equal(done, 31);
	net_free(&n);
}

/* Works as long as it is told to, or until nobody waits for it. */
static bool g_left;
static enum next
long_run(struct conn *c, enum why why)
{
	if (why == WHY_INPUT)
		conn_eat(c, conn_input(c).n > 0 ? 1 : 0);
	g_left = conn_left(c);
	return why == WHY_OPEN ? NEXT_INPUT : g_left ? NEXT_CLOSE : NEXT_MORE;
}
static void
long_closed(struct conn *c)
{
}

/* R60: seen while it works, without an event, but not before what was sent
 * ahead of it has been taken. */
static void
left_while_working(void **state)
{
	static const struct service service = {
	    .name = "long", .run = long_run, .closed = long_closed};
	struct net *n = net_new(&(struct net_opts){.threads_max = 1});
	conn_id id;
	int fd = pair_add(n, &service, NULL, &id);

	net_step(n, 0);
	peer_write(fd, "x");
	for (int i = 0; i < 20; i++)
		net_step(n, 0);
	assert_false(g_left);
	peer_write(fd, "y");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (int i = 0; i < 20; i++)
		net_step(n, 0);
	assert_false(g_left);
	assert_int_equal(net_count(n), 1);
	close(fd);
	net_free(&n);

	n = net_new(&(struct net_opts){.threads_max = 1});
	fd = pair_add(n, &service, NULL, &id);
	net_step(n, 0);
	peer_write(fd, "x");
	for (int i = 0; i < 20; i++)
		net_step(n, 0);
	assert_false(g_left);
	close(fd);
	steps(n);
	assert_true(g_left);
	assert_int_equal(net_count(n), 0);
	net_free(&n);
}

int
test_pool(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(echoes),
	    cmocka_unit_test(poke_while_waiting),
	    cmocka_unit_test(hangup_while_waiting),
	    cmocka_unit_test(left_while_working),
	    cmocka_unit_test(hold_keeps_replies),
	    cmocka_unit_test(timer_rings_once),
	    cmocka_unit_test(stale_ids),
	    cmocka_unit_test(kick_and_stop),
	    cmocka_unit_test(idle_is_small),
	    cmocka_unit_test(describes),
	    cmocka_unit_test(no_lost_poke),
	    cmocka_unit_test(storm),
	    cmocka_unit_test(pool_grows),
	    cmocka_unit_test(watches),
	    cmocka_unit_test(ticks),
	    cmocka_unit_test(jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
