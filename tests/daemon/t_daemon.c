/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
#include "t_daemon.h"

int
main(void)
{
	log_setup("t_daemon", LOG_ERROR);
	limits_default(&limits);
	return test_settings() + test_grants() + test_link();
}
