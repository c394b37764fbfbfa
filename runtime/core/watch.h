/* SPDX-License-Identifier: MIT */
/* watch.h - descriptors that cancel a ctx.  For ctx.c alone. */
#ifndef WEIR_CORE_WATCH_H
#define WEIR_CORE_WATCH_H

#include "weir/ctx.h"

/* ctx is done: its own eventfd becomes readable, other descriptors are watched no more. */
void weir_watches_done_(struct weir_ctx *ctx);
/* ctx goes: so do its watches, each as soon as the kernel has let go of it. */
void weir_watches_fini_(struct weir_ctx *ctx);

#endif
