/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Puts beside each file, a message, its summary: FILE.sum. For make-dict.py.
 */
#include <stdio.h>

#include "mime/mime.h"
#include "os/os.h"

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char path[400];
		struct buf in = {0};
		struct buf out = {0};

		snprintf(path, sizeof(path), "%s.sum", argv[i]);
		if (os_slurp(argv[i], 1 << 20, &in) != OK ||
		    mime_summarise(buf_str(&in), &out) != OK ||
		    os_spill(path, buf_str(&out), 0600) != OK)
			return 1;
		buf_free(&in);
		buf_free(&out);
	}
	return 0;
}
