/* SPDX-License-Identifier: MIT */
/* short_counts.c - every read, write, recv and send moves one byte only, in turn. */
#define _GNU_SOURCE
#include "faults/faults.h"

FAULTS("faults/short_counts", SHORT_COUNT)
