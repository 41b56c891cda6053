/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* Fuzz target: the settings file, and the settings between processes. */
#include "fuzz.h"
#include "daemon/settings.h"

void
fuzz_one(str in)
{
	struct settings *s = settings_new(), *t = settings_new();
	struct buf why = {0}, a = {0}, b = {0};

	if (settings_parse(s, in, S("file"), &why) == OK) {
		FUZZ_TRUE(why.n == 0);
		settings_print(s, &a);
		FUZZ_TRUE(settings_parse(t, buf_str(&a), S("x"), &why) == OK);
		settings_print(t, &b);
		FUZZ_TRUE(str_eq(buf_str(&a), buf_str(&b)));
	} else {
		FUZZ_TRUE(why.n > 0);
		FUZZ_TRUE(str_chr(buf_str(&why), '\n') == why.n);
	}
	if (in.n > 0 && settings_decode(t, in) == OK) {
		buf_reset(&a);
		settings_encode(t, &a);
		FUZZ_TRUE(settings_decode(s, buf_str(&a)) == OK);
	}
	buf_free(&why);
	buf_free(&a);
	buf_free(&b);
	settings_free(&s);
	settings_free(&t);
}
