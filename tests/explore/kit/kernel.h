/* SPDX-License-Identifier: MIT */
/* kernel.h - what the two halves of the kit's kernel share: files.c and ring.c. */
#ifndef EXPLORE_KERNEL_H
#define EXPLORE_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

struct ring;

struct file {
	enum { NO_FILE, EVENT, TIMER, RING } kind;
	unsigned refs;		/* descriptors and requests */
	bool semaphore;
	uint64_t count;		/* readable if not 0 */
	uint64_t due;		/* TIMER: 0 never */
	struct ring *ring;
};

/* A file with one descriptor; which is returned. */
int file_new(struct file **file);
/* Fails the schedule if fd is open no more. */
struct file *file_of(int fd);
void file_unref(struct file *f);
void file_close(int fd);
/* As read(2): f must be readable. */
uint64_t file_take(struct file *f);

/* f has become readable.  in_thread: by a system call, in which others may interrupt. */
void ring_notify(struct file *f, bool in_thread);
/* The calling thread comes back from a system call. */
void ring_return(void);
bool ring_calls(void);
bool ring_has_events(const struct ring *r);
void ring_exit(struct ring *r);

#endif
