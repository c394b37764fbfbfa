/* SPDX-License-Identifier: MIT */
/*
 * buffers.h - whose a buffer of a pool is; see weir/stream.h.
 *
 * A buffer is the kernel's to fill, or nobody's where there is no multishot; or it has been filled
 * and is held by a stream; or it is lent to a task.  What is not held or lent is poisoned for
 * AddressSanitizer, unless it is a simulated kernel that would trip over it.
 */
#ifndef WEIR_IO_BUFFERS_H
#define WEIR_IO_BUFFERS_H

#include "core/loop.h"
#include "weir/stream.h"

#define NO_BUFFER	UINT32_MAX

struct weir_buf_ {
	uint32_t len;
	uint32_t next;		/* in a stream's queue, or among the unused; NO_BUFFER: none */
	enum { WEIR_BUF_UNUSED_, WEIR_BUF_HELD_, WEIR_BUF_LENT_ } state;
};

/* Buffers that all began at the same place of a page would meet in the same lines of the cache. */
static inline size_t weir_buffer_stride_(const struct weir_buffers *b)
{
	return b->size < 4096 ? b->size : b->size + 64;
}

static inline char *weir_buffer_at_(const struct weir_buffers *b, uint32_t index)
{
	return b->data + index * weir_buffer_stride_(b);
}

/* The kernel says that it has filled this one. */
void weir_buffer_filled_(struct weir_buffers *b, uint32_t index);
/* Without multishot: one for the kernel to fill; NO_BUFFER. */
uint32_t weir_buffer_get_(struct weir_buffers *b);
/* None is left: as many again take part.  False: all do. */
bool weir_buffers_more_(struct weir_buffers *b);
/* The kernel has found none. */
void weir_buffers_short_(struct weir_buffers *b);
/* It may be filled anew. */
void weir_buffer_back_(struct weir_buffers *b, uint32_t index);

/* The loop has gone: so do the pools that are left. */
void weir_buffers_gone_(struct weir_loop *loop);

#endif
