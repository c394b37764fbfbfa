/* SPDX-License-Identifier: MIT */
/* calls.c - every system call, and every call that liburing answers, fails in turn. */
#define _GNU_SOURCE
#include "faults/faults.h"

FAULTS("faults/calls", CALL)
