/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Writing items as Maildir++ or mbox, as others read them and as our own
 * reader reads them again.
 *
 * (1) No byte of a name becomes a path as it is: components are written in
 *     modified UTF-7 with '.' encoded too, so that none is "..", none is
 *     hidden, and '.' only divides.
 * (2) A message all of whose line ends are CR LF is written with LF, as these
 *     formats have it; any other as it is.
 * (3) A name that is longer than a file name may be is replaced by a hash of
 *     it, and told.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "os/os.h"
#include "store/import.h"

struct export
{
	int dir;
	enum export_kind kind;
	int box; /* Maildir: its directory; mbox: the file; -1: none */
	struct buf uidlist, subs, text;
	struct map *keywords;     /* name -> number + 1 */
	struct buf keyword_names; /* lines of dovecot-keywords */
	struct buf courier_names, courier_list;
	uint32_t nkeywords;
	uint32_t uidvalidity, last_uid;
	uint64_t seq;
	uint64_t at; /* mbox: octets written */
	bool first;
};

/* ---- names (1) ---- */

static void
shift_out(struct buf *out, uint32_t *acc, int *bits, bool end)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr"
				  "stuvwxyz0123456789+,";

	while (*bits >= 6) {
		*bits -= 6;
		buf_c(out, set[*acc >> *bits & 63]);
	}
	if (end && *bits > 0)
		buf_c(out, set[*acc << (6 - *bits) & 63]);
	if (end)
		*bits = 0;
}

static void
component(str s, struct buf *out)
{
	uint32_t acc = 0, cp;
	int bits = 0;
	bool in = false;
	size_t k;

	for (size_t i = 0; i < s.n; i += k) {
		if ((k = utf8_get(str_from(s, i), &cp)) == 0) {
			k = 1;
			cp = 0xfffd;
		}
		if (cp >= 0x20 && cp < 0x7f && cp != '.' && cp != '/') {
			if (in) {
				shift_out(out, &acc, &bits, true);
				buf_c(out, '-');
				in = false;
			}
			buf_c(out, (char)cp);
			if (cp == '&')
				buf_c(out, '-');
			continue;
		}
		if (!in)
			buf_c(out, '&');
		in = true;
		if (cp > 0xffff) {
			acc = acc << 16 | (0xd7c0 + (cp >> 10));
			bits += 16;
			shift_out(out, &acc, &bits, false);
			cp = 0xdc00 | (cp & 0x3ff);
		}
		acc = acc << 16 | cp;
		bits += 16;
		shift_out(out, &acc, &bits, false);
	}
	if (in) {
		shift_out(out, &acc, &bits, true);
		buf_c(out, '-');
	}
}

/* The components of name, each encoded, with sep between. */
static void
path_of(str name, char sep, struct buf *out)
{
	str rest = name;
	size_t was;

	while (rest.n > 0) {
		str c = str_cut(&rest, '/');

		was = out->n;
		component(c, out);
		if (out->n - was > 200 || (sep == '.' && out->n > 240)) {
			out->n = was; /* (3) */
			buf_f(out, "long-%016llx",
			    (unsigned long long)hash_xxh3(c, 0));
			log_warn("a mailbox's name is too long for a file",
			    KV_S("mailbox", name));
		}
		if (rest.n > 0)
			buf_c(out, sep);
	}
	buf_c(out, '\0');
}

/* ---- files ---- */

static enum err
write_file(int dir, const char *name, str text)
{
	int fd = os_openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	enum err e = OK;

	if (fd < 0)
		return err_errno(errno);
	if (text.n > 0 && os_write_all(fd, text.p, text.n) != 0)
		e = err_errno(errno);
	os_close(&fd);
	return e;
}

static enum err
make_dir(int dir, const char *name)
{
	return os_mkdirat(dir, name, 0700) == 0 ? OK : err_errno(errno);
}

/* (2): true when every CR LF can become LF and back. */
static bool
plain_crlf(str s)
{
	const char *p = s.p, *end = s.p + s.n, *lf;

	while ((lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		if (lf == s.p || lf[-1] != '\r' ||
		    (lf - s.p >= 2 && lf[-2] == '\r'))
			return false;
		p = lf + 1;
	}
	return true;
}

static void
add_lf(struct buf *out, str s, bool lf)
{
	if (!lf) {
		buf_str_add(out, s);
		return;
	}
	while (s.n > 0) {
		size_t n = str_chr(s, '\n');

		if (n == s.n) {
			buf_str_add(out, s);
			return;
		}
		buf_add(out, s.p, n - 1);
		buf_c(out, '\n');
		s = str_from(s, n + 1);
	}
}

/* ---- Maildir++ ---- */

static enum err
maildir_box(struct export *ex, const struct import_item *it)
{
	static const char *const subs[] = {"cur", "new", "tmp"};
	struct buf name = {0};
	bool inbox = str_eq(it->mailbox, S("INBOX"));
	enum err e = OK;

	buf_c(&name, '.');
	if (inbox)
		buf_c(&name, '\0');
	else
		path_of(it->mailbox, '.', &name);
	if (!inbox)
		e = make_dir(ex->dir, name.p);
	if (e == OK) {
		ex->box = os_openat(ex->dir, name.p, O_RDONLY | O_DIRECTORY, 0);
		if (ex->box < 0)
			e = err_errno(errno);
	}
	buf_free(&name);
	for (size_t i = 0; e == OK && i < NELEM(subs); i++)
		e = make_dir(ex->box, subs[i]);
	if (e == OK && !inbox)
		e = write_file(ex->box, "maildirfolder", STR_NONE);
	ex->keywords = map_new();
	ex->nkeywords = 0;
	return e;
}

/* The number of a keyword; the first 26 are letters. */
static uint32_t
keyword_number(struct export *ex, str k)
{
	uint32_t n = (uint32_t)(uintptr_t)map_get(ex->keywords, k);

	if (n != 0)
		return n - 1;
	n = ex->nkeywords++;
	map_put(ex->keywords, k, (void *)(uintptr_t)(n + 1));
	if (n < 26)
		buf_f(&ex->keyword_names, "%u %.*s\n", n, STR_ARG(k));
	buf_f(&ex->courier_names, "%.*s\n", STR_ARG(k));
	return n;
}

/* "2,FRSab", sorted as Maildir wants it. */
static void
info(struct export *ex, const struct import_item *it, struct buf *out)
{
	static const struct {
		unsigned flag;
		char c;
	} letters[] = {{FLAG_DRAFT, 'D'}, {FLAG_FLAGGED, 'F'},
	    {FLAG_ANSWERED, 'R'}, {FLAG_SEEN, 'S'}, {FLAG_DELETED, 'T'}};
	uint32_t set = 0;

	for (size_t i = 0; i < it->nkeywords; i++) {
		uint32_t n = keyword_number(ex, it->keywords[i]);

		if (n < 26)
			set |= 1u << n;
	}
	buf_s(out, ":2,");
	for (size_t i = 0; i < NELEM(letters); i++) {
		if (it->flags & letters[i].flag)
			buf_c(out, letters[i].c);
	}
	for (int i = 0; i < 26; i++) {
		if (set >> i & 1)
			buf_c(out, (char)('a' + i));
	}
}

/* Courier's list holds any number of keywords: written beside Dovecot's. */
static void
courier_line(struct export *ex, const struct import_item *it, str base)
{
	if (it->nkeywords == 0)
		return;
	buf_str_add(&ex->courier_list, base);
	for (size_t i = 0; i < it->nkeywords; i++)
		buf_f(&ex->courier_list, "%c%u", i == 0 ? ':' : ' ',
		    keyword_number(ex, it->keywords[i]));
	buf_c(&ex->courier_list, '\n');
}

static bool
plain_uidl(str uidl)
{
	for (size_t i = 0; i < uidl.n; i++) {
		if (uidl.p[i] <= ' ' || uidl.p[i] > '~')
			return false;
	}
	return uidl.n > 0;
}

static enum err
maildir_message(struct export *ex, const struct import_item *it)
{
	struct timespec when[2] = {
	    {.tv_sec = it->internaldate.sec}, {.tv_sec = it->internaldate.sec}};
	bool lf = plain_crlf(it->message);
	struct buf path = {0};
	size_t end;
	enum err e = OK;
	int fd;

	buf_reset(&ex->text);
	add_lf(&ex->text, it->message, lf);
	if (!buf_ok(&ex->text))
		return ERR_NOMEM;
	buf_f(&path, "cur/%lld.M%06lluU%u.restante,S=%zu,W=%zu",
	    (long long)it->internaldate.sec, (unsigned long long)ex->seq++,
	    it->uid, ex->text.n, it->message.n);
	end = path.n;
	if (it->uid != 0) {
		buf_f(&ex->uidlist, "%u ", it->uid);
		if (plain_uidl(it->uidl))
			buf_f(&ex->uidlist, "P%.*s ", STR_ARG(it->uidl));
		buf_f(&ex->uidlist, ":%.*s\n", (int)(end - 4), path.p + 4);
	}
	info(ex, it, &path);
	courier_line(ex, it, str_of(path.p + 4, end - 4));
	buf_c(&path, '\0');
	fd = os_openat(ex->box, path.p, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0) {
		e = err_errno(errno);
	} else {
		if (os_write_all(fd, ex->text.p, ex->text.n) != 0 ||
		    futimens(fd, when) != 0)
			e = err_errno(errno);
		os_close(&fd);
	}
	buf_free(&path);
	return e;
}

static enum err
maildir_end(struct export *ex, const struct import_item *it)
{
	struct buf head = {0};
	unsigned char guid[16];
	enum err e;

	os_random(guid, sizeof(guid));
	buf_f(&head, "3 V%u N%u G", it->uidvalidity,
	    MAX(it->uidnext, ex->last_uid + 1));
	hex_put(&head, str_of(guid, sizeof(guid)));
	buf_c(&head, '\n');
	buf_str_add(&head, buf_str(&ex->uidlist));
	e = buf_ok(&head) ? OK : ERR_NOMEM;
	if (e == OK && it->uidvalidity != 0)
		e = write_file(ex->box, "dovecot-uidlist", buf_str(&head));
	if (e == OK && ex->nkeywords > 0)
		e = write_file(
		    ex->box, "dovecot-keywords", buf_str(&ex->keyword_names));
	if (e == OK && ex->nkeywords > 26) {
		buf_c(&ex->courier_names, '\n');
		buf_str_add(&ex->courier_names, buf_str(&ex->courier_list));
		e = make_dir(ex->box, "courierimapkeywords");
		if (e == OK)
			e = write_file(ex->box, "courierimapkeywords/:list",
			    buf_str(&ex->courier_names));
	}
	buf_free(&head);
	return e;
}

/* ---- mbox ---- */

static enum err
mbox_box(struct export *ex, const struct import_item *it)
{
	struct buf path = {0};
	enum err e = OK;

	path_of(it->mailbox, '/', &path);
	path.n--;
	buf_s(&path, ".mbox");
	buf_c(&path, '\0');
	for (size_t i = 0; e == OK && i + 1 < path.n; i++) {
		if (path.p[i] != '/')
			continue;
		path.p[i] = '\0';
		e = make_dir(ex->dir, path.p);
		path.p[i] = '/';
	}
	if (e == OK) {
		ex->box =
		    os_openat(ex->dir, path.p, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (ex->box < 0)
			e = err_errno(errno);
	}
	buf_free(&path);
	ex->at = 0;
	ex->first = true;
	return e;
}

static void
from_line(struct buf *b, struct stamp t)
{
	struct civil c;
	int z = t.zone_min < 0 ? -t.zone_min : t.zone_min;

	stamp_civil(t, &c);
	buf_f(b,
	    "From MAILER-DAEMON %s %s %2d %02d:%02d:%02d %04d %c%02d%02d\n",
	    weekday_name[c.weekday], month_name[c.month - 1], c.day, c.hour,
	    c.minute, c.second, c.year, t.zone_min < 0 ? '-' : '+', z / 60,
	    z % 60);
}

/* The fields in which mbox programs keep what is not in the message. */
static void
own_fields(struct export *ex, const struct import_item *it, struct buf *b,
    const char *eol)
{
	if (ex->first && it->uidvalidity != 0)
		buf_f(b, "X-IMAPbase: %u %010u%s", it->uidvalidity, 0u, eol);
	if (it->uid != 0)
		buf_f(b, "X-UID: %u%s", it->uid, eol);
	buf_f(b, "Status: %sO%s", it->flags & FLAG_SEEN ? "R" : "", eol);
	if (it->flags & ~(unsigned)FLAG_SEEN)
		buf_f(b, "X-Status: %s%s%s%s%s",
		    it->flags & FLAG_ANSWERED ? "A" : "",
		    it->flags & FLAG_FLAGGED ? "F" : "",
		    it->flags & FLAG_DRAFT ? "T" : "",
		    it->flags & FLAG_DELETED ? "D" : "", eol);
	if (it->nkeywords > 0)
		buf_s(b, "X-Keywords:");
	for (size_t i = 0; i < it->nkeywords; i++)
		buf_f(b, " %.*s", STR_ARG(it->keywords[i]));
	if (it->nkeywords > 0)
		buf_f(b, "%s", eol);
}

static void
quoted(struct buf *out, str s)
{
	while (s.n > 0) {
		size_t n = MIN(str_chr(s, '\n') + 1, s.n), k = 0;

		while (k < n && s.p[k] == '>')
			k++;
		if (str_starts(str_from(s, k), S("From ")))
			buf_c(out, '>');
		buf_add(out, s.p, n);
		s = str_from(s, n);
	}
}

static enum err
mbox_message(struct export *ex, const struct import_item *it)
{
	bool lf = plain_crlf(it->message);
	struct buf b = {0};
	enum err e = OK;

	buf_reset(&ex->text);
	add_lf(&ex->text, it->message, lf);
	from_line(&b, it->internaldate);
	own_fields(ex, it, &b, lf ? "\n" : "\r\n");
	quoted(&b, buf_str(&ex->text));
	if (b.n > 0 && b.p[b.n - 1] != '\n')
		buf_c(&b, '\n');
	buf_s(&b, "\n");
	if (!buf_ok(&b) || !buf_ok(&ex->text))
		e = ERR_NOMEM;
	else if (os_write_all(ex->box, b.p, b.n) != 0)
		e = err_errno(errno);
	ex->at += b.n;
	ex->first = false;
	buf_free(&b);
	return e;
}

/* The last UID is known now: into the first message's X-IMAPbase. */
static enum err
mbox_end(struct export *ex, const struct import_item *it)
{
	struct buf b = {0};
	char line[512];
	uint32_t last =
	    MAX(ex->last_uid, it->uidnext > 0 ? it->uidnext - 1 : 0);
	enum err e = OK;
	ssize_t n;
	size_t at;

	if (ex->first || it->uidvalidity == 0 || last == 0)
		return OK;
	n = os_pread(ex->box, line, sizeof(line), 0);
	if (n < 0)
		return ERR_IO;
	buf_f(&b, "X-IMAPbase: %u ", it->uidvalidity);
	at = str_find(str_of(line, (size_t)n), buf_str(&b)) + b.n;
	buf_reset(&b);
	buf_f(&b, "%010u", last);
	if (at + b.n <= (size_t)n &&
	    os_pwrite(ex->box, b.p, b.n, (off_t)at) != (ssize_t)b.n)
		e = err_errno(errno);
	buf_free(&b);
	return e;
}

/* ---- both ---- */

enum err
export_open(int dir, enum export_kind kind, struct export **out)
{
	struct export *ex = x_alloc(sizeof(*ex));

	ex->dir = dir;
	ex->kind = kind;
	ex->box = -1;
	*out = ex;
	return OK;
}

static void
box_close(struct export *ex)
{
	if (ex->box >= 0)
		os_close(&ex->box);
	map_free(&ex->keywords);
	buf_reset(&ex->uidlist);
	buf_reset(&ex->keyword_names);
	buf_reset(&ex->courier_names);
	buf_reset(&ex->courier_list);
	ex->last_uid = 0;
}

static void
subscribed(struct export *ex, str name)
{
	struct buf b = {0};

	if (ex->subs.n == 0)
		buf_s(&ex->subs, "V\t2\n\n");
	path_of(name, '\t', &b);
	buf_add(&ex->subs, b.p, b.n - 1);
	buf_c(&ex->subs, '\n');
	buf_free(&b);
}

enum err
export_put(struct export *ex, const struct import_item *it)
{
	bool maildir = ex->kind == EXPORT_MAILDIR;
	enum err e = OK;

	switch (it->what) {
	case IMPORT_BOX:
		box_close(ex);
		e = maildir ? maildir_box(ex, it) : mbox_box(ex, it);
		break;
	case IMPORT_MESSAGE:
		if (ex->box < 0)
			return ERR_INVALID;
		e = maildir ? maildir_message(ex, it) : mbox_message(ex, it);
		ex->last_uid = MAX(ex->last_uid, it->uid);
		break;
	case IMPORT_BOX_END:
		if (ex->box < 0)
			return ERR_INVALID;
		e = maildir ? maildir_end(ex, it) : mbox_end(ex, it);
		box_close(ex);
		break;
	case IMPORT_SUBSCRIBED:
		subscribed(ex, it->mailbox);
		break;
	}
	if (e != OK)
		log_error("a mailbox could not be written",
		    KV_S("mailbox", it->mailbox), KV_ERR(e));
	return e;
}

enum err
export_close(struct export **p)
{
	struct export *ex = *p;
	enum err e = OK;

	*p = NULL;
	if (ex == NULL)
		return OK;
	box_close(ex);
	if (ex->subs.n > 0)
		e = write_file(ex->dir, "subscriptions", buf_str(&ex->subs));
	if (e == OK && os_syncfs(ex->dir) != 0)
		e = err_errno(errno);
	os_close(&ex->dir);
	buf_free(&ex->uidlist);
	buf_free(&ex->subs);
	buf_free(&ex->text);
	buf_free(&ex->keyword_names);
	buf_free(&ex->courier_names);
	buf_free(&ex->courier_list);
	x_free(&ex);
	return e;
}
