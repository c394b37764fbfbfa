/* SPDX-License-Identifier: MIT */
/*
 * tool_kit.h - which sanitizer is built in, and what it says of a mistake made in a child.
 */
#ifndef TOOL_KIT_H
#define TOOL_KIT_H

#include <stdio.h>

#include "aborts.h"
#include "harness.h"
#include "weir.h"

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define ASAN
#endif
#if __has_feature(thread_sanitizer)
#define TSAN
#endif
#endif
#if defined __SANITIZE_ADDRESS__
#define ASAN
#endif
#if defined __SANITIZE_THREAD__
#define TSAN
#endif

/* fn() fails in a child, by the sanitizer that says `text`. */
static inline void ck_assert_seen(void (*fn)(void), const char *text)
{
	char said[8192];
	int status = in_a_child(fn, said, sizeof said);

	ck_assert_msg(strstr(said, text), "it said: %s", said);
	ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

#endif
