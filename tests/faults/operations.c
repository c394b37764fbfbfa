/* SPDX-License-Identifier: MIT */
/* operations.c - every operation of the kernel fails in turn, each with all that it may say. */
#define _GNU_SOURCE
#include "faults/faults.h"

FAULTS("faults/operations", OPERATION)
