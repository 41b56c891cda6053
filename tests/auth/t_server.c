/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The auth process and its peers. */
#include "t_rig.h"

#include <fcntl.h>
#include <unistd.h>

static const struct auth_conf conf = {.scram_sha256 = true};
static struct rig r;

#define ADDR S("\xc0\x00\x02\x01")

static void
fill(struct auth *a)
{
	struct auth_import n;
	uint64_t id;

	assert_int_equal(
	    auth_user_add(a, S("ann"), S("pencil-canary"), &id), OK);
	assert_int_equal(
	    auth_user_add(a, S("off"), S("pencil-canary"), &id), OK);
	assert_int_equal(auth_user_enable(a, S("off"), false), OK);
	assert_int_equal(auth_user_import(a, S("quick:{PLAIN}pencil-canary\n"),
			     NULL, NULL, &n),
	    OK);
}

static void
login(uint64_t conn, const char *mech, str initial)
{
	rig_login(r.front, conn, mech, &initial, ADDR, STR_NONE);
}

static void
expect_failed(struct chan *c, uint64_t conn, enum auth_fail why)
{
	struct msg m;

	rig_get(c, MSG_AUTH_FAILED, &m);
	assert_int_equal(msg_get_u64(&m), conn);
	assert_int_equal(msg_get_u8(&m), why);
	msg_get_u32(&m);
	assert_true(msg_end(&m));
	msg_free(&m);
}

/* The grant is with mail when the front hears of it, and is for it alone. */
static void
expect_done(struct chan *front, uint64_t conn, const char *name)
{
	uint8_t a[16], b[16];
	uint64_t id;
	struct msg m;

	rig_get(front, MSG_AUTH_DONE, &m);
	assert_int_equal(msg_get_u64(&m), conn);
	msg_get_bytes(&m, a, 16);
	id = msg_get_u64(&m);
	assert_true(id > 0);
	assert_str(msg_get_str(&m), str_c(name));
	msg_get_u8(&m);
	msg_get_str(&m);
	assert_true(msg_end(&m));
	msg_free(&m);
	assert_int_equal(chan_wait(r.mail, &m, 0), OK);
	assert_int_equal(m.type, MSG_GRANT);
	msg_get_bytes(&m, b, 16);
	assert_memory_equal(a, b, 16);
	assert_int_equal(msg_get_u8(&m), GRANT_LOGIN);
	assert_int_equal(msg_get_u8(&m), PROTO_IMAP);
	assert_int_equal(msg_get_u64(&m), id);
	assert_str(msg_get_str(&m), str_c(name));
	assert_int_equal(msg_get_u32(&m), 1);
	assert_int_equal(msg_get_u64(&m), conn);
	assert_int_equal(msg_get_u32(&m), 10000);
	assert_true(msg_end(&m));
	msg_free(&m);
}

static void
test_login(void **state)
{
	login(1, "", S("ann\0pencil-canary"));
	expect_done(r.front, 1, "ann");
	login(1, "PLAIN", S("\0Ann\0pencil-canary"));
	expect_done(r.front, 1, "ann");
	/* Remembered now. */
	login(1, "PLAIN", S("\0Ann\0pencil-canary"));
	expect_done(r.front, 1, "ann");
	login(2, "PLAIN", S("\0Ann\0pencil-Canary"));
	expect_failed(r.front, 2, AUTH_WRONG);
	login(3, "", S("nobody\0pencil-canary"));
	expect_failed(r.front, 3, AUTH_WRONG);
	login(4, "", S("off\0pencil-canary"));
	expect_failed(r.front, 4, AUTH_WRONG);
	login(5, "", S("a b\0pencil-canary"));
	expect_failed(r.front, 5, AUTH_WRONG);
	login(6, "GSSAPI", S("x"));
	expect_failed(r.front, 6, AUTH_MECH);
	login(7, "PLAIN", S("x"));
	expect_failed(r.front, 7, AUTH_MALFORMED);
	rig_none(r.mail, 50);
}

static void
challenge(struct chan *c, uint64_t conn, str want)
{
	struct msg m;

	rig_get(c, MSG_AUTH_CHALLENGE, &m);
	assert_int_equal(msg_get_u64(&m), conn);
	assert_str(msg_get_str(&m), want);
	assert_true(msg_end(&m));
	msg_free(&m);
}

static void
step(struct chan *c, uint64_t conn, str data)
{
	struct msg m;

	msg_new(&m, MSG_AUTH_STEP);
	msg_u64(&m, conn);
	msg_str(&m, data);
	assert_int_equal(chan_send(c, &m), OK);
}

static void
abort_login(struct chan *c, uint64_t conn)
{
	struct msg m;

	msg_new(&m, MSG_AUTH_ABORT);
	msg_u64(&m, conn);
	assert_int_equal(chan_send(c, &m), OK);
}

static void
test_steps(void **state)
{
	rig_login(r.front, 1, "PLAIN", NULL, ADDR, STR_NONE);
	challenge(r.front, 1, S(""));
	step(r.front, 1, S("\0ann\0pencil-canary"));
	expect_done(r.front, 1, "ann");
	rig_login(r.front, 1, "LOGIN", NULL, ADDR, STR_NONE);
	challenge(r.front, 1, S("Username:"));
	step(r.front, 1, S("ann"));
	challenge(r.front, 1, S("Password:"));
	step(r.front, 1, S("pencil-canary"));
	expect_done(r.front, 1, "ann");
	/* A step that nobody asked for, an abort of nothing. */
	step(r.front, 99, S("x"));
	abort_login(r.front, 99);
	/* Aborted, then anew on the same connection. */
	rig_login(r.front, 1, "LOGIN", NULL, ADDR, STR_NONE);
	challenge(r.front, 1, S("Username:"));
	abort_login(r.front, 1);
	step(r.front, 1, S("ann"));
	rig_login(r.front, 1, "PLAIN", NULL, ADDR, STR_NONE);
	challenge(r.front, 1, S(""));
	rig_login(r.front, 1, "LOGIN", NULL, ADDR, STR_NONE);
	challenge(r.front, 1, S("Username:"));
	abort_login(r.front, 1);
}

/* R31: some break off, send nonsense or vanish; all the others get in. */
static void
test_crowd(void **state)
{
	struct chan *bad = rig_peer(&r, PROC_FRONT, 2);
	uint64_t seen = 0;
	struct msg m;

	login(1, "", S("ann\0pencil-canary"));
	expect_done(r.front, 1, "ann");
	for (uint64_t i = 0; i < 1000; i++) {
		str plain = S("\0nobody\0x");
		login(1000 + i, "", S("ann\0pencil-canary"));
		if (i % 20 == 0)
			rig_login(bad, i, "PLAIN", &plain,
			    S("\xc6\x33\x64\x01"), STR_NONE);
		if (i % 20 == 1)
			rig_login(bad, i, "LOGIN", NULL, S("\xc6\x33\x64\x02"),
			    STR_NONE);
		if (i % 20 == 3)
			abort_login(bad, i - 2);
		if (i == 900)
			chan_free(&bad);
		if (bad == NULL)
			bad = rig_peer(&r, PROC_FRONT, 2);
	}
	for (int i = 0; i < 1000; i++) {
		rig_get(r.front, MSG_AUTH_DONE, &m);
		seen += msg_get_u64(&m) - 1000;
		msg_free(&m);
		rig_get(r.mail, MSG_GRANT, &m);
		msg_free(&m);
	}
	assert_int_equal(seen, 999 * 1000 / 2);
	chan_free(&bad);
}

/* ---- the command line ---- */

struct lines {
	struct buf b;
};

static void
line(void *ctx, str l)
{
	struct lines *out = ctx;

	buf_str_add(&out->b, l);
	buf_c(&out->b, '\n');
}

static enum err
command(
    const char *verb, const char *a, const char *b, int fd, const char *want)
{
	struct lines out = {0};
	struct buf why = {0};
	str arg[2] = {str_c(a), str_c(b)};
	enum err e;

	e = auth_command(r.data, &conf, str_c(verb), arg,
	    b != NULL   ? 2
	    : a != NULL ? 1
			: 0,
	    fd, line, &out, &why);
	if (want != NULL) {
		assert_str(
		    e == OK ? buf_str(&out.b) : buf_str(&why), str_c(want));
	}
	buf_free(&out.b);
	buf_free(&why);
	return e;
}

static void
delay(const char *setting)
{
	struct msg m;

	msg_new(&m, MSG_SETTINGS);
	msg_str(&m, str_c(setting));
	assert_int_equal(chan_send(r.sup, &m), OK);
	/* Once this is answered, the settings have been read. */
	assert_int_equal(command("user.id", "ann", NULL, -1, "1 ann\n"), OK);
}

/* R35: the answer is late, and no thread waits with it. R43 beside. */
static void
test_late(void **state)
{
	int64_t t;

	delay("delay=1000");
	t = os_mono_ms();
	login(1, "", S("late\0wrong-canary"));
	login(2, "", S("ann\0pencil-canary"));
	expect_done(r.front, 2, "ann");
	/* It overtakes the other, which therefore holds no thread. */
	expect_failed(r.front, 1, AUTH_WRONG);
	assert_true(os_mono_ms() - t >= 1000);
	delay("delay=5");
}

static void
test_throttled(void **state)
{
	str a = S("\xcb\x00\x71\x01"), wrong = S("bob\0x");
	str right = S("ann\0pencil-canary");

	for (uint64_t i = 0; i < limits.auth_failures_per_minute; i++) {
		rig_login(r.front, i, "", &wrong, a, STR_NONE);
		expect_failed(r.front, i, AUTH_WRONG);
	}
	rig_login(r.front, 1, "", &right, a, STR_NONE);
	expect_failed(r.front, 1, AUTH_THROTTLED);
	rig_login(r.front, 1, "", &right, S("\xcb\x00\x71\x02"), STR_NONE);
	expect_done(r.front, 1, "ann");
}

static void
mechs_are(const char *clear, const char *tls)
{
	struct msg m;

	assert_int_equal(chan_wait(r.front, &m, 20000), OK);
	assert_int_equal(m.type, MSG_AUTH_MECHS);
	assert_str(msg_get_str(&m), str_c(clear));
	assert_str(msg_get_str(&m), str_c(tls));
	assert_true(msg_end(&m));
	msg_free(&m);
}

/* Announced when the last account has its keys, withdrawn when one comes
 * that has none. */
static void
test_announced(void **state)
{
	chan_free(&r.front);
	r.front = rig_peer(&r, PROC_FRONT, 1);
	mechs_are("PLAIN LOGIN", "PLAIN LOGIN");
	login(1, "", S("quick\0pencil-canary"));
	expect_done(r.front, 1, "quick");
	mechs_are("SCRAM-SHA-256 PLAIN LOGIN",
	    "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN");
	assert_int_equal(command("mechs", NULL, NULL, -1,
			     "SCRAM-SHA-256 PLAIN LOGIN\n"
			     "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\n"),
	    OK);
}

static void
test_commands(void **state)
{
	int fd = os_memfd("passwd");
	static const char file[] = "imp:{PLAIN}x-canary\nbad:{NO}x\n";
	struct msg m;
	struct auth_conf none = {0};
	struct auth *a = NULL;

	assert_int_equal(
	    auth_open(&a, in_work("server/auth"), &none), ERR_BUSY);
	assert_int_equal(command("user.add", "Cleo", "asp-canary", -1, ""), OK);
	assert_int_equal(
	    command("user.add", "cleo", "asp-canary", -1, "the name is taken"),
	    ERR_EXISTS);
	assert_int_equal(command("user.add", "c leo", "asp-canary", -1,
			     "not a name that an account can have"),
	    ERR_INVALID);
	assert_int_equal(
	    command("user.add", "dido", "", -1, "the password is empty"),
	    ERR_INVALID);
	assert_int_equal(command("user.id", "CLEO", NULL, -1, "4 cleo\n"), OK);
	assert_int_equal(
	    command("no.verb", NULL, NULL, -1, "auth knows no such verb"),
	    ERR_INVALID);
	assert_int_equal(
	    command("user.add", "x", NULL, -1, "user.add takes 2 arguments"),
	    ERR_INVALID);
	login(1, "", S("cleo\0asp-canary"));
	expect_done(r.front, 1, "cleo");
	/* R39: the new password at once, the old one no more. */
	assert_int_equal(
	    command("user.passwd", "cleo", "new-canary", -1, ""), OK);
	login(1, "", S("cleo\0asp-canary"));
	expect_failed(r.front, 1, AUTH_WRONG);
	login(1, "", S("cleo\0new-canary"));
	expect_done(r.front, 1, "cleo");
	assert_int_equal(
	    os_pwrite(fd, file, sizeof(file) - 1, 0), sizeof(file) - 1);
	assert_int_equal(command("user.import", NULL, NULL, fd,
			     "2: unknown scheme\n"
			     "1 added, 0 replaced, 1 refused\n"),
	    OK);
	os_close(&fd);
	assert_int_equal(
	    command("user.import", NULL, NULL, -1, "no file was given"),
	    ERR_INVALID);
	assert_int_equal(
	    command("alias.add", "info@x.org", "cleo", -1, ""), OK);
	assert_int_equal(
	    command("alias.list", NULL, NULL, -1, "info@x.org\tcleo\n"), OK);
	assert_int_equal(
	    command("rcpt", "Info@X.org", NULL, -1, "4 cleo\n"), OK);
	assert_int_equal(
	    command("rcpt", "no@x.org", NULL, -1, "unknown"), ERR_NOTFOUND);
	assert_int_equal(command("user.list", NULL, NULL, -1,
			     "ann\t1\tenabled\tyescrypt\tSCRAM-SHA-256\n"
			     "cleo\t4\tenabled\tyescrypt\tSCRAM-SHA-256\n"
			     "imp\t5\tenabled\tSSHA512\t\n"
			     "off\t2\tdisabled\tyescrypt\tSCRAM-SHA-256\n"
			     "quick\t3\tenabled\tSSHA512\tSCRAM-SHA-256\n"),
	    OK);
	assert_int_equal(command("user.postfix", NULL, NULL, -1,
			     "ann OK\ncleo OK\nimp OK\nquick OK\n"
			     "info@x.org OK\n"),
	    OK);
	/* The sessions of one that is disabled end. */
	assert_int_equal(command("user.disable", "cleo", NULL, -1, ""), OK);
	rig_get(r.mail, MSG_REVOKE, &m);
	assert_int_equal(msg_get_u64(&m), 4);
	msg_free(&m);
	login(1, "", S("cleo\0new-canary"));
	expect_failed(r.front, 1, AUTH_WRONG);
	assert_int_equal(command("user.enable", "cleo", NULL, -1, ""), OK);
	login(1, "", S("cleo\0new-canary"));
	expect_done(r.front, 1, "cleo");
	assert_int_equal(
	    command("user.show", "nobody", NULL, -1, "no such account"),
	    ERR_NOTFOUND);
	assert_int_equal(command("user.show", "cleo", NULL, -1, NULL), OK);
}

/* Mail is told to free what was removed until it says that it did. */
static void
test_forget(void **state)
{
	struct msg m;

	assert_int_equal(command("user.remove", "cleo", NULL, -1, ""), OK);
	rig_get(r.mail, MSG_REVOKE, &m);
	msg_free(&m);
	rig_get(r.mail, MSG_FORGET, &m);
	assert_int_equal(msg_get_u64(&m), 4);
	msg_free(&m);
	assert_int_equal(command("alias.list", NULL, NULL, -1, ""), OK);
	/* A new mail process hears of it. */
	chan_free(&r.mail);
	r.mail = rig_peer(&r, PROC_MAIL, 0);
	rig_get(r.mail, MSG_FORGET, &m);
	assert_int_equal(msg_get_u64(&m), 4);
	msg_free(&m);
	msg_new(&m, MSG_FORGOTTEN);
	msg_u64(&m, 4);
	assert_int_equal(chan_send(r.mail, &m), OK);
	assert_int_equal(command("user.id", "ann", NULL, -1, NULL), OK);
	chan_free(&r.mail);
	r.mail = rig_peer(&r, PROC_MAIL, 0);
	rig_none(r.mail, 100);
	/* The id is not used again. */
	assert_int_equal(command("user.add", "cleo", "x", -1, ""), OK);
	assert_int_equal(command("user.id", "cleo", NULL, -1, "6 cleo\n"), OK);
}

/* Without mail nobody is let in, and it is said to pass. */
static void
test_no_mail(void **state)
{
	struct msg m;

	chan_free(&r.mail);
	login(1, "", S("ann\0pencil-canary"));
	expect_failed(r.front, 1, AUTH_TEMP);
	msg_new(&m, MSG_RCPT);
	msg_u64(&m, 7);
	msg_u32(&m, 0);
	msg_str(&m, S("ann@example.org"));
	msg_u8(&m, 0);
	assert_int_equal(chan_send(r.intake, &m), OK);
	rig_get(r.intake, MSG_RCPT_NO, &m);
	msg_get_u64(&m);
	msg_get_u32(&m);
	assert_int_equal(msg_get_u8(&m), RCPT_TEMP);
	msg_free(&m);
	r.mail = rig_peer(&r, PROC_MAIL, 0);
	login(1, "", S("ann\0pencil-canary"));
	expect_done(r.front, 1, "ann");
}

static void
test_rcpt(void **state)
{
	static const struct {
		const char *address, *name, *detail;
		enum rcpt_fail why;
	} rows[] = {
	    {"ann@example.org", "ann", "", 0},
	    {"Ann+Lists@example.org", "ann", "Lists", 0},
	    {"off@example.org", NULL, NULL, RCPT_DISABLED},
	    {"nobody@example.org", NULL, NULL, RCPT_UNKNOWN},
	    {"", NULL, NULL, RCPT_UNKNOWN},
	};
	uint8_t a[16], b[16];
	struct msg m;

	for (uint32_t i = 0; i < NELEM(rows); i++) {
		msg_new(&m, MSG_RCPT);
		msg_u64(&m, 7);
		msg_u32(&m, i);
		msg_str(&m, str_c(rows[i].address));
		msg_u8(&m, 0);
		assert_int_equal(chan_send(r.intake, &m), OK);
		rig_get(r.intake, rows[i].why ? MSG_RCPT_NO : MSG_RCPT_OK, &m);
		assert_int_equal(msg_get_u64(&m), 7);
		assert_int_equal(msg_get_u32(&m), i);
		if (rows[i].why != 0) {
			assert_int_equal(msg_get_u8(&m), rows[i].why);
			assert_true(msg_end(&m));
			msg_free(&m);
			continue;
		}
		msg_get_bytes(&m, a, 16);
		assert_int_equal(msg_get_u64(&m), 1);
		assert_str(msg_get_str(&m), str_c(rows[i].name));
		assert_str(msg_get_str(&m), str_c(rows[i].detail));
		assert_true(msg_end(&m));
		msg_free(&m);
		rig_get(r.mail, MSG_GRANT, &m);
		msg_get_bytes(&m, b, 16);
		assert_memory_equal(a, b, 16);
		assert_int_equal(msg_get_u8(&m), GRANT_APPEND);
		assert_int_equal(msg_get_u8(&m), PROTO_LMTP);
		msg_free(&m);
	}
}

/* R90: whoever sends nonsense is dropped, alone. */
static void
test_nonsense(void **state)
{
	struct rnd x;

	for_seeds(&x, 200)
	{
		enum proc kind = rnd(&x, 3) == 0 ? PROC_INTAKE
				 : rnd(&x, 2)    ? PROC_FRONT
						 : PROC_MAIL;
		struct chan *c;
		struct msg m;

		if (kind == PROC_MAIL)
			continue;
		c = rig_peer(&r, kind, 9);
		for (int i = 0; i < 4; i++) {
			msg_new(&m, rnd(&x, 4) == 0 ? rnd(&x, MSG_TYPE_MAX)
				    : kind == PROC_FRONT
					? MSG_AUTH_START + rnd(&x, 3)
					: MSG_RCPT);
			for (size_t k = rnd(&x, 12); k > 0; k--)
				switch (rnd(&x, 4)) {
				case 0:
					msg_u64(&m, rnd(&x, 3));
					break;
				case 1:
					msg_u8(&m, (uint8_t)rnd(&x, 4));
					break;
				case 2:
					msg_str(&m, S("PLAIN"));
					break;
				default:
					msg_u32(&m, (uint32_t)rnd64(&x));
				}
			(void)chan_send(c, &m);
		}
		chan_free(&c);
	}
	login(1, "", S("ann\0pencil-canary"));
	expect_done(r.front, 1, "ann");
}

/* A copy that is a database, made while the server works. */
static void
test_backup(void **state)
{
	char dir[128], path[160];
	struct auth *a = NULL;
	uint64_t id;
	int fd;

	snprintf(dir, sizeof(dir), "%s/copy", r.data);
	assert_int_equal(os_mkdir(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/secrets.mdb", dir);
	fd = os_open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(command("backup", NULL, NULL, fd, ""), OK);
	os_close(&fd);
	assert_int_equal(auth_open(&a, dir, &conf), OK);
	assert_int_equal(auth_check(a, S("ann"), S("pencil-canary"), &id), OK);
	auth_close(&a);
	assert_int_equal(command("backup", NULL, NULL, -1, "no file was given"),
	    ERR_INVALID);
}

/* Settings that arrive; malformed ones change nothing. */
static void
test_settings(void **state)
{
	struct msg m;

	msg_new(&m, MSG_SETTINGS);
	msg_str(&m, S("x.org"));
	assert_int_equal(chan_send(r.sup, &m), OK);
	assert_int_equal(command("rcpt", "ann@x.org", NULL, -1, "1 ann\n"), OK);
	assert_int_equal(
	    command("rcpt", "ann@y.org", NULL, -1, "unknown"), ERR_NOTFOUND);
	assert_int_equal(command("user.postfix", NULL, NULL, -1,
			     "ann@x.org OK\ncleo@x.org OK\nimp@x.org OK\n"
			     "quick@x.org OK\n"),
	    OK);
	msg_new(&m, MSG_SETTINGS);
	msg_str(&m, S("?"));
	assert_int_equal(chan_send(r.sup, &m), OK);
	assert_int_equal(command("rcpt", "ann@x.org", NULL, -1, "1 ann\n"), OK);
}

/* R43: no password in any line that was logged. */
static int logged = -1;

static void
test_canary(void **state)
{
	struct buf b = {0};
	ssize_t n;
	char *p = buf_room(&b, 1 << 20);

	n = os_pread(logged, p, 1 << 20, 0);
	assert_true(n > 0);
	b.n = (size_t)n;
	assert_true(str_find(buf_str(&b), S("login failed")) < b.n);
	assert_true(str_find(buf_str(&b), S("user=ann")) < b.n);
	assert_int_equal(str_find(buf_str(&b), S("canary")), b.n);
	buf_free(&b);
}

static int
setup(void **state)
{
	logged = os_memfd("log");
	log_fd(logged);
	log_setup("t_auth", LOG_INFO);
	limits.auth_delay_ms = 5;
	limits.auth_delay_max_ms = 5;
	rig_start(&r, "server", &conf, fill);
	return 0;
}

static int
teardown(void **state)
{
	rig_stop(&r);
	limits_default(&limits);
	log_setup("t_auth", LOG_ERROR);
	log_fd(2);
	os_close(&logged);
	return 0;
}

/* R88: in its box it still does all of its work. */
static void
test_boxed(void **state)
{
	struct msg m;

	login(1, "", S("ann\0pencil-canary"));
	expect_done(r.front, 1, "ann");
	login(1, "PLAIN", S("\0quick\0pencil-canary"));
	expect_done(r.front, 1, "quick");
	assert_int_equal(command("user.add", "cleo", "asp", -1, ""), OK);
	login(1, "PLAIN", S("\0cleo\0asp"));
	expect_done(r.front, 1, "cleo");
	rig_login(r.front, 2, "SCRAM-SHA-256", NULL, ADDR, STR_NONE);
	challenge(r.front, 2, S(""));
	step(r.front, 2, S("n,,n=cleo,r=abcdef"));
	rig_get(r.front, MSG_AUTH_CHALLENGE, &m);
	msg_free(&m);
	assert_int_equal(command("user.remove", "cleo", NULL, -1, ""), OK);
	int fd = os_open(in_work("boxed/copy"), O_CREAT | O_WRONLY, 0600);
	assert_int_equal(command("backup", NULL, NULL, fd, ""), OK);
	os_close(&fd);
}

static int
setup_boxed(void **state)
{
	limits.auth_delay_ms = limits.auth_delay_max_ms = 5;
	r.box = true;
	rig_start(&r, "boxed", &conf, fill);
	return 0;
}

static int
teardown_boxed(void **state)
{
	rig_stop(&r);
	limits_default(&limits);
	r.box = false;
	return 0;
}

/* Runs first: it forks, so there must be no thread yet. */
int
t_boxed(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_boxed)};

	return cmocka_run_group_tests_name(
	    "boxed", tests, setup_boxed, teardown_boxed);
}

int
t_server(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_login),
	    cmocka_unit_test(test_steps),
	    cmocka_unit_test(test_crowd),
	    cmocka_unit_test(test_late),
	    cmocka_unit_test(test_throttled),
	    cmocka_unit_test(test_announced),
	    cmocka_unit_test(test_commands),
	    cmocka_unit_test(test_forget),
	    cmocka_unit_test(test_no_mail),
	    cmocka_unit_test(test_rcpt),
	    cmocka_unit_test(test_nonsense),
	    cmocka_unit_test(test_backup),
	    cmocka_unit_test(test_settings),
	    cmocka_unit_test(test_canary),
	};

	return cmocka_run_group_tests_name("server", tests, setup, teardown);
}
