/* SPDX-License-Identifier: MIT */
/*
 * direct.h - ops that are one system call which never blocks, made on the spot.
 *
 * io_uring has no bind, listen or pipe before Linux 6.11, and its close gains nothing over
 * close(2):  a backend calls these instead of queueing.
 */
#ifndef WEIR_KERNEL_DIRECT_H
#define WEIR_KERNEL_DIRECT_H

#include "weir/op.h"

/* True: op is one of these; it has been carried out, the result is in op->res.  close is the
 * caller's. */
bool weir_direct_(struct weir_op *op);

/* close(2), 0 or -errno; the descriptor is gone either way. */
int weir_direct_close_(int fd);

#endif
