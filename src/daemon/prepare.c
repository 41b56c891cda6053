/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What the supervisor does before its first child: users, folders, the lock,
 * certificates, listeners. Each failure is a sentence that says what to do.
 *
 * (1) A private key is opened, never read, and must be its owner's alone.
 * (2) As root DATA belongs to the user of mail, DATA/auth to the user of
 *     auth, DATA/tls and DATA/run to root.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "daemon/supervisor.h"

#define POSTFIX_DIR "/var/spool/postfix/private"

/* ---- users ---- */

static bool
find_user(str name, uid_t *uid, gid_t *gid)
{
	char *c = x_cstr(name);
	struct passwd *pw = getpwnam(c);

	if (pw != NULL) {
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
	}
	x_free(&c);
	return pw != NULL;
}

/* One command that makes all who are missing, to be pasted. */
static void
say_missing(str names, struct buf *why)
{
	str rest = names;
	bool one;

	(void)str_cut(&rest, ' ');
	one = rest.n == 0;
	buf_f(why, "no user %.*s; make %s with: ", STR_ARG(names),
	    one ? "it" : "them");
	if (!one)
		buf_f(why, "for u in %.*s; do ", STR_ARG(names));
	buf_s(why, "useradd --system --user-group --shell /usr/sbin/nologin "
		   "--home-dir /nonexistent ");
	if (one)
		buf_str_add(why, names);
	else
		buf_s(why, "$u; done");
}

static bool
find_users(struct supervisor *v, struct buf *why)
{
	const struct settings *s = *v->settings;
	const struct {
		enum proc kind;
		str name;
	} users[] = {
	    {PROC_MAIL, s->user_mail},
	    {PROC_FRONT, s->user_front},
	    {PROC_INTAKE, s->user_front},
	    {PROC_AUTH, s->user_auth},
	    {PROC_KEYS, s->user_keys},
	};
	struct buf missing = {0};
	bool ok;

	for (size_t i = 0; i < NELEM(users); i++) {
		v->ids[users[i].kind].uid = (uid_t)-1;
		v->ids[users[i].kind].gid = (gid_t)-1;
		if (geteuid() != 0 || users[i].name.n == 0)
			continue;
		if (find_user(users[i].name, &v->ids[users[i].kind].uid,
			&v->ids[users[i].kind].gid) ||
		    users[i].kind == PROC_INTAKE)
			continue;
		buf_f(&missing, "%s%.*s", missing.n > 0 ? " " : "",
		    STR_ARG(users[i].name));
	}
	ok = missing.n == 0;
	if (!ok)
		say_missing(buf_str(&missing), why);
	buf_free(&missing);
	return ok;
}

/* ---- folders ---- */

static char *
below(const struct supervisor *v, const char *name)
{
	struct buf b = {0};
	char *out;

	buf_f(&b, "%s%s%s", v->data, name[0] != '\0' ? "/" : "", name);
	out = x_cstr(buf_str(&b));
	buf_free(&b);
	return out;
}

static bool
make_folder(struct supervisor *v, const char *name, mode_t mode,
    enum proc owner, struct buf *why)
{
	char *path = below(v, name);
	uid_t uid = owner == PROC_SUPERVISOR ? (uid_t)-1 : v->ids[owner].uid;
	gid_t gid = owner == PROC_SUPERVISOR ? (gid_t)-1 : v->ids[owner].gid;
	struct stat st;
	bool ok = false;

	if (os_mkdir_durable(path, mode) != 0 || stat(path, &st) != 0)
		buf_f(why, "cannot make %s: %s", path, strerror(errno));
	else if (uid != (uid_t)-1 && (st.st_uid != uid || st.st_gid != gid) &&
		 chown(path, uid, gid) != 0)
		buf_f(why, "cannot give %s to its user: %s", path,
		    strerror(errno));
	else if (geteuid() == 0 && (st.st_mode & 07777) != mode &&
		 chmod(path, mode) != 0)
		buf_f(why, "cannot set the mode of %s: %s", path,
		    strerror(errno));
	else
		ok = true;
	x_free(&path);
	return ok;
}

static bool
make_folders(struct supervisor *v, struct buf *why)
{
	char *path = NULL;

	if (os_mkdir_above(v->data, 0755) != 0) {
		buf_f(why, "cannot make the folders above %s: %s", v->data,
		    strerror(errno));
		return false;
	}
	if (!make_folder(v, "", 0711, PROC_MAIL, why) ||
	    !make_folder(v, "auth", 0700, PROC_AUTH, why) ||
	    !make_folder(v, "tls", 0700, PROC_SUPERVISOR, why) ||
	    !make_folder(v, "run", 0711, PROC_SUPERVISOR, why))
		return false;
	path = below(v, "run/serve.lock");
	v->lock = os_lock(path);
	if (v->lock < 0)
		buf_f(why,
		    errno == EWOULDBLOCK ? "a server runs already on %s"
					 : "cannot lock %s",
		    v->data);
	x_free(&path);
	return v->lock >= 0;
}

/* Tried as the user: false, and in copy the first folder on the way to path
 * that it may not pass through. */
static bool
may_pass(const char *path, uid_t uid, gid_t gid, char *copy)
{
	size_t n = 1;
	bool ok = setegid(gid) == 0 && seteuid(uid) == 0;

	while (ok) {
		memcpy(copy, path, n);
		copy[n] = '\0';
		ok = faccessat(AT_FDCWD, copy, X_OK, AT_EACCESS) == 0;
		if (path[n] == '\0')
			break;
		for (n++; ok && path[n] != '\0' && path[n] != '/';)
			n++;
	}
	return seteuid(0) == 0 && setegid(0) == 0 && ok;
}

/* Root reaches every folder, the users do not: a home of root above DATA
 * would end their processes again and again. */
static bool
users_reach(const struct supervisor *v, struct buf *why)
{
	const struct settings *s = *v->settings;
	const struct {
		enum proc kind;
		str name;
	} users[] = {{PROC_MAIL, s->user_mail}, {PROC_AUTH, s->user_auth}};
	char *copy = x_alloc(strlen(v->data) + 2);
	bool ok = true;

	for (size_t i = 0; i < NELEM(users) && ok; i++) {
		uid_t uid = v->ids[users[i].kind].uid;

		if (uid == (uid_t)-1)
			continue;
		ok = may_pass(v->data, uid, v->ids[users[i].kind].gid, copy);
		if (!ok)
			buf_f(why,
			    "the user \"%.*s\" may not pass through %s: "
			    "choose another --data, or allow it with: "
			    "chmod o+x %s",
			    STR_ARG(users[i].name), copy, copy);
	}
	x_free(&copy);
	return ok;
}

/* Files that an earlier command of root made there are the users' too. */
static void
give_files(struct supervisor *v)
{
	static const struct {
		const char *dir;
		enum proc owner;
	} dirs[] = {{"", PROC_MAIL}, {"log", PROC_MAIL}, {"index", PROC_MAIL},
	    {"auth", PROC_AUTH}};

	for (size_t i = 0; i < NELEM(dirs) && geteuid() == 0; i++)
		os_give(v->data, dirs[i].dir, v->ids[dirs[i].owner].uid,
		    v->ids[dirs[i].owner].gid);
}

/* ---- certificates ---- */

/* The key as an open file (1). */
static int
open_key(const char *path, struct buf *why)
{
	struct stat st;
	int fd;

	if ((fd = os_open(path, O_RDONLY, 0)) < 0 || fstat(fd, &st) != 0) {
		buf_f(why, "cannot open the key %s: %s", path, strerror(errno));
	} else if ((st.st_mode & 0077) != 0 &&
		   !((st.st_mode & 0037) == 0 && st.st_uid == 0)) {
		buf_f(why,
		    "others may read the key %s; mend it with: chmod 600 %s",
		    path, path);
		os_close(&fd);
	}
	return fd;
}

static bool
read_chain(const char *path, struct buf *out, struct buf *why)
{
	BIO *bio;
	X509 *x;
	enum err e;

	if ((e = os_slurp(path, 1 << 20, out)) != OK) {
		buf_f(why, "cannot read the certificate %s: %s", path,
		    err_name(e));
		return false;
	}
	bio = BIO_new_mem_buf(out->p, (int)out->n);
	x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	X509_free(x);
	if (x == NULL)
		buf_f(why, "%s holds no certificate in PEM", path);
	return x != NULL;
}

struct chains {
	struct buf certs[CERTS_MAX];
	int keys[CERTS_MAX];
	uint32_t n;
	struct buf ca;
};

static void
chains_free(struct chains *c)
{
	for (uint32_t i = 0; i < c->n; i++) {
		buf_free(&c->certs[i]);
		if (c->keys[i] >= 0)
			os_close(&c->keys[i]);
	}
	buf_free(&c->ca);
}

/* In a child of its own, so that no process that is later forked ever held
 * the key (1): why the pair cannot serve, or 0. */
enum { PAIR_GOOD, PAIR_KEY, PAIR_KIND, PAIR_OTHER };
static int
pair_look(str chain, int fd)
{
	static char pem[64 << 10];
	BIO *cb = BIO_new_mem_buf(chain.p, (int)chain.n), *kb;
	X509 *x = PEM_read_bio_X509(cb, NULL, NULL, NULL);
	ssize_t n = os_pread(fd, pem, sizeof(pem), 0);
	EVP_PKEY *key = NULL;

	if (n > 0 && (kb = BIO_new_mem_buf(pem, (int)n)) != NULL)
		key = PEM_read_bio_PrivateKey(
		    kb, NULL, NULL, (void *)(uintptr_t) "");
	if (key == NULL || x == NULL)
		return PAIR_KEY;
	if (!EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "EC"))
		return PAIR_KIND;
	return X509_check_private_key(x, key) == 1 ? PAIR_GOOD : PAIR_OTHER;
}

static bool
pair_fits(str chain, int fd, const char *cert, const char *key, struct buf *why)
{
	static const char *const says[] = {
	    [PAIR_KEY] = "%s holds no private key in PEM without a password",
	    [PAIR_KIND] = "the key %s is neither RSA nor ECDSA",
	    [PAIR_OTHER] = "the key %s does not belong to the certificate",
	};
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(pair_look(chain, fd));
	if (pid > 0)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == PAIR_GOOD)
		return true;
	status = pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : PAIR_KEY;
	if (status >= (int)NELEM(says))
		status = PAIR_KEY;
	buf_f(why, says[status], key);
	if (status == PAIR_OTHER)
		buf_f(why, " %s", cert);
	return false;
}

static bool
add_chain(struct chains *c, str cert, str key, struct buf *why)
{
	char *cp = x_cstr(cert), *kp = x_cstr(key);
	bool ok = false;

	if (c->n < CERTS_MAX) {
		c->keys[c->n] = -1;
		ok = read_chain(cp, &c->certs[c->n], why) &&
		     (c->keys[c->n] = open_key(kp, why)) >= 0 &&
		     pair_fits(
			 buf_str(&c->certs[c->n]), c->keys[c->n], cp, kp, why);
		c->n++;
	} else {
		buf_f(why, "more than %d certificates", CERTS_MAX);
	}
	x_free(&cp);
	x_free(&kp);
	return ok;
}

static bool
read_chains(struct supervisor *v, const struct settings *s, struct chains *c,
    struct buf *why)
{
	struct buf cert = {0}, key = {0};
	str certs = s->tls_cert, keys = s->tls_key, one, other;
	bool ok = true;
	char *dir, *path;

	if (certs.n == 0 && keys.n == 0) {
		dir = below(v, "tls");
		buf_f(&cert, "%s/cert.pem", dir);
		buf_f(&key, "%s/key.pem", dir);
		ok = cert_ensure(dir, s->hostname, why) == OK &&
		     add_chain(c, buf_str(&cert), buf_str(&key), why);
		x_free(&dir);
		buf_free(&cert);
		buf_free(&key);
	}
	while (ok && (certs.n > 0 || keys.n > 0)) {
		one = str_cut(&certs, ' ');
		other = str_cut(&keys, ' ');
		if (one.n == 0 || other.n == 0) {
			buf_s(why, "tls_cert and tls_key come in pairs");
			ok = false;
		} else {
			ok = add_chain(c, one, other, why);
		}
	}
	if (ok && s->tls_client_ca.n > 0) {
		path = x_cstr(s->tls_client_ca);
		ok = read_chain(path, &c->ca, why);
		x_free(&path);
	}
	return ok;
}

enum err
supervisor_certs(
    struct supervisor *v, const struct settings *s, struct buf *why)
{
	struct chains *c = x_alloc(sizeof(*c));
	bool ok = read_chains(v, s, c, why);

	if (!ok) {
		chains_free(c);
		x_free(&c);
		return ERR_INVALID;
	}
	for (uint32_t i = 0; i < v->ncerts; i++) {
		buf_free(&v->certs[i]);
		os_close(&v->keys[i]);
	}
	buf_free(&v->client_ca);
	memcpy(v->certs, c->certs, sizeof(v->certs));
	memcpy(v->keys, c->keys, sizeof(v->keys));
	v->ncerts = c->n;
	v->client_ca = c->ca;
	v->key_base += CERTS_MAX;
	x_free(&c);
	return OK;
}

/* ---- listeners ---- */

static bool
listen_on(struct supervisor *v, const struct os_addr *a, const char *word,
    enum proc serves, enum protocol p, bool tls, mode_t mode, struct buf *why)
{
	struct listener *l = &v->listeners[v->nlisteners];
	struct buf text = {0};
	uint16_t port = 0;
	int error;

	if (v->nlisteners == LISTENERS_MAX) {
		buf_s(why, "too many listeners");
		return false;
	}
	if (a->ss.ss_family == AF_INET6)
		buf_c(&text, '[');
	os_addr_print(a, &text, &port);
	if (a->ss.ss_family == AF_INET6)
		buf_c(&text, ']');
	l->fd = os_listen(a, 1024, mode);
	error = errno;
	if (l->fd < 0) {
		buf_f(why, "cannot serve %s on %.*s", word,
		    STR_ARG(buf_str(&text)));
		if (a->ss.ss_family != AF_UNIX)
			buf_f(why, ":%u", port);
		buf_f(why, ": %s%s", strerror(error),
		    error == EADDRINUSE
			? "; another program has it, or choose another port"
		    : error == EACCES ? "; ports below 1024 need root"
				      : "");
		buf_free(&text);
		return false;
	}
	l->serves = serves;
	l->protocol = p;
	l->tls = tls;
	if (a->ss.ss_family != AF_UNIX)
		buf_f(&l->text, "%s on %.*s:%u", word, STR_ARG(buf_str(&text)),
		    port);
	v->nlisteners++;
	buf_free(&text);
	return true;
}

/* The listener just made stands at a path: told, and removed at the end. */
static void
name_path(struct supervisor *v, const char *word, str path)
{
	struct listener *l = &v->listeners[v->nlisteners - 1];

	l->unlink = x_cstr(path);
	buf_f(&l->text, "%s on %s", word, l->unlink);
}

/* One of the lists of the settings, or its default. */
static bool
listen_list(struct supervisor *v, str list, const char *fallback,
    const char *word, enum proc serves, enum protocol p, bool tls,
    struct buf *why)
{
	struct os_addr addr[4];
	str one;
	size_t n;
	bool any;

	if (list.n == 0)
		list = str_c(fallback);
	while (list.n > 0) {
		one = str_cut(&list, ' ');
		if (one.n == 0)
			continue;
		if (os_addr_parse(one, addr, NELEM(addr), &n) != OK) {
			buf_f(why, "%.*s is no address", STR_ARG(one));
			return false;
		}
		any = false;
		for (size_t i = 0; i < n; i++) {
			struct buf this = {0};

			if (listen_on(v, &addr[i], word, serves, p, tls, 0666,
				&this)) {
				any = true;
				if (one.p[0] == '/')
					name_path(v, word, one);
			} else if (n == 1 || errno == EADDRINUSE ||
				   errno == EACCES || (i + 1 == n && !any)) {
				/* A family that this machine lacks is
				 * passed over when both were meant. */
				buf_str_add(why, buf_str(&this));
				buf_free(&this);
				return false;
			}
			buf_free(&this);
		}
	}
	return true;
}

/* The user of the MTA on this machine, who may connect beside root. */
static const char *
mta_user(void)
{
	static const char *const names[] = {"postfix", "Debian-exim"};

	for (size_t i = 0; i < NELEM(names); i++)
		if (getpwnam(names[i]) != NULL)
			return names[i];
	return NULL;
}

/* A UNIX socket at path; packets: for the command line. */
static bool
listen_unix(struct supervisor *v, const char *path, const char *word,
    enum proc serves, enum protocol p, bool packets, mode_t mode,
    const char *owner, struct buf *why)
{
	struct os_addr addr;
	struct passwd *pw = owner != NULL ? getpwnam(owner) : NULL;
	struct listener *l;
	size_t n;

	if (os_addr_parse(str_c(path), &addr, 1, &n) != OK) {
		buf_f(why,
		    "the path %s is too long for a socket; choose a shorter "
		    "--data",
		    path);
		return false;
	}
	addr.packets = packets;
	if (!listen_on(v, &addr, word, serves, p, false, mode, why))
		return false;
	l = &v->listeners[v->nlisteners - 1];
	l->unlink = x_cstr(str_c(path));
	if (pw != NULL && geteuid() == 0 &&
	    chown(path, pw->pw_uid, pw->pw_gid) != 0)
		log_warn("cannot give a socket to its user", KV_C("path", path),
		    KV_ERRNO(errno));
	if (!packets && word != NULL)
		buf_f(&l->text, "%s on %s", word, path);
	return true;
}

static bool
listen_lmtp(struct supervisor *v, struct buf *why)
{
	const struct settings *s = *v->settings;
	bool root = geteuid() == 0, ok;
	char *path;

	if (s->lmtp.n > 0)
		return listen_list(v, s->lmtp, "", "LMTP", PROC_INTAKE,
		    PROTO_LMTP, false, why);
	path = below(v, "run/lmtp.sock");
	ok = listen_unix(v, path, "LMTP", PROC_INTAKE, PROTO_LMTP, false,
	    root ? 0660 : 0600, mta_user(), why);
	x_free(&path);
	if (ok && root && access(POSTFIX_DIR, W_OK) == 0)
		ok = listen_unix(v, POSTFIX_DIR "/restante", "LMTP",
		    PROC_INTAKE, PROTO_LMTP, false, 0600, "postfix", why);
	if (ok && !root)
		ok = listen_list(v, S("127.0.0.1:2024"), "", "LMTP",
		    PROC_INTAKE, PROTO_LMTP, false, why);
	return ok;
}

static bool
listen_all(struct supervisor *v, struct buf *why)
{
	const struct settings *s = *v->settings;
	bool root = geteuid() == 0;
	char *control = below(v, "run/control.sock"),
	     *auth = below(v, "run/auth.sock"), *dovecot;
	bool ok;

	ok = listen_list(v, s->imap, root ? "*:143" : "127.0.0.1:1143", "IMAP",
		 PROC_FRONT, PROTO_IMAP, false, why) &&
	     listen_list(v, s->imaps, root ? "*:993" : "127.0.0.1:1993",
		 "IMAPS", PROC_FRONT, PROTO_IMAP, true, why) &&
	     listen_list(v, s->pop3, root ? "*:110" : "127.0.0.1:1110", "POP3",
		 PROC_FRONT, PROTO_POP3, false, why) &&
	     listen_list(v, s->pop3s, root ? "*:995" : "127.0.0.1:1995",
		 "POP3S", PROC_FRONT, PROTO_POP3, true, why) &&
	     listen_lmtp(v, why) &&
	     listen_unix(v, control, "control", PROC_MAIL, PROTO_CONTROL, true,
		 0600, NULL, why) &&
	     listen_unix(v, auth, "control", PROC_AUTH, PROTO_CONTROL, true,
		 0600, NULL, why);
	if (ok && s->auth_socket.n > 0) {
		dovecot = x_cstr(s->auth_socket);
		ok = listen_unix(v, dovecot, "auth", PROC_AUTH, PROTO_LMTP,
		    false, root ? 0660 : 0600, mta_user(), why);
		x_free(&dovecot);
	}
	x_free(&control);
	x_free(&auth);
	return ok;
}

void
supervisor_say(const struct supervisor *v)
{
	for (size_t i = 0; i < v->nlisteners; i++)
		if (v->listeners[i].text.n > 0)
			printf("restante: %.*s\n",
			    STR_ARG(buf_str(&v->listeners[i].text)));
	printf("restante: ready\n");
	fflush(stdout);
}

/* ---- the whole ---- */

static uint32_t
count_fronts(const struct settings *s)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t n;

	if (str_u32(s->fronts, &n))
		return n;
	return (uint32_t)MIN(MAX(cores, 2), FRONTS_MAX);
}

/* The system's name, when none is set. */
static void
name_host(struct settings *s)
{
	char host[256] = "localhost";
	struct buf why = {0};

	if (s->hostname.n == 0 && gethostname(host, sizeof(host) - 1) == 0 &&
	    settings_set(s, S("hostname"), str_c(host), S("hostname"), &why) !=
		OK)
		log_warn("the system's name is odd");
	buf_free(&why);
}

int
supervisor_prepare(struct supervisor *v, struct buf *why)
{
	uint64_t have;

	v->lock = v->signals = -1;
	name_host(*v->settings);
	v->fronts = count_fronts(*v->settings);
	if (os_fd_limit(
		(*v->settings)->limits.connections_max * 2 + 1000, &have) != OK)
		log_warn("the limit of descriptors cannot be raised");
	v->counts = mmap(NULL, (size_t)v->fronts * 65536 * sizeof(uint32_t),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v->counts == MAP_FAILED) {
		v->counts = NULL;
		buf_s(why, "no memory");
		return EX_OSERR;
	}
	if (!find_users(v, why))
		return EX_NOUSER;
	if (!make_folders(v, why))
		return EX_CANTCREAT;
	if (!users_reach(v, why))
		return EX_NOPERM;
	give_files(v);
	if (supervisor_certs(v, *v->settings, why) != OK)
		return EX_CONFIG;
	if (!listen_all(v, why))
		return EX_UNAVAILABLE;
	return EX_OK;
}

void
supervisor_close(struct supervisor *v)
{
	for (size_t i = 0; i < v->nlisteners; i++) {
		if (v->listeners[i].fd >= 0)
			os_close(&v->listeners[i].fd);
		if (v->listeners[i].unlink != NULL)
			(void)unlink(v->listeners[i].unlink);
		x_free(&v->listeners[i].unlink);
		buf_free(&v->listeners[i].text);
	}
	for (uint32_t i = 0; i < v->ncerts; i++) {
		buf_free(&v->certs[i]);
		if (v->keys[i] >= 0)
			os_close(&v->keys[i]);
	}
	buf_free(&v->client_ca);
	if (v->counts != NULL)
		munmap(v->counts, (size_t)v->fronts * 65536 * sizeof(uint32_t));
	if (v->signals >= 0)
		os_close(&v->signals);
	if (v->lock >= 0)
		os_close(&v->lock);
}
