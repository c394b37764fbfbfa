/* SPDX-License-Identifier: MIT */
/*
 * misuse.h - the frames of the coroutines that are compiled here; they are never run.
 */
#include "weir/chan.h"
#include "weir/co.h"
#include "weir/group.h"
#include "weir/select.h"

WEIR_CHAN(ints, int);

struct child {
	struct weir_frame co;
	int n;
};

struct other {
	struct weir_frame co;
	int n;
};

struct worker {
	struct weir_frame co;
	struct ints *ints;
	struct weir_arm arm[2];
	struct child child;
	struct other other;
	int n;
	long big;
	const int *fixed;
	char *text;
};

/* GCC looks only at what it compiles, and drops what nobody spawns. */
static WEIR_CO_DECL(worker) __attribute__((used));
