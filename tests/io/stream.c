/* SPDX-License-Identifier: MIT */
/* stream.c - streams where the kernel has multishot receives; where it has none, the same twice. */
#define _GNU_SOURCE
#include "stream_tests.h"
