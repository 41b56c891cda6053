/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * What the writer and the reader of the log share.
 */
#ifndef STORE_LOG_INT_H
#define STORE_LOG_INT_H

#include "store/log.h"

#define SEGMENT_MAGIC "RESTLOG1"
#define SEGMENT_VERSION 1
#define GROUP_MAGIC 0x50524752u /* "RGRP" */

uint64_t log_record_check(const struct segment *s, const struct logref *at,
    uint8_t type, uint8_t version, uint32_t length, uint64_t payload_hash);

#endif
