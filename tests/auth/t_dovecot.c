/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Dovecot's authentication client protocol, as Postfix and Exim speak it. */
#include "t_rig.h"

#include <poll.h>
#include <unistd.h>

static const struct auth_conf conf = {.scram_sha256 = true};
static struct rig r;

static void
fill(struct auth *a)
{
	uint64_t id;

	assert_int_equal(auth_user_add(a, S("ann"), S("pencil"), &id), OK);
	assert_int_equal(auth_user_add(a, S("off"), S("pencil"), &id), OK);
	assert_int_equal(auth_user_enable(a, S("off"), false), OK);
}

static int
dial(void)
{
	char path[128];
	struct os_addr a;
	size_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/run/dovecot.sock", r.data);
	assert_int_equal(os_addr_parse(str_c(path), &a, 1, &n), OK);
	fd = os_connect(&a);
	assert_true(fd >= 0);
	return fd;
}

static void
say(int fd, const char *s)
{
	assert_int_equal(os_write_all(fd, s, strlen(s)), 0);
}

/* The next line; "" at the end of the stream. */
static const char *
hear(int fd)
{
	static char line[4096];
	size_t n = 0;

	while (n + 1 < sizeof(line)) {
		struct pollfd p = {fd, POLLIN, 0};
		char c;
		if (poll(&p, 1, 20000) != 1)
			fail_msg("nothing is said");
		if (os_read(fd, &c, 1) != 1)
			break;
		if (c == '\n')
			break;
		line[n++] = c;
	}
	line[n] = '\0';
	return line;
}

static void
expect(int fd, const char *want)
{
	const char *got = hear(fd);

	if (strcmp(got, want) != 0)
		fail_msg("\"%s\", not \"%s\"", got, want);
}

static int
greeted(void)
{
	int fd = dial();

	expect(fd, "VERSION\t1\t2");
	expect(fd, "MECH\tSCRAM-SHA-256\tmutual-auth");
	expect(fd, "MECH\tPLAIN\tplaintext");
	expect(fd, "MECH\tLOGIN\tplaintext");
	assert_true(str_starts(str_c(hear(fd)), S("SPID\t")));
	assert_true(str_starts(str_c(hear(fd)), S("CUID\t")));
	assert_int_equal(strlen(hear(fd)), 7 + 32);
	expect(fd, "DONE");
	/* Postfix says 1.0, Exim too. */
	say(fd, "VERSION\t1\t0\nCPID\t4711\n");
	return fd;
}

#define PLAIN_ANN "AGFubgBwZW5jaWw=" /* NUL ann NUL pencil */
#define PLAIN_BAD "AGFubgBwZW5jaWs=" /* NUL ann NUL pencik */
#define PLAIN_OFF "AG9mZgBwZW5jaWw="

static void
test_plain(void **state)
{
	int fd = greeted();

	/* As Postfix sends it. */
	say(fd, "AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\t"
		"rip=127.0.0.1\tsecured\tresp=" PLAIN_ANN "\n");
	expect(fd, "OK\t1\tuser=ann");
	say(fd, "AUTH\t2\tPLAIN\tservice=smtp\trip=127.0.0.1\tresp=" PLAIN_BAD
		"\n");
	expect(fd, "FAIL\t2\tuser=ann");
	say(fd, "AUTH\t3\tPLAIN\tservice=smtp\trip=127.0.0.1\tresp=" PLAIN_OFF
		"\n");
	expect(fd, "FAIL\t3\tuser=off");
	/* No initial response. */
	say(fd, "AUTH\t4\tPLAIN\tservice=smtp\tsecured\trip=192.0.2.7\t"
		"lip=192.0.2.1\tnologin\n");
	expect(fd, "CONT\t4\t");
	say(fd, "CONT\t4\t" PLAIN_ANN "\n");
	expect(fd, "OK\t4\tuser=ann");
	say(fd, "AUTH\t5\tLOGIN\tservice=smtp\tsecured=tls\n");
	expect(fd, "CONT\t5\tVXNlcm5hbWU6");
	say(fd, "CONT\t5\tYW5u\n");
	expect(fd, "CONT\t5\tUGFzc3dvcmQ6");
	say(fd, "CONT\t5\tcGVuY2ls\n");
	expect(fd, "OK\t5\tuser=ann");
	/* In clear from elsewhere: refused before the password is seen. */
	say(fd, "AUTH\t6\tPLAIN\tservice=smtp\trip=192.0.2.7\tresp=" PLAIN_ANN
		"\n");
	expect(fd, "FAIL\t6\treason=Plaintext authentication needs TLS");
	say(fd, "AUTH\t7\tCRAM-MD5\tservice=smtp\tsecured\n");
	expect(fd, "FAIL\t7\treason=Unsupported authentication mechanism");
	say(fd, "AUTH\t8\tSCRAM-SHA-256-PLUS\tservice=smtp\tsecured\n");
	expect(fd, "FAIL\t8\treason=Unsupported authentication mechanism");
	say(fd, "AUTH\t9\tPLAIN\tsecured\tresp=" PLAIN_ANN " \n");
	expect(fd, "FAIL\t9\treason=Invalid parameters");
	say(fd, "AUTH\t10\tPLAIN\tsecured\tresp=AAAA\n");
	expect(fd, "FAIL\t10\treason=Invalid base64 or grammar");
	say(fd, "AUTH\t11\tPLAIN\tsecured\n");
	expect(fd, "CONT\t11\t");
	say(fd, "CONT\t11\t!\n");
	expect(fd, "FAIL\t11\treason=Invalid base64 data");
	/* Cancelled, then a new one; several at once. */
	say(fd, "AUTH\t12\tPLAIN\tsecured\nCANCEL\t12\n"
		"AUTH\t13\tLOGIN\tsecured\n");
	expect(fd, "CONT\t12\t");
	expect(fd, "CONT\t13\tVXNlcm5hbWU6");
	/* Exim has an empty resp when its client sent nothing yet; "=" is a
	 * response without a byte. */
	say(fd, "AUTH\t14\tLOGIN\tsecured\tnologin\tresp=\n");
	expect(fd, "CONT\t14\tVXNlcm5hbWU6");
	say(fd, "AUTH\t15\tPLAIN\tsecured\tnologin\tresp=\n");
	expect(fd, "CONT\t15\t");
	say(fd, "CONT\t15\t" PLAIN_ANN "\n");
	expect(fd, "OK\t15\tuser=ann");
	say(fd, "AUTH\t16\tPLAIN\tsecured\tresp==\n");
	expect(fd, "FAIL\t16\treason=Invalid base64 or grammar");
	os_close(&fd);
}

/* Byte by byte is the same as whole. */
static void
test_split(void **state)
{
	static const char s[] = "AUTH\t1\tPLAIN\tsecured\tresp=" PLAIN_ANN "\n";
	int fd = greeted();

	for (size_t i = 0; i + 1 < sizeof(s); i++) {
		char c[2] = {s[i], 0};
		say(fd, c);
	}
	expect(fd, "OK\t1\tuser=ann");
	os_close(&fd);
}

static int
client_answer(Gsasl *ctx, Gsasl_session *g, Gsasl_property p)
{
	return p == GSASL_AUTHID     ? gsasl_property_set(g, p, "ann")
	       : p == GSASL_PASSWORD ? gsasl_property_set(g, p, "pencil")
				     : GSASL_NO_CALLBACK;
}

/* SCRAM, with the server's last word as one more challenge. */
static void
test_scram(void **state)
{
	int fd = greeted();
	Gsasl *ctx = NULL;
	Gsasl_session *g = NULL;
	struct buf b = {0};
	char *p = NULL;

	assert_int_equal(gsasl_init(&ctx), GSASL_OK);
	gsasl_callback_set(ctx, client_answer);
	assert_int_equal(
	    gsasl_client_start(ctx, "SCRAM-SHA-256", &g), GSASL_OK);
	assert_int_equal(gsasl_step64(g, "", &p), GSASL_NEEDS_MORE);
	buf_f(&b, "AUTH\t1\tSCRAM-SHA-256\tservice=smtp\tresp=%s\n", p);
	for (int i = 0; i < 2; i++) {
		const char *got;
		int rc;
		buf_c(&b, '\0');
		say(fd, b.p);
		gsasl_free(p);
		got = hear(fd);
		assert_true(str_starts(str_c(got), S("CONT\t1\t")));
		rc = gsasl_step64(g, got + 7, &p);
		assert_int_equal(rc, i == 0 ? GSASL_NEEDS_MORE : GSASL_OK);
		buf_reset(&b);
		buf_f(&b, "CONT\t1\t%s\n", p);
	}
	gsasl_free(p);
	say(fd, "CONT\t1\t\n");
	expect(fd, "OK\t1\tuser=ann");
	gsasl_finish(g);
	gsasl_done(ctx);
	buf_free(&b);
	os_close(&fd);
}

/* What ends a connection; others go on. */
static void
test_bad(void **state)
{
	static const char *const bad[] = {
	    "AUTH\tx\tPLAIN\n",
	    "AUTH\t4294967296\tPLAIN\tsecured\n",
	    "AUTH\t1\tPLAIN\tsecured\nAUTH\t1\tPLAIN\tsecured\n",
	    "CONT\t\n",
	    "\n",
	    "CANCEL\t-1\n",
	};
	static char big[20000];
	int other = greeted(), fd;

	for (size_t i = 0; i < NELEM(bad); i++) {
		fd = greeted();
		say(fd, bad[i]);
		while (hear(fd)[0] != '\0')
			;
		os_close(&fd);
	}
	fd = dial();
	say(fd, "VERSION\t2\t0\n");
	while (hear(fd)[0] != '\0')
		;
	os_close(&fd);
	/* A line past the bound, whole or without an end (R124). */
	memset(big, 'x', sizeof(big) - 1);
	fd = greeted();
	big[16384 + 1] = '\n';
	big[16384 + 2] = '\0';
	say(fd, big);
	expect(fd, "");
	os_close(&fd);
	memset(big, 'x', sizeof(big) - 1);
	fd = greeted();
	(void)os_write_all(fd, big, 19000);
	expect(fd, "");
	os_close(&fd);
	fd = greeted();
	big[16384] = '\n';
	big[16384 + 1] = '\0';
	say(fd, big);
	say(fd, "AUTH\t1\tPLAIN\tsecured\tresp=" PLAIN_ANN "\n");
	expect(fd, "OK\t1\tuser=ann");
	os_close(&fd);
	/* One that leaves while its password is hashed, and one that never
	 * reads. */
	for (int i = 0; i < 20; i++) {
		fd = greeted();
		say(fd, "AUTH\t1\tLOGIN\tsecured\nCONT\t1\tYW5u\n"
			"CONT\t1\tcGVuY2lr\n");
		os_close(&fd);
	}
	say(other, "AUTH\t1\tPLAIN\tsecured\tresp=" PLAIN_ANN "\n");
	expect(other, "OK\t1\tuser=ann");
	os_close(&other);
}

/* More requests under way than the bound: the next is told to wait. */
static void
test_many(void **state)
{
	int fd = greeted();
	char line[64];

	for (int i = 0; i < 512; i++) {
		snprintf(line, sizeof(line), "AUTH\t%d\tPLAIN\tsecured\n", i);
		say(fd, line);
		snprintf(line, sizeof(line), "CONT\t%d\t", i);
		expect(fd, line);
	}
	say(fd, "AUTH\t512\tPLAIN\tsecured\n");
	expect(fd, "FAIL\t512\ttemp");
	os_close(&fd);
}

static int
setup(void **state)
{
	limits.auth_delay_ms = 5;
	limits.auth_delay_max_ms = 5;
	rig_start(&r, "dovecot", &conf, fill);
	return 0;
}

static int
teardown(void **state)
{
	rig_stop(&r);
	return 0;
}

int
t_dovecot(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_split),
	    cmocka_unit_test(test_scram),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests_name("dovecot", tests, setup, teardown);
}
