/* SPDX-License-Identifier: MIT */
/* kernel.h - how the operations of file.h and socket.h fill in an op for the kernel. */
#ifndef WEIR_IO_KERNEL_H
#define WEIR_IO_KERNEL_H

#include "core/kernel_op.h"

#define WEIR_IO_MAX	0x7ffff000u	/* bytes that Linux moves in one call at most */

static inline uint64_t weir_addr_(const void *p)
{
	return (uintptr_t)p;
}

/* The kernel would cut it too; what it says of more than 32 bits is not asked for. */
static inline uint32_t weir_len_(size_t len)
{
	return len < WEIR_IO_MAX ? (uint32_t)len : WEIR_IO_MAX;
}

/* Prepares op as a def on fd; the caller sets the rest, which is 0. */
static inline struct weir_kernel_args *
weir_kernel_args_(struct weir_op *op, const struct weir_op_def *def, int fd)
{
	weir_op_prepare_(op, def);
	op->u.kernel = (struct weir_kernel_args){ .fd = fd };
	return &op->u.kernel;
}

#endif
