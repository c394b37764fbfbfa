/* SPDX-License-Identifier: MIT */
/* slab.c - see slab.h. */
#include <string.h>

#include "core/seen.h"
#include "core/slab.h"
#include "kernel/alloc.h"

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define PLAIN 1
#endif
#endif
#if defined __SANITIZE_ADDRESS__ || defined WEIR_DEBUG
#define PLAIN 1
#endif
#ifndef PLAIN
#define PLAIN 0
#endif

#define NO_CLASS	0	/* the system's */

struct weir_slab_chunk {
	struct weir_slab_chunk *next;
	_Alignas(WEIR_SLAB_ALIGN_) char block[];
};

/* In front of a block that will be filled with rubbish. */
struct sized {
	size_t size;
	_Alignas(WEIR_SLAB_ALIGN_) char block[];
};

void weir_slab_spoil_(void *block, size_t size)
{
	memset(block, 0xa5, size);	/* a pointer of these is none */
}

static void *sized_alloc(size_t size)
{
	struct sized *b;
	size_t all;

	if (__builtin_add_overflow(sizeof *b, size, &all))
		return NULL;
	b = weir_alloc_(all);
	if (!b)
		return NULL;
	b->size = size;
	return b->block;
}

static void sized_free(char *block)
{
	struct sized *b = (struct sized *)(void *)(block - offsetof(struct sized, block));

	weir_slab_spoil_(block, b->size);
	weir_free_(b);
}

static void *system_alloc(struct weir_slab *s, size_t size)
{
	if (s->notes)
		return weir_notes_block_(s->notes, size);
	return s->rubbish ? sized_alloc(size) : weir_alloc_(size);
}

static void system_free(struct weir_slab *s, void *block)
{
	if (s->notes)
		weir_notes_unblock_(s->notes, block);
	else if (s->rubbish)
		sized_free(block);
	else
		weir_free_(block);
}

static void *refill(struct weir_slab *s, unsigned class)
{
	size_t size = (size_t)class * WEIR_SLAB_STEP_;
	struct weir_slab_chunk *chunk;
	char *block;

	if (s->left[class] < size) {
		chunk = weir_alloc_(sizeof *chunk + WEIR_SLAB_CHUNK_);
		if (!chunk)
			return NULL;
		chunk->next = s->chunks;
		s->chunks = chunk;
		s->at[class] = chunk->block;
		s->left[class] = WEIR_SLAB_CHUNK_;
	}
	block = s->at[class];
	s->at[class] += size;
	s->left[class] -= size;
	return block;
}

void *weir_slab_alloc_(struct weir_slab *s, size_t size, unsigned char *class)
{
	size_t c = (size + WEIR_SLAB_STEP_ - 1) / WEIR_SLAB_STEP_;
	struct weir_slab_free *block;

	if (PLAIN || c >= WEIR_SLAB_CLASSES_) {
		*class = NO_CLASS;
		return system_alloc(s, size);
	}
	*class = (unsigned char)c;
	block = s->free[c];
	if (!block && s->apart) {	/* as always, since none is ever given back here */
		*class = NO_CLASS;
		return system_alloc(s, size);
	}
	if (!block)
		return refill(s, (unsigned)c);
	s->free[c] = block->next;
	return block;
}

void weir_slab_free_(struct weir_slab *s, void *block, unsigned char class)
{
	struct weir_slab_free *f = block;

	if (class == NO_CLASS) {
		system_free(s, block);
		return;
	}
	f->next = s->free[class];
	s->free[class] = f;
}

void weir_slab_fini_(struct weir_slab *s)
{
	while (s->chunks) {
		struct weir_slab_chunk *next = s->chunks->next;

		weir_free_(s->chunks);
		s->chunks = next;
	}
}
