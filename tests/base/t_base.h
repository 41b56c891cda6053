/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/* The groups of tests of the room base; each returns how many failed. */
#ifndef TESTS_BASE_T_BASE_H
#define TESTS_BASE_T_BASE_H

#include "seeds.h"

int t_arena(void);
int t_base64(void);
int t_buf(void);
int t_enc(void);
int t_log(void);
int t_map(void);
int t_range(void);
int t_scan(void);
int t_stamp(void);
int t_str(void);
int t_utf8(void);

#endif
