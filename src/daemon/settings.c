/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * The table of settings, reading and printing them.
 *
 * (1) Strings are owned by the settings; a setting that collects grows its
 *     string with a space between.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/settings.h"
#include "lmtp/lmtp.h"
#include "os/os.h"

#define FILE_MAX (1 << 20)
#define VALUE_MAX 8192

enum kind {
	KIND_TEXT,
	KIND_LIST,  /* collects */
	KIND_ADDRS, /* a list of addresses to listen on */
	KIND_NETS,  /* a list of networks */
	KIND_BOOL,
	KIND_CHOICE, /* bool: the second word of the choice is true */
	KIND_SCRAM,
	KIND_LEVEL,
	KIND_AUTO,  /* "auto" or a number from 1 on */
	KIND_MAYBE, /* a number, or nothing */
	KIND_LIMIT
};

struct row {
	const char *name;
	enum kind kind;
	size_t at;         /* offset in struct settings */
	const char *value; /* default */
	const char *doc;
	const char *choice; /* KIND_CHOICE: "refuse fix" */
	uint64_t lo, hi;
};

/* clang-format off */
#define AT(f) offsetof(struct settings, f)
static const struct row rows[] = {
	{"imap", KIND_ADDRS, AT(imap), "", "where IMAP is served, ADDR:PORT; may be given several times", NULL, 0, 0},
	{"imaps", KIND_ADDRS, AT(imaps), "", "where IMAP with TLS from the first byte is served", NULL, 0, 0},
	{"pop3", KIND_ADDRS, AT(pop3), "", "where POP3 is served", NULL, 0, 0},
	{"pop3s", KIND_ADDRS, AT(pop3s), "", "where POP3 with TLS from the first byte is served", NULL, 0, 0},
	{"lmtp", KIND_ADDRS, AT(lmtp), "", "where mail is taken in, ADDR:PORT or the path of a UNIX socket", NULL, 0, 0},
	{"hostname", KIND_TEXT, AT(hostname), "", "the name in greetings and Received lines; default: the system's", NULL, 0, 0},
	{"tls_cert", KIND_LIST, AT(tls_cert), "", "file with a certificate and its chain, PEM; may be given several times, chosen by name; default: one made at first start", NULL, 0, 0},
	{"tls_key", KIND_LIST, AT(tls_key), "", "file with the private key of the certificate at the same place, PEM", NULL, 0, 0},
	{"tls_client_ca", KIND_TEXT, AT(tls_client_ca), "", "file with the authority that signs client certificates, PEM: turns EXTERNAL on", NULL, 0, 0},
	{"tls_strict_sni", KIND_BOOL, AT(tls_strict_sni), "no", "refuse TLS for a name that no certificate has", NULL, 0, 0},
	{"domains", KIND_LIST, AT(domains), "", "domains whose addresses may be delivered to the bare local part; default: any", NULL, 0, 0},
	{"lmtp_networks", KIND_NETS, AT(lmtp_networks), "", "networks, ADDR/BITS, from which mail is taken in, beside this machine", NULL, 0, 0},
	{"lmtp_bare_lf", KIND_CHOICE, AT(lmtp_bare_lf_fix), "refuse", "a line feed without carriage return in a message over LMTP: refuse the message, or fix it", "refuse fix", 0, 0},
	{"plaintext_loopback", KIND_BOOL, AT(plaintext_loopback), "yes", "passwords in clear are taken from this machine itself", NULL, 0, 0},
	{"scram_keys", KIND_SCRAM, AT(scram_sha1), "sha256", "keys that are made with a new password: sha256, sha1 (both may be named), or none", NULL, 0, 0},
	{"auth_socket", KIND_TEXT, AT(auth_socket), "", "path of a socket on which Dovecot's auth protocol is served, for the MTA's submission", NULL, 0, 0},
	{"pop3_login_delay", KIND_MAYBE, AT(pop3_login_delay), "", "seconds between two POP3 logins that LOGIN-DELAY announces; default: none", NULL, 1, 86400},
	{"user_mail", KIND_TEXT, AT(user_mail), "restante", "user of the process that keeps the mail, when started as root", NULL, 0, 0},
	{"user_front", KIND_TEXT, AT(user_front), "restante-front", "user of the processes that meet strangers", NULL, 0, 0},
	{"user_auth", KIND_TEXT, AT(user_auth), "restante-auth", "user of the process that checks passwords", NULL, 0, 0},
	{"user_keys", KIND_TEXT, AT(user_keys), "restante-keys", "user of the process that holds the private keys", NULL, 0, 0},
	{"dedup_across_accounts", KIND_BOOL, AT(dedup_across_accounts), "no", "compaction keeps one copy of a body that several accounts have", NULL, 0, 0},
	{"log_level", KIND_LEVEL, AT(log_level), "info", "the least that is logged: debug, info, warn or error", NULL, 0, 0},
	{"fronts", KIND_AUTO, AT(fronts), "auto", "processes that meet clients; auto: one for each core, two at least", NULL, 1, 256},
	{"threads", KIND_AUTO, AT(threads), "auto", "the most threads of the process that keeps the mail; auto: 64", NULL, 1, 4096},
#define X(name, kind, value, lo, hi, unit, what) {#name, KIND_LIMIT, AT(limits.name), #value, what " (" unit ")", NULL, lo, hi},
	LIMITS(X)
#undef X
};
/* clang-format on */

static const struct {
	const char *name;
	enum log_level level;
} levels[] = {
    {"debug", LOG_DEBUG},
    {"info", LOG_INFO},
    {"warn", LOG_WARN},
    {"error", LOG_ERROR},
};

static str *
text_at(struct settings *s, const struct row *r)
{
	return (str *)(void *)((char *)s + r->at);
}

static bool *
bool_at(struct settings *s, const struct row *r)
{
	return (bool *)(void *)((char *)s + r->at);
}

static _Atomic uint64_t *
limit_at(struct settings *s, const struct row *r)
{
	return (_Atomic uint64_t *)(void *)((char *)s + r->at);
}

static bool
collects(const struct row *r)
{
	return r->kind == KIND_LIST || r->kind == KIND_ADDRS ||
	       r->kind == KIND_NETS;
}

static bool
is_text(const struct row *r)
{
	return r->kind == KIND_TEXT || collects(r) || r->kind == KIND_AUTO ||
	       r->kind == KIND_MAYBE;
}

static const struct row *
row_find(str name)
{
	for (size_t i = 0; i < NELEM(rows); i++)
		if (str_eq(name, str_c(rows[i].name)))
			return &rows[i];
	return NULL;
}

const char *
settings_name(size_t i)
{
	return i < NELEM(rows) ? rows[i].name : NULL;
}

/* Levenshtein's distance of two short names. */
static size_t
distance(str a, str b)
{
	size_t row[64], left, diag;

	if (a.n > 60 || b.n > 60)
		return SIZE_MAX;
	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		diag = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			left = MIN(row[j], row[j - 1]) + 1;
			diag += a.p[i - 1] != b.p[j - 1];
			diag = MIN(diag, left);
			left = row[j];
			row[j] = diag;
			diag = left;
		}
	}
	return row[b.n];
}

/* A name whose beginning was meant beats one that is merely near. */
static const char *
nearest(str name)
{
	size_t best = SIZE_MAX, d;
	const char *at = rows[0].name;

	for (size_t i = 0; i < NELEM(rows); i++) {
		str have = str_c(rows[i].name);

		d = distance(name, have);
		if (d < SIZE_MAX && name.n >= 4 &&
		    (str_starts(have, str_head(name, 4)) ||
			str_starts(name, have)))
			d = d > 4 ? d - 4 : 0;
		if (d < best) {
			best = d;
			at = rows[i].name;
		}
	}
	return at;
}

static void
set_text(str *to, str value, bool collect)
{
	struct buf b = {0};

	if (collect && value.n == 0 && to->n > 0)
		return;
	if (collect && to->n > 0) {
		buf_str_add(&b, *to);
		buf_c(&b, ' ');
	}
	buf_str_add(&b, value);
	x_free_str(to);
	*to = x_dup(buf_str(&b));
	buf_free(&b);
}

static bool
parse_bool(str v, bool *out)
{
	static const char *const yes[] = {"yes", "true", "on"};
	static const char *const no[] = {"no", "false", "off"};

	for (size_t i = 0; i < NELEM(yes); i++) {
		if (str_caseeq(v, str_c(yes[i])))
			return *out = true, true;
		if (str_caseeq(v, str_c(no[i])))
			return *out = false, true;
	}
	return false;
}

static bool
parse_choice(const char *choice, str v, bool *out)
{
	str rest = str_c(choice);
	str first = str_cut(&rest, ' ');

	if (!str_caseeq(v, rest) && !str_caseeq(v, first))
		return false;
	*out = str_caseeq(v, rest);
	return true;
}

static bool
parse_scram(struct settings *s, str v)
{
	bool sha1 = false, sha256 = false, none = false;
	str word;

	while (v.n > 0) {
		word = str_cut(&v, ' ');
		if (str_caseeq(word, S("sha1")))
			sha1 = true;
		else if (str_caseeq(word, S("sha256")))
			sha256 = true;
		else if (str_caseeq(word, S("none")))
			none = true;
		else if (word.n > 0)
			return false;
	}
	if (none == (sha1 || sha256))
		return false;
	s->scram_sha1 = sha1;
	s->scram_sha256 = sha256;
	return true;
}

/* "65536", or with k, m, g for bytes: "64k". */
static bool
parse_limit(const struct row *r, str v, _Atomic uint64_t *out)
{
	uint64_t unit = 1, n;
	char last = v.n > 1 ? v.p[v.n - 1] : '0';

	if (last == 'k' || last == 'K')
		unit = 1 << 10;
	else if (last == 'm' || last == 'M')
		unit = 1 << 20;
	else if (last == 'g' || last == 'G')
		unit = 1 << 30;
	if (unit > 1)
		v.n--;
	if (!str_u64(v, &n) || n > UINT64_MAX / unit)
		return false;
	n *= unit;
	if (n < r->lo || n > r->hi)
		return false;
	*out = n;
	return true;
}

static bool
are_addresses(str v)
{
	struct os_addr addr[4];
	size_t n;
	str word;

	while (v.n > 0) {
		word = str_cut(&v, ' ');
		if (word.n > 0 &&
		    os_addr_parse(word, addr, NELEM(addr), &n) != OK)
			return false;
	}
	return true;
}

static bool
set_row(struct settings *s, const struct row *r, str v)
{
	uint64_t n;

	switch (r->kind) {
	case KIND_MAYBE:
		if (v.n > 0 && (!str_u64(v, &n) || n < r->lo || n > r->hi))
			return false;
		break;
	case KIND_ADDRS:
		if (!are_addresses(v))
			return false;
		break;
	case KIND_NETS:
		if (!lmtp_networks_valid(v))
			return false;
		break;
	case KIND_AUTO:
		if (!str_eq(v, S("auto")) &&
		    (!str_u64(v, &n) || n < r->lo || n > r->hi))
			return false;
		break;
	case KIND_TEXT:
	case KIND_LIST:
		break;
	case KIND_BOOL:
		return parse_bool(v, bool_at(s, r));
	case KIND_CHOICE:
		return parse_choice(r->choice, v, bool_at(s, r));
	case KIND_SCRAM:
		return parse_scram(s, v);
	case KIND_LEVEL:
		for (size_t i = 0; i < NELEM(levels); i++)
			if (str_caseeq(v, str_c(levels[i].name)))
				return s->log_level = levels[i].level, true;
		return false;
	case KIND_LIMIT:
		return parse_limit(r, v, limit_at(s, r));
	}
	set_text(text_at(s, r), v, collects(r));
	return true;
}

static void
explain(const struct row *r, struct buf *why)
{
	switch (r->kind) {
	case KIND_BOOL:
		buf_s(why, "yes or no");
		break;
	case KIND_CHOICE:
		buf_f(why, "one of: %s", r->choice);
		break;
	case KIND_LEVEL:
		buf_s(why, "debug, info, warn or error");
		break;
	case KIND_SCRAM:
		buf_s(why, "sha256, sha1, both, or none");
		break;
	case KIND_ADDRS:
		buf_s(why, "ADDR:PORT, [ADDR]:PORT, *:PORT or /path");
		break;
	case KIND_NETS:
		buf_s(why, "networks as 192.0.2.0/24 or 2001:db8::/32");
		break;
	case KIND_AUTO:
		buf_f(why, "auto, or a number from %llu to %llu",
		    (unsigned long long)r->lo, (unsigned long long)r->hi);
		break;
	default:
		buf_f(why, "a number from %llu to %llu",
		    (unsigned long long)r->lo, (unsigned long long)r->hi);
	}
}

/* Text of one line, without control characters. */
static bool
is_line(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return utf8_valid(s);
}

enum err
settings_set(
    struct settings *s, str name, str value, str where, struct buf *why)
{
	const struct row *r;

	name = str_trim(name);
	value = str_trim(value);
	if ((r = row_find(name)) == NULL) {
		buf_f(why, "%.*s: no setting is called \"", STR_ARG(where));
		log_escape(why, str_head(name, 100));
		buf_f(why, "\"; the nearest is %s", nearest(name));
		return ERR_INVALID;
	}
	if (value.n > VALUE_MAX || !is_line(value)) {
		buf_f(why, "%.*s: the value of %s is too long or no text",
		    STR_ARG(where), r->name);
		return ERR_INVALID;
	}
	if (set_row(s, r, value))
		return OK;
	buf_f(why, "%.*s: %s cannot be \"", STR_ARG(where), r->name);
	log_escape(why, str_head(value, 100));
	buf_s(why, "\": say ");
	explain(r, why);
	return ERR_INVALID;
}

void
settings_clear(struct settings *s, str name)
{
	const struct row *r = row_find(name);

	if (r != NULL && is_text(r))
		x_free_str(text_at(s, r));
}

enum err
settings_parse(struct settings *s, str content, str file, struct buf *why)
{
	struct buf where = {0};
	unsigned number = 0;
	enum err e = OK;
	str line, name;

	while (content.n > 0 && e == OK) {
		line = str_trim(str_cut(&content, '\n'));
		number++;
		if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';')
			continue;
		buf_reset(&where);
		buf_f(&where, "%.*s, line %u", STR_ARG(file), number);
		if (str_chr(line, '=') == line.n) {
			buf_f(why, "%.*s: a line is \"name = value\"",
			    STR_ARG(buf_str(&where)));
			e = ERR_INVALID;
			break;
		}
		name = str_cut(&line, '=');
		e = settings_set(s, name, line, buf_str(&where), why);
	}
	buf_free(&where);
	return e;
}

enum err
settings_load(struct settings *s, const char *path, bool must, struct buf *why)
{
	struct buf content = {0};
	enum err e;

	e = os_slurp(path, FILE_MAX, &content);
	if (e == ERR_NOTFOUND && !must) {
		buf_free(&content);
		return OK;
	}
	if (e != OK)
		buf_f(why, "cannot read %s: %s", path, err_name(e));
	else
		e = settings_parse(s, buf_str(&content), str_c(path), why);
	buf_free(&content);
	return e;
}

struct settings *
settings_new(void)
{
	struct settings *s = x_alloc(sizeof(*s));
	struct buf why = {0};

	limits_default(&s->limits);
	for (size_t i = 0; i < NELEM(rows); i++) {
		if (rows[i].kind == KIND_LIMIT)
			continue;
		if (rows[i].value[0] != '\0' &&
		    !set_row(s, &rows[i], str_c(rows[i].value)))
			log_panic("a default is refused");
	}
	buf_free(&why);
	return s;
}

void
settings_free(struct settings **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < NELEM(rows); i++)
		if (is_text(&rows[i]))
			x_free_str(text_at(*s, &rows[i]));
	x_free(s);
}

static void
print_value(const struct settings *cs, const struct row *r, struct buf *out)
{
	struct settings *s = (struct settings *)(uintptr_t)cs;

	switch (r->kind) {
	case KIND_TEXT:
	case KIND_LIST:
	case KIND_ADDRS:
	case KIND_NETS:
	case KIND_MAYBE:
	case KIND_AUTO:
		buf_str_add(out, *text_at(s, r));
		break;
	case KIND_BOOL:
		buf_str_add(out, *bool_at(s, r) ? S("yes") : S("no"));
		break;
	case KIND_CHOICE: {
		str rest = str_c(r->choice);
		str first = str_cut(&rest, ' ');

		buf_str_add(out, *bool_at(s, r) ? rest : first);
		break;
	}
	case KIND_SCRAM:
		if (s->scram_sha256)
			buf_s(out, "sha256");
		if (s->scram_sha1)
			buf_str_add(
			    out, s->scram_sha256 ? S(" sha1") : S("sha1"));
		if (!s->scram_sha1 && !s->scram_sha256)
			buf_s(out, "none");
		break;
	case KIND_LEVEL:
		for (size_t i = 0; i < NELEM(levels); i++)
			if (levels[i].level == s->log_level)
				buf_str_add(out, str_c(levels[i].name));
		break;
	case KIND_LIMIT:
		buf_u64(out, *limit_at(s, r));
		break;
	}
}

/* Pairs of name and value, as text: what one version writes, the next one
 * reads. */
void
settings_encode(const struct settings *s, struct buf *out)
{
	struct buf v = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		buf_reset(&v);
		print_value(s, &rows[i], &v);
		enc_str(out, str_c(rows[i].name));
		enc_str(out, buf_str(&v));
	}
	buf_free(&v);
}

enum err
settings_decode(struct settings *s, str encoded)
{
	struct dec d = dec_of(encoded);
	const struct row *r;
	str name, value;

	while (!dec_end(&d)) {
		name = dec_str(&d);
		value = dec_str(&d);
		if (d.bad || (r = row_find(name)) == NULL)
			return ERR_CORRUPT;
		if (is_text(r))
			x_free_str(text_at(s, r));
		if (value.n > VALUE_MAX * 16 ||
		    (!(is_text(r) && value.n == 0) && !set_row(s, r, value)))
			return ERR_CORRUPT;
	}
	return OK;
}

void
settings_auth(const struct settings *s, struct auth_conf *conf)
{
	*conf = (struct auth_conf){
	    .domains = s->domains,
	    .scram_sha1 = s->scram_sha1,
	    .scram_sha256 = s->scram_sha256,
	    .external = s->tls_client_ca.n > 0,
	};
}

void
settings_print(const struct settings *s, struct buf *out)
{
	struct settings *fresh = settings_new();
	struct buf now = {0}, was = {0};

	for (size_t i = 0; i < NELEM(rows); i++) {
		buf_reset(&now);
		buf_reset(&was);
		print_value(s, &rows[i], &now);
		print_value(fresh, &rows[i], &was);
		buf_f(out, "# %s\n%s%s = %.*s\n\n", rows[i].doc,
		    str_eq(buf_str(&now), buf_str(&was)) ? "#" : "",
		    rows[i].name, STR_ARG(buf_str(&now)));
	}
	buf_free(&now);
	buf_free(&was);
	settings_free(&fresh);
}
