/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Charsets to UTF-8.
 *
 * (1) Only names of the table below reach iconv: a name from a message is
 *     never a file name, a suffix or a converter nobody looked at.
 *     (ISO-2022-CN-EXT is left out: CVE-2024-2961.)
 * (2) ASCII, UTF-8, Latin-1 and windows-1252 are done here, without iconv.
 * (3) A converter is fed in pieces; what it holds between them is its state
 *     and an unfinished character, at most 16 bytes. Output is at most
 *     12 bytes for a byte, so bombs of shifts cannot grow.
 * (4) Converters are cached per thread, at most CACHE_MAX of them.
 */
#include <errno.h>
#include <iconv.h>
#include <pthread.h>
#include <stdlib.h>

#include "mime/mime_int.h"

#define CACHE_MAX 8
#define KEY_MAX 32

enum how { HOW_ICONV, HOW_ASCII, HOW_UTF8, HOW_LATIN1, HOW_1252, HOW_UNKNOWN };

/* clang-format off */
/* Names as they are after key_of: lower case, letters and digits only, no
 * "x" or "cs" in front; sorted. The second is iconv's name. */
static const struct alias {
	const char *key, *iconv;
} aliases[] = {
	{ "437", "CP437" }, { "646", "ASCII" }, { "850", "CP850" },
	{ "ansix341968", "ASCII" }, { "ansix341986", "ASCII" },
	{ "arabic", "ISO-8859-6" }, { "armscii8", "ARMSCII-8" },
	{ "ascii", "ASCII" }, { "ascii7bit", "ASCII" },
	{ "big5", "CP950" }, { "big5eten", "CP950" },
	{ "big5hkscs", "BIG5-HKSCS" },
	{ "chinese", "GB18030" },
	{ "cp1125", "CP1125" }, { "cp1250", "CP1250" }, { "cp1251", "CP1251" },
	{ "cp1252", "1252" }, { "cp1253", "CP1253" }, { "cp1254", "CP1254" },
	{ "cp1255", "CP1255" }, { "cp1256", "CP1256" }, { "cp1257", "CP1257" },
	{ "cp1258", "CP1258" }, { "cp437", "CP437" }, { "cp737", "CP737" },
	{ "cp775", "CP775" }, { "cp819", "LATIN1" }, { "cp850", "CP850" },
	{ "cp852", "CP852" }, { "cp855", "CP855" }, { "cp857", "CP857" },
	{ "cp858", "CP858" }, { "cp860", "CP860" }, { "cp861", "CP861" },
	{ "cp862", "CP862" }, { "cp863", "CP863" }, { "cp864", "CP864" },
	{ "cp865", "CP865" }, { "cp866", "CP866" }, { "cp869", "CP869" },
	{ "cp874", "CP874" }, { "cp932", "CP932" }, { "cp936", "GB18030" },
	{ "cp949", "CP949" }, { "cp950", "CP950" },
	{ "cyrillic", "ISO-8859-5" },
	{ "ecma114", "ISO-8859-6" }, { "ecma118", "ISO-8859-7" },
	{ "elot928", "ISO-8859-7" },
	{ "euccn", "GB18030" }, { "eucgb2312cn", "GB18030" },
	{ "eucjp", "EUC-JP" }, { "euckr", "CP949" }, { "euctw", "EUC-TW" },
	{ "extendedunixcodepackedformatforjapanese", "EUC-JP" },
	{ "gb18030", "GB18030" }, { "gb2312", "GB18030" },
	{ "gb231280", "GB18030" }, { "gbk", "GB18030" },
	{ "georgianacademy", "GEORGIAN-ACADEMY" },
	{ "georgianps", "GEORGIAN-PS" },
	{ "greek", "ISO-8859-7" }, { "greek8", "ISO-8859-7" },
	{ "hebrew", "ISO-8859-8" }, { "hproman8", "HP-ROMAN8" },
	{ "ibm437", "CP437" }, { "ibm819", "LATIN1" }, { "ibm850", "CP850" },
	{ "ibm852", "CP852" }, { "ibm855", "CP855" }, { "ibm857", "CP857" },
	{ "ibm860", "CP860" }, { "ibm861", "CP861" }, { "ibm862", "CP862" },
	{ "ibm863", "CP863" }, { "ibm864", "CP864" }, { "ibm865", "CP865" },
	{ "ibm866", "CP866" }, { "ibm869", "CP869" },
	{ "iso10646ucs2", "UCS-2BE" }, { "iso10646ucs4", "UCS-4BE" },
	{ "iso10646utf8", "UTF-8" },
	{ "iso2022cn", "ISO-2022-CN" },
	{ "iso2022jp", "ISO-2022-JP-2" }, { "iso2022jp1", "ISO-2022-JP-2" },
	{ "iso2022jp2", "ISO-2022-JP-2" }, { "iso2022jp3", "ISO-2022-JP-3" },
	{ "iso2022jpms", "ISO-2022-JP-2" },
	{ "iso2022kr", "ISO-2022-KR" },
	{ "iso646us", "ASCII" },
	{ "iso88591", "LATIN1" }, { "iso885910", "ISO-8859-10" },
	{ "iso885911", "CP874" }, { "iso885913", "ISO-8859-13" },
	{ "iso885914", "ISO-8859-14" }, { "iso885915", "ISO-8859-15" },
	{ "iso885916", "ISO-8859-16" }, { "iso885911987", "LATIN1" },
	{ "iso88592", "ISO-8859-2" }, { "iso885921987", "ISO-8859-2" },
	{ "iso88593", "ISO-8859-3" }, { "iso88594", "ISO-8859-4" },
	{ "iso88595", "ISO-8859-5" }, { "iso88596", "ISO-8859-6" },
	{ "iso88596e", "ISO-8859-6" }, { "iso88596i", "ISO-8859-6" },
	{ "iso88597", "ISO-8859-7" }, { "iso88598", "ISO-8859-8" },
	{ "iso88598e", "ISO-8859-8" }, { "iso88598i", "ISO-8859-8" },
	{ "iso88599", "CP1254" },
	{ "iso8859", "LATIN1" }, { "isoir100", "LATIN1" },
	{ "jis", "ISO-2022-JP-2" }, { "johab", "JOHAB" },
	{ "koi7r", "KOI8-R" }, { "koi8", "KOI8-R" }, { "koi8r", "KOI8-R" },
	{ "koi8ru", "KOI8-RU" }, { "koi8t", "KOI8-T" }, { "koi8u", "KOI8-U" },
	{ "ksc5601", "CP949" }, { "ksc56011987", "CP949" },
	{ "ksc56011989", "CP949" },
	{ "l1", "LATIN1" }, { "l2", "ISO-8859-2" },
	{ "latin1", "LATIN1" }, { "latin2", "ISO-8859-2" },
	{ "latin3", "ISO-8859-3" }, { "latin4", "ISO-8859-4" },
	{ "latin5", "CP1254" }, { "latin6", "ISO-8859-10" },
	{ "latin7", "ISO-8859-13" }, { "latin8", "ISO-8859-14" },
	{ "latin9", "ISO-8859-15" }, { "latin10", "ISO-8859-16" },
	{ "mac", "MACINTOSH" }, { "maccyrillic", "MAC-CYRILLIC" },
	{ "macintosh", "MACINTOSH" }, { "macroman", "MACINTOSH" },
	{ "macce", "MAC-CENTRALEUROPE" },
	{ "mskanji", "CP932" }, { "mscp1251", "CP1251" },
	{ "rk1048", "RK1048" }, { "ptcp154", "PT154" },
	{ "shiftjis", "CP932" }, { "sjis", "CP932" },
	{ "tcvn", "TCVN5712-1" }, { "tis620", "CP874" },
	{ "ucs2", "UCS-2BE" }, { "ucs4", "UCS-4BE" },
	{ "uhc", "CP949" }, { "ujis", "EUC-JP" },
	{ "unicode11utf7", "UTF-7" }, { "unicode11utf8", "UTF-8" },
	{ "unicode20utf7", "UTF-7" }, { "unicode20utf8", "UTF-8" },
	{ "us", "ASCII" }, { "usascii", "ASCII" },
	{ "utf16", "UTF-16" }, { "utf16be", "UTF-16BE" },
	{ "utf16le", "UTF-16LE" }, { "utf32", "UTF-32" },
	{ "utf32be", "UTF-32BE" }, { "utf32le", "UTF-32LE" },
	{ "utf7", "UTF-7" }, { "utf8", "UTF-8" }, { "utf8mb4", "UTF-8" },
	{ "viscii", "VISCII" },
	{ "win1250", "CP1250" }, { "win1251", "CP1251" },
	{ "win1252", "1252" },
	{ "windows1250", "CP1250" }, { "windows1251", "CP1251" },
	{ "windows1252", "1252" }, { "windows1253", "CP1253" },
	{ "windows1254", "CP1254" }, { "windows1255", "CP1255" },
	{ "windows1256", "CP1256" }, { "windows1257", "CP1257" },
	{ "windows1258", "CP1258" }, { "windows31j", "CP932" },
	{ "windows874", "CP874" }, { "windows932", "CP932" },
	{ "windows936", "GB18030" }, { "windows949", "CP949" },
	{ "windows950", "CP950" },
};

static const uint16_t high_1252[32] = {
	0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d,   0x017d, 0x8f,
	0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
	0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178,
};
/* clang-format on */

/* A converter in the cache of its thread. */
struct cached {
	const char *name; /* iconv's: of the table */
	iconv_t cd;
	uint64_t used;
	bool busy;
};
struct cache {
	struct cached v[CACHE_MAX];
	uint64_t clock;
};

struct conv {
	enum how how;
	iconv_t cd;
	struct cached *from; /* NULL: not of the cache */
	unsigned char rest[16];
	size_t n; /* bytes in rest */
};

static pthread_key_t cache_key;
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;

static void
cache_free(void *p)
{
	struct cache *c = p;
	size_t i;

	for (i = 0; i < CACHE_MAX; i++)
		if (c->v[i].name != NULL)
			iconv_close(c->v[i].cd);
	x_free(&c);
}

static void
cache_init(void)
{
	if (pthread_key_create(&cache_key, cache_free) != 0)
		log_panic("no thread key for the charset cache");
}

static struct cache *
cache_get(void)
{
	struct cache *c;

	pthread_once(&cache_once, cache_init);
	c = pthread_getspecific(cache_key);
	if (c == NULL) {
		c = x_alloc(sizeof(*c));
		if (pthread_setspecific(cache_key, c) != 0)
			x_free(&c);
	}
	return c;
}

/* name's letters and digits; false when it is too long to be known. */
static bool
key_of(str name, char key[KEY_MAX])
{
	size_t i, n = 0;
	char c;

	name = str_trim(name);
	if (str_casestarts(name, S("x-")))
		name = str_from(name, 2);
	else if (str_casestarts(name, S("cs")))
		name = str_from(name, 2);
	for (i = 0; i < name.n; i++) {
		c = lower(name.p[i]);
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
			if (n == KEY_MAX - 1)
				return false;
			key[n++] = c;
		}
	}
	key[n] = '\0';
	return n > 0;
}

static const char *
iconv_name(str charset)
{
	char key[KEY_MAX];
	size_t i;

	if (!key_of(charset, key))
		return NULL;
	for (i = 0; i < NELEM(aliases); i++)
		if (strcmp(aliases[i].key, key) == 0)
			return aliases[i].iconv;
	return NULL;
}

static enum how
how_of(str charset, const char **name)
{
	/* The names nearly all mail uses, before the table. */
	if (str_caseeq(charset, S("utf-8")))
		return HOW_UTF8;
	if (charset.n == 0 || str_caseeq(charset, S("us-ascii")))
		return HOW_ASCII;
	*name = iconv_name(charset);
	if (*name == NULL)
		return HOW_UNKNOWN;
	if (strcmp(*name, "UTF-8") == 0)
		return HOW_UTF8;
	if (strcmp(*name, "ASCII") == 0)
		return HOW_ASCII;
	if (strcmp(*name, "1252") == 0)
		return HOW_1252;
	if (strcmp(*name, "LATIN1") == 0)
		return HOW_LATIN1;
	return HOW_ICONV;
}

/* A converter that is open and idle, or the place for one. */
static struct cached *
cache_slot(struct cache *c, const char *name)
{
	struct cached *s, *oldest = NULL;
	size_t i;

	for (i = 0; i < CACHE_MAX; i++) {
		s = &c->v[i];
		if (s->busy)
			continue;
		if (s->name == name)
			return s;
		if (oldest == NULL || s->used < oldest->used)
			oldest = s;
	}
	if (oldest == NULL)
		return NULL;
	if (oldest->name != NULL)
		iconv_close(oldest->cd);
	oldest->name = NULL;
	return oldest;
}

static bool
open_iconv(struct conv *c, const char *name)
{
	struct cache *cache = cache_get();
	struct cached *s = cache == NULL ? NULL : cache_slot(cache, name);

	if (s != NULL && s->name == name) {
		iconv(s->cd, NULL, NULL, NULL, NULL);
		c->cd = s->cd;
	} else {
		c->cd = iconv_open("UTF-8", name);
		if (c->cd == (iconv_t)-1)
			return false;
	}
	if (s != NULL) {
		s->name = name;
		s->cd = c->cd;
		s->busy = true;
		s->used = ++cache->clock;
	}
	c->from = s;
	return true;
}

static void
conv_init(struct conv *c, str charset, bool *known)
{
	const char *name = NULL;

	memset(c, 0, sizeof(*c));
	c->how = how_of(charset, &name);
	if (c->how == HOW_ICONV && !open_iconv(c, name))
		c->how = HOW_UNKNOWN;
	*known = c->how != HOW_UNKNOWN;
}

/* Bytes below 0x80 at p, eight at a time. */
static size_t
ascii_run(const char *p, const char *end)
{
	const char *q = p;
	uint64_t w;

	while (end - q >= 8) {
		memcpy(&w, q, 8);
		if (w & 0x8080808080808080u)
			break;
		q += 8;
	}
	while (q < end && (unsigned char)*q < 0x80)
		q++;
	return (size_t)(q - p);
}

/* Charsets that need no state: ASCII, 1252, unknown. */
static void
feed_bytes(enum how how, str s, struct buf *out)
{
	const char *p = s.p, *end = p + s.n;
	size_t n;
	unsigned char c;

	while (p < end) {
		n = ascii_run(p, end);
		buf_add(out, p, n);
		p += n;
		if (p == end)
			return;
		c = (unsigned char)*p++;
		if (how == HOW_LATIN1)
			utf8_put(out, c);
		else if (how == HOW_1252)
			utf8_put(out, c < 0xa0 ? high_1252[c - 0x80] : c);
		else
			utf8_put(out, 0xfffd);
	}
}

/* Bytes of a well-formed character that could still follow n of them. */
static bool
utf8_unfinished(const char *p, size_t n)
{
	unsigned char c = (unsigned char)p[0], d;
	size_t need, i;

	need = c >= 0xf0 && c <= 0xf4   ? 4
	       : c >= 0xe0 && c <= 0xef ? 3
	       : c >= 0xc2 && c <= 0xdf ? 2
					: 0;
	if (n >= need)
		return false;
	for (i = 1; i < n; i++)
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return false;
	if (n < 2)
		return true;
	d = (unsigned char)p[1];
	return !(c == 0xe0 && d < 0xa0) && !(c == 0xed && d > 0x9f) &&
	       !(c == 0xf0 && d < 0x90) && !(c == 0xf4 && d > 0x8f);
}

/* Well-formed runs as they are, the others as U+FFFD each byte; an
 * unfinished character at the end is left: its length. */
static size_t
feed_utf8(str s, struct buf *out)
{
	const char *p = s.p, *end = p + s.n, *from = p;
	size_t n;
	uint32_t cp;

	while (p < end) {
		n = ascii_run(p, end);
		p += n;
		if (p == end)
			break;
		n = utf8_get(str_of(p, (size_t)(end - p)), &cp);
		if (n > 0) {
			p += n;
			continue;
		}
		buf_add(out, from, (size_t)(p - from));
		if (utf8_unfinished(p, (size_t)(end - p)))
			return (size_t)(end - p);
		utf8_put(out, 0xfffd);
		from = ++p;
	}
	buf_add(out, from, (size_t)(p - from));
	return 0;
}

/* The same by iconv. */
static size_t
feed_iconv(iconv_t cd, str s, struct buf *out)
{
	char *in = (char *)(uintptr_t)s.p, *to, *start;
	size_t left = s.n, room;

	while (left > 0 && buf_ok(out)) {
		room = MIN(left, 65536) * 3 + 64;
		to = start = buf_room(out, room);
		if (to == NULL)
			return 0;
		errno = 0;
		if (iconv(cd, &in, &left, &to, &room) == (size_t)-1 &&
		    errno == EINVAL) {
			out->n += (size_t)(to - start);
			return MIN(left, 16);
		}
		out->n += (size_t)(to - start);
		if (errno == EILSEQ && left > 0) {
			utf8_put(out, 0xfffd);
			in++;
			left--;
		}
	}
	return 0;
}

static size_t
feed_some(struct conv *c, str s, struct buf *out)
{
	if (c->how == HOW_UTF8)
		return feed_utf8(s, out);
	if (c->how == HOW_ICONV)
		return feed_iconv(c->cd, s, out);
	feed_bytes(c->how, s, out);
	return 0;
}

void
conv_feed(struct conv *c, str s, struct buf *out)
{
	unsigned char head[32];
	size_t n, left;

	if (c->n > 0 && s.n > 0) {
		/* The unfinished character first, with what may end it. */
		n = MIN(s.n, 16);
		memcpy(head, c->rest, c->n);
		memcpy(head + c->n, s.p, n);
		left = feed_some(c, str_of(head, c->n + n), out);
		left = MIN(left, c->n + n);
		if (left > n || n == s.n) {
			left = MIN(left, sizeof(c->rest));
			memmove(c->rest, head + c->n + n - left, left);
			c->n = left;
			s = str_from(s, n);
		} else {
			c->n = 0;
			s = str_from(s, n - left);
		}
	}
	if (s.n == 0)
		return;
	left = feed_some(c, s, out);
	left = MIN(left, sizeof(c->rest));
	memcpy(c->rest, s.p + s.n - left, left);
	c->n = left;
}

static void
conv_done(struct conv *c, struct buf *out)
{
	char tail[16], *to = tail;
	size_t room = sizeof(tail);

	if (c->how == HOW_ICONV) {
		/* A character may wait for a combining one behind it. */
		iconv(c->cd, NULL, NULL, &to, &room);
		buf_add(out, tail, (size_t)(to - tail));
		if (c->from != NULL)
			c->from->busy = false;
		else
			iconv_close(c->cd);
	}
	if (c->n > 0)
		utf8_put(out, 0xfffd);
	c->n = 0;
}

struct conv *
conv_open(str charset, bool *known)
{
	struct conv *c = x_alloc(sizeof(*c));

	conv_init(c, charset, known);
	return c;
}

void
conv_end(struct conv **c, struct buf *out)
{
	conv_done(*c, out);
	x_free(c);
}

enum err
mime_to_utf8(str charset, str bytes, struct buf *out)
{
	struct conv c;
	bool known;

	conv_init(&c, charset, &known);
	conv_feed(&c, bytes, out);
	conv_done(&c, out);
	if (!buf_ok(out))
		return ERR_NOMEM;
	return known ? OK : ERR_INVALID;
}

bool
mime_charset_known(str charset)
{
	const char *name;

	return how_of(charset, &name) != HOW_UNKNOWN;
}

void
mime_charsets_load(void)
{
	static iconv_t held[NELEM(aliases)];
	static bool loaded;
	const char *name;
	size_t i, k;

	if (loaded)
		return;
	loaded = true;
	/* They stay open: the C library unloads a converter's module with
	 * its last user, and could not load it again in a closed box. */
	for (i = 0; i < NELEM(aliases); i++) {
		name = aliases[i].iconv;
		for (k = 0; k < i && strcmp(aliases[k].iconv, name) != 0;)
			k++;
		held[i] = (iconv_t)-1;
		if (k < i || strcmp(name, "1252") == 0)
			continue;
		held[i] = iconv_open("UTF-8", name);
		if (held[i] == (iconv_t)-1)
			log_warn("charset is not known to iconv",
			    KV_C("charset", name));
	}
}
