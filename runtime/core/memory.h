/* SPDX-License-Identifier: MIT */
/*
 * memory.h - tells memory checkers what the kernel does to memory behind their backs.
 *
 * AddressSanitizer does not see the kernel write past the end of a buffer, or into one that has
 * been freed meanwhile; valgrind does not see it write at all.  Without either tool nothing is left
 * of this but a few no-ops of valgrind's where its header is installed.
 */
#ifndef WEIR_CORE_MEMORY_H
#define WEIR_CORE_MEMORY_H

#include <stddef.h>

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define WEIR_ASAN_ 1
#endif
#endif
#if defined __SANITIZE_ADDRESS__
#define WEIR_ASAN_ 1
#endif

#ifdef WEIR_ASAN_
#include <sanitizer/asan_interface.h>
#endif

#if defined __has_include
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifndef VALGRIND_MAKE_MEM_DEFINED
#define VALGRIND_MAKE_MEM_DEFINED(p, n)			((void)(p), (void)(n))
#define VALGRIND_CHECK_MEM_IS_ADDRESSABLE(p, n)		((void)(p), (void)(n))
#define VALGRIND_CHECK_MEM_IS_DEFINED(p, n)		((void)(p), (void)(n))
#endif

/* n bytes at p must be the program's: looked at when the kernel gets them and when it is done. */
static inline void weir_memory_check_(void *p, size_t n)
{
#ifdef WEIR_ASAN_
	const volatile char *bad = __asan_region_is_poisoned(p, n);

	if (bad)
		(void)*bad;	/* the tool says the rest */
#endif
	(void)VALGRIND_CHECK_MEM_IS_ADDRESSABLE(p, n);
}

/* The kernel has written n bytes at p. */
static inline void weir_memory_filled_(void *p, size_t n)
{
	(void)VALGRIND_MAKE_MEM_DEFINED(p, n);
}

#endif
