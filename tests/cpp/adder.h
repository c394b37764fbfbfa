/* SPDX-License-Identifier: MIT */
/* adder.h - a coroutine, whose body is C, as C++ sees it. */
#ifndef ADDER_H
#define ADDER_H

#include "weir.h"

#ifdef __cplusplus
extern "C" {
#endif

WEIR_CHAN(ints, int);

struct adder {
	struct weir_frame co;
	struct ints *in;
	int item, *sum, rc;
};

/* Adds up what it receives until the channel is closed; returns an error, or 0. */
WEIR_CO_DECL(adder);

#ifdef __cplusplus
}
#endif

#endif
