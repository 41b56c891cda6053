/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * Heap memory for pools, caches and long-lived objects. Small allocations
 * do not fail: the process ends with a log line. Buffers past 64 KiB use
 * x_try, which may return NULL, and the caller refuses in its protocol's
 * own words.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

void *x_alloc(size_t n);                          /* zeroed; never NULL */
void *x_array(size_t count, size_t size);         /* zeroed; overflow-checked */
void *x_grow(void *p, size_t count, size_t size); /* realloc; never NULL */
void *x_try(size_t n);                            /* not zeroed; may be NULL */
char *x_cstr(str s);                              /* NUL-terminated copy */
str x_dup(str s); /* copy; free with x_free_str */
void x_free_str(str *s);
/* Frees *p and sets it to NULL: x_free(&thing). */
void x_free_ptr(void **p);
#define x_free(pp) x_free_ptr((void **)(void *)(pp))
/* Asked before each x_try and each large block of an arena or buffer: true
 * makes it fail. NULL but in tests (os_fault sets it, for OS_MEMORY). */
extern bool (*mem_fault)(void);
/* Overwrites with zeros in a way the compiler keeps: for secrets. */
void x_wipe(void *p, size_t n);

#endif
