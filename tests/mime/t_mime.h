/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The groups of tests of the room mime; each returns how many failed. */
#ifndef TESTS_MIME_T_MIME_H
#define TESTS_MIME_T_MIME_H

#include "mime/mime_int.h"
#include "seeds.h"

int t_address(void);
int t_charset(void);
int t_date(void);
int t_decode(void);
int t_header(void);
int t_ids(void);
int t_param(void);
int t_parse(void);
int t_structure(void);
int t_subject(void);
int t_summary(void);
int t_text(void);
int t_words(void);

#endif
