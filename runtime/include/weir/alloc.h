/* SPDX-License-Identifier: MIT */
/*
 * alloc.h - an allocator of your own, in place of malloc(3) and free(3).
 *
 * Everything that weir allocates comes from it, in all loops and threads of the process: loops,
 * tasks (in chunks of 16 KiB for many), rings of channels, workers.  Nothing is allocated when an
 * op completes, a ctx is cancelled or a descriptor closed.  What is not from it: the kernel's
 * shared memory of a ring, which liburing maps; the stacks of worker threads, which pthreads maps.
 */
#ifndef WEIR_ALLOC_H
#define WEIR_ALLOC_H

#include "weir/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_alloc {
	/* size bytes, never 0, not initialised, aligned for any type that fits into them; or NULL,
	 * which the call that wanted them reports as -ENOMEM. */
	void *(*alloc)(void *arg, size_t size);
	/* p is from alloc, never NULL. */
	void (*free)(void *arg, void *p);
	void *arg;
};

/* Uses *a, which is copied, from now on; NULL: malloc(3) and free(3).  Its functions may be called
 * by several threads at a time, if several use weir, and may not call weir.  Tries a few blocks.
 * Any thread, while no other uses weir.  Results: 0; -EBUSY weir has memory from the one before;
 * -EINVAL a function is missing, or a block is not aligned; -ENOMEM it gave none. */
WEIR_API int weir_alloc_set(const struct weir_alloc *a);

#ifdef __cplusplus
}
#endif

#endif
