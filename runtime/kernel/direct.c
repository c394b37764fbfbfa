/* SPDX-License-Identifier: MIT */
/* direct.c - see direct.h.  Nothing here blocks, and nothing here is ever in flight. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/backend.h"
#include "kernel/direct.h"

bool weir_direct_(struct weir_op *op)
{
	const struct weir_kernel_args *a = &op->u.kernel;
	int rc;

	switch (op->def->opcode) {
	case WEIR_KOP_BIND:
		rc = bind(a->fd, (const struct sockaddr *)(uintptr_t)a->addr, (socklen_t)a->off);
		break;
	case WEIR_KOP_LISTEN:
		rc = listen(a->fd, (int)a->len);
		break;
	case WEIR_KOP_PIPE:
		rc = pipe2((int *)(uintptr_t)a->addr, (int)a->flags | O_CLOEXEC);
		break;
	default:
		return false;
	}
	op->res = rc < 0 ? -errno : rc;
	return true;
}

int weir_direct_close_(int fd)
{
	/* EINTR from Linux's close means closed: trying again could close another's descriptor. */
	return close(fd) < 0 && errno != EINTR ? -errno : 0;
}
