/* SPDX-License-Identifier: MIT */
/* kernel_op.h - what the defs of kernel ops are made of, besides what core/loop.h has. */
#ifndef WEIR_CORE_KERNEL_OP_H
#define WEIR_CORE_KERNEL_OP_H

#include "core/loop.h"

/* As weir_kernel_park_(), for an op whose off is an address too. */
bool weir_kernel_park_both_(struct weir_op *op);

struct weir_buffer_ {
	void *p;
	size_t n;
};

/* What the kernel reads or fills until op has ended, strings and addresses of sockets apart. */
struct weir_buffer_ weir_kernel_buffer_(const struct weir_op *op);

/* Closes fd, which op gave and nobody will take. */
void weir_kernel_drop_(struct weir_op *op, int fd);

/* conf.check: op, which has ended as it parked, gave fd. */
void weir_kernel_gave_(struct weir_op *op, int fd);

#endif
