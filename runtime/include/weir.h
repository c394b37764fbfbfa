/* SPDX-License-Identifier: MIT */
/* weir.h - all of weir.  Each header can be included alone as well. */
#ifndef WEIR_H
#define WEIR_H

#include "weir/alloc.h"
#include "weir/base.h"
#include "weir/chan.h"
#include "weir/check.h"
#include "weir/co.h"
#include "weir/ctx.h"
#include "weir/file.h"
#include "weir/group.h"
#include "weir/interval.h"
#include "weir/limiter.h"
#include "weir/loop.h"
#include "weir/op.h"
#include "weir/pipeline.h"
#include "weir/pool.h"
#include "weir/port.h"
#include "weir/seeds.h"
#include "weir/select.h"
#include "weir/sem.h"
#include "weir/shared.h"
#include "weir/sim.h"
#include "weir/socket.h"
#include "weir/stream.h"
#include "weir/task.h"
#include "weir/time.h"
#include "weir/work.h"

#endif
