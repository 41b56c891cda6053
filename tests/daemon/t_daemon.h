/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
#ifndef TESTS_DAEMON_T_DAEMON_H
#define TESTS_DAEMON_T_DAEMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

int test_settings(void);
int test_grants(void);
int test_link(void);

#endif
