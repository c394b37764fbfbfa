/* SPDX-License-Identifier: MIT */
/* allocations.c - every allocation fails in turn. */
#define _GNU_SOURCE
#include "faults/faults.h"

FAULTS("faults/allocations", ALLOCATION)
