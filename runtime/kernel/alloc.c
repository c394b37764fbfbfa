/* SPDX-License-Identifier: MIT */
/*
 * alloc.c - the one door to the heap.
 *
 * Blocks are counted, for an allocator may not change while one of its blocks is out: it would be
 * given back to the other.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/alloc.h"
#include "weir/alloc.h"

#define ALIGN_MAX	_Alignof(max_align_t)

static void *of_malloc(void *arg, size_t size)
{
	(void)arg;
	return malloc(size);
}

static void to_free(void *arg, void *p)
{
	(void)arg;
	free(p);
}

static struct weir_alloc allocator = { of_malloc, to_free, NULL };
static atomic_size_t live;

void *weir_alloc_(size_t size)
{
	void *p = allocator.alloc(allocator.arg, size);

	if (p)
		atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	return p;
}

void *weir_zalloc_(size_t n, size_t size)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	p = weir_alloc_(bytes);
	return p ? memset(p, 0, bytes) : NULL;
}

void weir_free_(void *p)
{
	if (!p)
		return;
	atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
	allocator.free(allocator.arg, p);
}

/* For the largest type that fits into size bytes: no type is aligned to more than its size. */
static bool is_aligned(const void *p, size_t size)
{
	size_t align = ALIGN_MAX;

	while (align > size)
		align /= 2;
	return (uintptr_t)p % align == 0;
}

/* Several at a time, of sizes that lead a careless one astray. */
static int try_out(const struct weir_alloc *a)
{
	static const size_t size[] = { 1, 16, 24, 8, 40, 1000, 16 };
	void *block[sizeof size / sizeof *size];
	size_t n;
	int rc = 0;

	for (n = 0; n < sizeof size / sizeof *size; n++) {
		block[n] = a->alloc(a->arg, size[n]);
		if (!block[n]) {
			rc = -ENOMEM;
			break;
		}
		memset(block[n], 0, size[n]);
		if (!is_aligned(block[n], size[n]))
			rc = -EINVAL;
	}
	while (n-- > 0)
		a->free(a->arg, block[n]);
	return rc;
}

int weir_alloc_set(const struct weir_alloc *a)
{
	static const struct weir_alloc standard = { of_malloc, to_free, NULL };
	int rc;

	if (!a)
		a = &standard;
	if (!a->alloc || !a->free)
		return -EINVAL;
	if (atomic_load(&live))
		return -EBUSY;
	rc = try_out(a);
	if (rc == 0)
		allocator = *a;
	return rc;
}
