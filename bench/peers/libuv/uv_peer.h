/* SPDX-License-Identifier: MIT */
/*
 * uv_peer.h - the files of the subject `libuv`: callbacks on its loop, as its guide has them.
 */
#ifndef UV_PEER_H
#define UV_PEER_H

#include <uv.h>

#include "../../kit.h"

extern const struct workload timers_workloads[], files_workloads[], post_workloads[];

/* As must(), of what libuv returns, which has names for more errors than Linux. */
static inline int uv_must(int rc, const char *what)
{
	check(rc >= 0, rc >= 0 ? what : uv_strerror(rc));
	return rc;
}

int serve_uv(void);

#endif
