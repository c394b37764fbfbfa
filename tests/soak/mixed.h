/* SPDX-License-Identifier: MIT */
/* mixed.h - the city of city.h under the eyes of inspect.h: a body for weir_check_run(). */
#ifndef SOAK_MIXED_H
#define SOAK_MIXED_H

#include "soak/city.h"
#include "soak/inspect.h"

static int mixed(struct weir_loop *loop, void *arg)
{
	int rc;

	(void)arg;
	memset(&books, 0, sizeof books);
	books.peace = !(weir_sim_of_(loop->be)->conf.trouble & (WEIR_SIM_ERRORS | WEIR_SIM_JUMPS));
	inspect_always(loop);
	rc = weir_run(loop, city, .loop = loop);
	return is_ctx_error(rc) ? 0 : rc;
}

#endif
