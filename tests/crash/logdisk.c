/* SPDX-License-Identifier: ISC */
/* Copyright (c) 2026 The restante authors */
/*
 * logdisk IMAGE LOG MOUNTPOINT: a disk whose writes and flushes are written
 * down, below a real file system.
 *
 * MOUNTPOINT/disk is the image; a loop device stands on it, and the file
 * system on that. What is written to MOUNTPOINT/ack is a mark in the log: it
 * says what had been acknowledged by then. A record of the log is
 *
 *   u8 kind, u64 offset, u32 length, so many bytes    (little-endian)
 *
 * kind 'W': a write; 'F': a flush; 'A': an acknowledgement. Ends when it is
 * unmounted.
 */
#define FUSE_USE_VERSION 35
#include <fuse3/fuse.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int image, record;
static off_t image_size;
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;

static bool
is_disk(const char *path)
{
	return strcmp(path, "/disk") == 0;
}

static bool
is_ack(const char *path)
{
	return strcmp(path, "/ack") == 0;
}

/* mu is held: the log's order is that of the image. */
static int
put(char kind, off_t off, const char *p, size_t n)
{
	unsigned char head[13] = {(unsigned char)kind};
	uint64_t at = (uint64_t)off;
	uint32_t len = (uint32_t)n;

	memcpy(head + 1, &at, 8);
	memcpy(head + 9, &len, 4);
	if (write(record, head, sizeof(head)) != (ssize_t)sizeof(head) ||
	    write(record, p, n) != (ssize_t)n)
		return -EIO;
	return 0;
}

static int
disk_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	*st = (struct stat){.st_mode = S_IFREG | 0600, .st_nlink = 1};
	if (strcmp(path, "/") == 0)
		*st = (struct stat){.st_mode = S_IFDIR | 0755, .st_nlink = 2};
	else if (is_disk(path))
		st->st_size = image_size;
	else if (!is_ack(path))
		return -ENOENT;
	return 0;
}

static int
disk_open(const char *path, struct fuse_file_info *fi)
{
	if (!is_disk(path) && !is_ack(path))
		return -ENOENT;
	fi->direct_io = 1;
	return 0;
}

static int
disk_read(
    const char *path, char *p, size_t n, off_t off, struct fuse_file_info *fi)
{
	ssize_t r = is_disk(path) ? pread(image, p, n, off) : 0;

	return r < 0 ? -errno : (int)r;
}

static int
disk_write(const char *path, const char *p, size_t n, off_t off,
    struct fuse_file_info *fi)
{
	int r;

	pthread_mutex_lock(&mu);
	if (is_ack(path))
		r = put('A', 0, p, n);
	else if (pwrite(image, p, n, off) != (ssize_t)n)
		r = -EIO;
	else
		r = put('W', off, p, n);
	pthread_mutex_unlock(&mu);
	return r < 0 ? r : (int)n;
}

static int
disk_fsync(const char *path, int data, struct fuse_file_info *fi)
{
	int r;

	pthread_mutex_lock(&mu);
	r = put('F', 0, "", 0);
	pthread_mutex_unlock(&mu);
	return r;
}

/* Opening for writing may ask for it. */
static int
disk_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	return 0;
}

static const struct fuse_operations operations = {
    .getattr = disk_getattr,
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .fsync = disk_fsync,
    .truncate = disk_truncate,
};

int
main(int argc, char **argv)
{
	char foreground[] = "-f";
	char *args[] = {argv[0], foreground, argc == 4 ? argv[3] : NULL, NULL};

	if (argc != 4) {
		fprintf(stderr, "usage: %s IMAGE LOG MOUNTPOINT\n", argv[0]);
		return 2;
	}
	image = open(argv[1], O_RDWR | O_CLOEXEC);
	record = open(
	    argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (image < 0 || record < 0) {
		perror("logdisk");
		return 2;
	}
	image_size = lseek(image, 0, SEEK_END);
	return fuse_main(3, args, &operations, NULL);
}
