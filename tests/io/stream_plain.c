/* SPDX-License-Identifier: MIT */
/* stream_plain.c - streams where the kernel refuses to have rings of buffers. */
#define _GNU_SOURCE
#define WITHOUT_MULTISHOT
#include "stream_tests.h"
