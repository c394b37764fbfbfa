/* SPDX-License-Identifier: MIT */
/*
 * slab.h - memory for tasks: blocks of a few sizes, kept by the loop for the next task.
 *
 * A block goes back to its size's free list and to the system when the loop is freed.  Blocks of
 * more than WEIR_SLAB_MAX_ bytes are the system's from call to call.  Under AddressSanitizer, with
 * WEIR_DEBUG, with conf.check and on a simulated kernel, all of them are, so that a use after the
 * end is seen; with conf.sim what is freed is filled with rubbish, too.
 *
 * What is aligned by 16 has a size that is a multiple of 16, so that others need not be rounded up:
 * a million tasks save 8 MB.
 */
#ifndef WEIR_CORE_SLAB_H
#define WEIR_CORE_SLAB_H

#include <stdbool.h>
#include <stddef.h>

#define WEIR_SLAB_STEP_		8
#define WEIR_SLAB_ALIGN_	16	/* of a block whose size is a multiple of it; else 8 */
#define WEIR_SLAB_MAX_		1024
#define WEIR_SLAB_CLASSES_	(WEIR_SLAB_MAX_ / WEIR_SLAB_STEP_ + 1)
#define WEIR_SLAB_CHUNK_	16384	/* bytes taken from the system at a time */

struct weir_notes;

struct weir_slab {
	struct weir_slab_free { struct weir_slab_free *next; } *free[WEIR_SLAB_CLASSES_];
	char *at[WEIR_SLAB_CLASSES_];		/* unused rest of the class's newest chunk, */
	size_t left[WEIR_SLAB_CLASSES_];	/* ... in bytes */
	struct weir_slab_chunk *chunks;
	struct weir_notes *notes;		/* conf.check: of blocks */
	bool rubbish;				/* conf.sim */
	bool apart;				/* either: no block is ever given back here */
};

/* *class names the size to weir_slab_free_(), which finds nothing beside the block.  NULL: no
 * memory. */
void *weir_slab_alloc_(struct weir_slab *s, size_t size, unsigned char *class);
void weir_slab_free_(struct weir_slab *s, void *block, unsigned char class);
/* Of a finished task, that whoever reads it still be found out. */
void weir_slab_spoil_(void *block, size_t size);
void weir_slab_fini_(struct weir_slab *s);

#endif
