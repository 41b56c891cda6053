/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The output queue: bytes and references in order, files by sendfile,
 * dot-stuffing against a plain model, slow readers, failing sources.
 */
#include <stdlib.h>
#include <unistd.h>

#include "t_net.h"

/* ---- sources ---- */

struct mem_source {
	struct source s;
	char *p;
	int fd;          /* >= 0: the same bytes in a file */
	uint64_t bad_at; /* reads that reach it fail */
	unsigned reads;
	size_t read_bytes;
};
static unsigned g_sources;

static enum err
mem_read(struct source *s, uint64_t at, void *p, size_t n)
{
	struct mem_source *m = (struct mem_source *)s;

	assert_true(at + n <= s->size);
	m->reads++;
	m->read_bytes += n;
	if (at + n > m->bad_at)
		return ERR_IO;
	memcpy(p, m->p + at, n);
	return OK;
}

static bool
mem_file(struct source *s, uint64_t at, int *fd, uint64_t *off, uint64_t *n)
{
	struct mem_source *m = (struct mem_source *)s;

	if (m->fd < 0)
		return false;
	*fd = m->fd;
	*off = at;
	*n = s->size - at;
	return true;
}

static void
mem_free(struct source *s)
{
	struct mem_source *m = (struct mem_source *)s;

	if (m->fd >= 0)
		close(m->fd);
	free(m->p);
	free(m);
	g_sources--;
}

static const struct source_ops mem_ops = {mem_read, mem_file, mem_free};

static struct mem_source *
source_make(const char *p, size_t n, bool file)
{
	struct mem_source *m = x_alloc(sizeof(*m));

	m->s.ops = &mem_ops;
	atomic_init(&m->s.refs, 1);
	m->s.size = n;
	m->p = x_alloc(n + 1);
	memcpy(m->p, p, n);
	m->bad_at = UINT64_MAX;
	m->fd = -1;
	if (file) {
		m->fd = os_memfd("t");
		assert_int_equal(write(m->fd, p, n), n);
	}
	g_sources++;
	return m;
}

/* ---- a service that says what the test wants ---- */

static enum next (*g_say)(struct conn *c, enum why why);
static unsigned g_done;
static enum next
say_run(struct conn *c, enum why why)
{
	return why == WHY_OPEN || why == WHY_MORE ? g_say(c, why) : NEXT_CLOSE;
}
static void
say_closed(struct conn *c)
{
	g_done++;
}
static const struct service say_service = {
    .name = "say", .run = say_run, .closed = say_closed};

static struct net *
one(void)
{
	struct net_opts o = {.threads_max = 1, .conns_max = 16};

	g_done = 0;
	return net_new(&o);
}

/* Everything that is sent, until the end of the connection. */
static str
all_of(struct net *n, int fd, struct buf *b, size_t chunk)
{
	ssize_t r;
	char *p;

	for (int idle = 0; idle < 200;) {
		p = buf_room(b, chunk);
		r = recv(fd, p, chunk, MSG_DONTWAIT);
		if (r > 0) {
			b->n += (size_t)r;
			idle = 0;
		} else if (r == 0) {
			return buf_str(b);
		} else {
			idle++;
			net_step(n, 5);
		}
	}
	fail_msg("no end");
	return STR_NONE;
}

static struct mem_source *g_src;
static struct source *g_src2;

static enum next
say_mixed(struct conn *c, enum why why)
{
	out_s(c, "* 1 FETCH {");
	out_f(c, "%u}\r\n", (unsigned)g_src->s.size);
	out_ref(c, &g_src->s, 0, g_src->s.size);
	out_s(c, ")\r\n");
	out_ref(c, &g_src->s, 5, 10);
	out_ref(c, &g_src->s, g_src->s.size, 0);
	out_ref(c, g_src2, 0, g_src2->size);
	out_s(c, "end");
	source_unref(&g_src2);
	return NEXT_CLOSE;
}

static char *
noise(size_t n)
{
	char *p = x_alloc(n + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + (i * 7 + i / 251) % 26);
	return p;
}

static void
mixed(bool file, size_t size)
{
	struct net *n = one();
	struct buf got = {0}, want = {0};
	char *p = noise(size);
	conn_id id;
	int peer;

	g_src = source_make(p, size, file);
	g_src2 = &source_make("second", 6, false)->s;
	g_say = say_mixed;
	peer = pair_add(n, &say_service, NULL, &id);
	buf_f(
	    &want, "* 1 FETCH {%zu}\r\n%s)\r\n%.10ssecondend", size, p, p + 5);
	all_of(n, peer, &got, 30000);
	assert_true(str_eq(buf_str(&got), buf_str(&want)));
	assert_int_equal(g_done, 1);
	free(p);
	buf_free(&got);
	buf_free(&want);
	close(peer);
	net_free(&n);
	source_unref(&(struct source *){&g_src->s});
	assert_int_equal(g_sources, 0);
}

static void
order(void **state)
{
	const size_t sizes[] = {20, 4000, 32767, 32768, 300000, 3000000};

	for (size_t i = 0; i < NELEM(sizes); i++) {
		mixed(false, sizes[i]);
		mixed(true, sizes[i]);
	}
}

/* A handler without end is called again only when the queue is low. */
static unsigned g_calls;
static enum next
say_more(struct conn *c, enum why why)
{
	char line[100];

	memset(line, 'x', sizeof(line));
	assert_true(out_low(c));
	while (!out_full(c))
		out_add(c, line, sizeof(line));
	return ++g_calls == 40 ? NEXT_CLOSE : NEXT_MORE;
}

static void
more(void **state)
{
	struct net *n = one();
	struct buf got = {0};
	conn_id id;
	int peer;

	g_calls = 0;
	g_say = say_more;
	peer = pair_add(n, &say_service, NULL, &id);
	steps(n);
	assert_true(g_calls < 40); /* the peer has read nothing yet */
	assert_true(out_queued(net_slot(n, 0)) < 70000);
	all_of(n, peer, &got, 100000);
	assert_int_equal(g_calls, 40);
	assert_true(got.n >= 40 * 40000);
	buf_free(&got);
	close(peer);
	net_free(&n);
}

/* R108: a peer that takes nothing keeps no large buffer, and goes when its
 * time is over. */
static enum next
say_big(struct conn *c, enum why why)
{
	out_ref(c, &g_src->s, 0, g_src->s.size);
	return NEXT_CLOSE;
}

static void
stalled(void **state)
{
	struct net *n;
	struct buf got = {0};
	size_t size = 3000000;
	char *p = noise(size);
	conn_id id;
	int peer;

	g_src = source_make(p, size, false);
	g_say = say_big;
	os_clock_fix(1000, 1000);
	n = one();
	peer = pair_add(n, &say_service, NULL, &id);
	steps(n);
	assert_true(net_slot(n, 0)->io->out.mem > 100000);
	os_clock_fix(3000, 3000);
	steps(n);
	assert_true(net_slot(n, 0)->io->out.mem <= 65536);
	all_of(n, peer, &got, 65536);
	assert_true(str_eq(buf_str(&got), str_of(p, size)));
	close(peer);
	steps(n);

	peer = pair_add(n, &say_service, NULL, &id);
	steps(n);
	os_clock_fix(5000, 5000);
	steps(n);
	assert_int_equal(net_count(n), 1);
	os_clock_fix(400000, 400000);
	steps(n);
	assert_int_equal(net_count(n), 0);
	os_clock_fix(-1, -1);
	close(peer);
	free(p);
	buf_free(&got);
	net_free(&n);
	source_unref(&(struct source *){&g_src->s});
	assert_int_equal(g_sources, 0);
}

/* R124: stall_s -1 0 +1, in milliseconds, from when its buffer was made
 * small; whoever takes something begins anew. The wheel of timers turns by
 * 32 of them: the end is the last one of a step. */
static void
stalled_ends(void **state)
{
	char *p = noise(3000000);
	char some[70000];

	limits.stall_s = 8;
	g_src = source_make(p, 3000000, false);
	g_say = say_big;
	for (int i = 0; i < 6; i++) {
		int64_t now = 32 * 1000000 - 8000 - 1;
		struct net *n;
		conn_id id;
		int peer;

		os_clock_fix(now - 4000, now - 4000);
		n = one();
		peer = pair_add(n, &say_service, NULL, &id);
		steps(n);
		os_clock_fix(now, now);
		steps(n);
		assert_true(net_slot(n, 0)->io->out.mem <= 65536);
		now += 8000 + i / 2;
		if (i % 2 == 1) {
			os_clock_fix(now - 1000, now - 1000);
			while (recv(peer, some, sizeof(some), MSG_DONTWAIT) > 0)
				;
			steps(n);
		}
		os_clock_fix(now, now);
		steps(n);
		assert_int_equal(net_count(n), i % 2 == 1 || i / 2 == 0);
		close(peer);
		net_free(&n);
	}
	os_clock_fix(-1, -1);
	limits_default(&limits);
	source_unref(&(struct source *){&g_src->s});
	free(p);
}

/* R97: octets that were promised and cannot be read end the connection. */
static void
fails(void **state)
{
	struct net *n = one();
	struct buf got = {0};
	char *p = noise(1000000);
	conn_id id;
	int peer;

	g_src = source_make(p, 1000000, false);
	g_src->bad_at = 700000;
	g_say = say_big;
	peer = pair_add(n, &say_service, NULL, &id);
	log_setup("t_net", LOG_ERROR + 1);
	all_of(n, peer, &got, 65536);
	log_setup("t_net", LOG_ERROR);
	assert_true(got.n <= 700000);
	assert_int_equal(g_done, 1);
	close(peer);
	free(p);
	buf_free(&got);
	net_free(&n);
	source_unref(&(struct source *){&g_src->s});
	assert_int_equal(g_sources, 0);
}

/* ---- dot-stuffing ---- */

static int64_t g_lines;
static uint64_t g_header;
static bool g_in_memory;
static str g_text;
static enum next
say_dotted(struct conn *c, enum why why)
{
	if (g_in_memory)
		out_dotted_str(c, g_text, g_header, g_lines);
	else
		out_dotted(c, &g_src->s, 0, g_src->s.size, g_header, g_lines);
	return NEXT_CLOSE;
}

/* The same, one octet at a time. */
static void
model(str in, size_t header, int64_t lines, struct buf *to)
{
	bool bol = true;
	char last = 0;

	if (lines == 0)
		in = str_head(in, header);
	for (size_t i = 0; i < in.n; i++) {
		if (bol && in.p[i] == '.')
			buf_c(to, '.');
		if (in.p[i] == '\n' && last != '\r')
			buf_c(to, '\r');
		buf_c(to, in.p[i]);
		bol = in.p[i] == '\n';
		last = in.p[i];
		if (bol && i >= header && lines > 0 && --lines == 0)
			return;
	}
	if (in.n > 0 && !bol)
		buf_str_add(to, last == '\r' ? S("\n") : S("\r\n"));
}

static void
dotted_by(str in, size_t header, int64_t lines)
{
	struct net *n = one();
	struct buf got = {0}, want = {0};
	conn_id id;
	int peer;

	g_src = source_make(in.p, in.n, false);
	g_text = in;
	g_header = header;
	g_lines = lines;
	g_say = say_dotted;
	peer = pair_add(n, &say_service, NULL, &id);
	all_of(n, peer, &got, 65536);
	model(in, header, lines, &want);
	if (!str_eq(buf_str(&got), buf_str(&want)))
		print_message(
		    "in %zu header %zu lines %ld\n", in.n, header, (long)lines);
	assert_int_equal(got.n, want.n);
	assert_true(str_eq(buf_str(&got), buf_str(&want)));
	buf_free(&got);
	buf_free(&want);
	close(peer);
	net_free(&n);
	source_unref(&(struct source *){&g_src->s});
	assert_int_equal(g_sources, 0);
}

static void
dotted_one(str in, size_t header, int64_t lines)
{
	g_in_memory = true;
	dotted_by(in, header, lines);
	g_in_memory = false;
	dotted_by(in, header, lines);
}

/* R73 */
static void
dotted(void **state)
{
	static const char *const texts[] = {"", ".", "..", "\n.", ".\r\n..\r\n",
	    "a\r\n\r\n.b\n.c\r\nd", "a\r", "x\r\r\n.",
	    "h: v\r\n\r\n1\r\n2\r\n3"};
	unsigned seed = 5;
	char *big;

	for (size_t i = 0; i < NELEM(texts); i++)
		for (size_t h = 0; h <= strlen(texts[i]); h++)
			for (int64_t l = -1; l < 4; l++)
				dotted_one(str_c(texts[i]), h, l);
	big = x_alloc(200000);
	for (int round = 0; round < 6; round++) {
		for (size_t i = 0; i < 200000; i++)
			big[i] = ".\r\nab"[(unsigned)rand_r(&seed) %
					   (round < 3 ? 5 : 4)];
		dotted_one(str_of(big, 200000), (size_t)round * 30000, -1);
		dotted_one(
		    str_of(big, 200000), (size_t)round * 30000, round * 5000);
	}
	/* Lines that need nothing, but for one in about a thousand. */
	for (int round = 0; round < 8; round++) {
		for (size_t i = 0; i < 200000; i++)
			big[i] = "abc\r\n"[i % 5];
		for (int i = 0; i < round * 10; i++)
			big[(size_t)rand_r(&seed) % 200000] =
			    "\n.\r"[(unsigned)rand_r(&seed) % 3];
		for (size_t i = 0; i < 7; i++)
			dotted_one(str_of(big, 199993 + i), 30000, -1);
		dotted_one(str_of(big, 200000), 30000, round * 5000);
	}
	free(big);
}

int
test_out(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(order),
	    cmocka_unit_test(more),
	    cmocka_unit_test(stalled),
	    cmocka_unit_test(stalled_ends),
	    cmocka_unit_test(fails),
	    cmocka_unit_test(dotted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
