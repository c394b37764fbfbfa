/* SPDX-License-Identifier: MIT */
/*
 * buffers.c - see buffers.h: the pool, and the ring by which the kernel gets its buffers.
 *
 * One block of memory has the ring, which begins at a page, what is known of each buffer, and the
 * buffers.  It is freed when no receive is under way, or never.  The kernel takes buffers in turn,
 * so few of them stay warmer in the cache than many: some take part, and more if it runs out.
 */
#include <liburing.h>
#include <unistd.h>

#include "core/memory.h"
#include "io/buffers.h"
#include "kernel/alloc.h"

#define AT_FIRST	64u	/* buffers that take part */

static bool is_power_of_2(size_t n)
{
	return n && !(n & (n - 1));
}

static void hide(struct weir_buffers *b, char *data)
{
	if (!b->loop->be->ops->later)
		weir_memory_hide_(data, b->size);
}

/* ---- whose it is ---- */

static void hand_over(struct weir_buffers *b, uint32_t index)
{
	char *data = weir_buffer_at_(b, index);

	b->bufs[index].state = WEIR_BUF_UNUSED_;
	hide(b, data);
	if (b->group < 0) {
		b->bufs[index].next = b->free;
		b->free = index;
		return;
	}
	io_uring_buf_ring_add(b->ring, data, (unsigned)b->size, (uint16_t)index,
			      io_uring_buf_ring_mask(b->count), 0);
	io_uring_buf_ring_advance(b->ring, 1);
}

/* The first of them that have not taken part. */
static void offer(struct weir_buffers *b, uint32_t n)
{
	while (n-- && b->offered < b->count)
		hand_over(b, b->offered++);
}

bool weir_buffers_more_(struct weir_buffers *b)
{
	uint32_t before = b->offered;

	offer(b, before);
	return b->offered > before;
}

/* Many streams may say so at the same time, of the same want. */
void weir_buffers_short_(struct weir_buffers *b)
{
	if (b->used > b->offered / 2)
		weir_buffers_more_(b);
}

static void take(struct weir_buffers *b, uint32_t index)
{
	b->bufs[index].state = WEIR_BUF_HELD_;
	b->used++;
	weir_memory_show_(weir_buffer_at_(b, index), b->size);
}

void weir_buffer_filled_(struct weir_buffers *b, uint32_t index)
{
	WEIR_CHECK_(index < b->count && b->bufs[index].state == WEIR_BUF_UNUSED_,
		    "the kernel has filled a buffer that it does not have", b->made);
	take(b, index);
}

uint32_t weir_buffer_get_(struct weir_buffers *b)
{
	uint32_t index = b->free;

	if (index == NO_BUFFER)
		return NO_BUFFER;
	b->free = b->bufs[index].next;
	take(b, index);
	return index;
}

void weir_buffer_back_(struct weir_buffers *b, uint32_t index)
{
	b->used--;
	hand_over(b, index);
}

/* ---- the pool ---- */

static int lay_out(struct weir_buffers *b)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), ring = b->count * sizeof(struct io_uring_buf),
	       bufs = b->count * sizeof *b->bufs, data = b->count * weir_buffer_stride_(b);
	uintptr_t start;

	b->memory = weir_zalloc_(1, page + ring + bufs + data);
	if (!b->memory)
		return -ENOMEM;
	start = ((uintptr_t)b->memory + page - 1) & ~(uintptr_t)(page - 1);
	b->ring = (void *)start;
	b->data = (char *)start + ring;
	b->bufs = (void *)(b->data + data);
	return 0;
}

static void unlay(struct weir_buffers *b)
{
	weir_memory_show_(b->data, b->count * weir_buffer_stride_(b));
	weir_free_(b->memory);
	b->memory = NULL;
}

int weir_buffers_init_(struct weir_buffers *b, struct weir_loop *loop, unsigned count, size_t size,
		       const char *made)
{
	struct weir_backend *be = loop->be;
	int rc;

	if (!is_power_of_2(count) || count > WEIR_BUFFERS_MAX || !is_power_of_2(size) ||
	    size < WEIR_BUFFER_MIN || size > WEIR_BUFFER_MAX || size > SIZE_MAX / 4 / count)
		return -EINVAL;
	*b = (struct weir_buffers){
		.loop = loop, .count = count, .size = size, .free = NO_BUFFER, .made = made,
	};
	rc = lay_out(b);
	if (rc < 0)
		return rc;
	b->group = be->ops->buffers(be, b->ring, count);
	if (b->group == -EAGAIN) {
		unlay(b);
		return -EAGAIN;
	}
	offer(b, b->group < 0 ? count : AT_FIRST);
	weir_list_init_(&b->starved);
	weir_list_append_(&loop->buffers, &b->link);
	loop->buffers_free = weir_buffers_gone_;
	return 0;
}

void weir_buffers_fini(struct weir_buffers *b)
{
	struct weir_backend *be;

	if (!b->memory)
		return;		/* its loop went first */
	WEIR_CHECK_(!b->streams, "weir_buffers_fini() while a stream uses them", b->made);
	be = b->loop->be;
	if (b->group >= 0)
		be->ops->buffers_gone(be, b->group, b->count);
	weir_list_remove_(&b->link);
	unlay(b);
}

void weir_buffers_gone_(struct weir_loop *loop)
{
	while (!weir_list_empty_(&loop->buffers)) {
		struct weir_buffers *b = weir_container_of(loop->buffers.next, struct weir_buffers,
							   link);

		weir_list_remove_(&b->link);
		if (!loop->receives)
			unlay(b);
		b->memory = NULL;	/* the kernel may still write there: it stays */
	}
}
