/* SPDX-License-Identifier: MIT */
/*
 * memory.h - tells the tools that watch memory what the kernel does behind their backs.
 *
 * AddressSanitizer does not see the kernel write past the end of a buffer, or into one that has
 * been freed meanwhile; valgrind does not see it write at all; ThreadSanitizer sees neither that it
 * uses a buffer nor that what one thread sent another has received.  Without such a tool all this
 * does nothing; who calls it for each op asks weir_memory_watched_ first.
 */
#ifndef WEIR_CORE_MEMORY_H
#define WEIR_CORE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define WEIR_ASAN_ 1
#endif
#endif
#if defined __SANITIZE_ADDRESS__
#define WEIR_ASAN_ 1
#endif

#if defined __has_feature
#if __has_feature(thread_sanitizer)
#define WEIR_TSAN_ 1
#endif
#endif
#if defined __SANITIZE_THREAD__
#define WEIR_TSAN_ 1
#endif

#ifdef WEIR_ASAN_
#include <sanitizer/asan_interface.h>
#endif
#ifdef WEIR_TSAN_
#include <errno.h>
#include <sys/uio.h>

#define WEIR_TSAN_MAX_	(1L << 20)	/* of each buffer; gigabytes would take seconds */

void __tsan_acquire(void *p);
void __tsan_release(void *p);
void __tsan_read_range(void *p, long n);
void __tsan_write_range(void *p, long n);
#endif

#if defined __has_include
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND				0
#define VALGRIND_MAKE_MEM_DEFINED(p, n)			((void)(p), (void)(n))
#define VALGRIND_CHECK_MEM_IS_ADDRESSABLE(p, n)		((void)(p), (void)(n))
#define VALGRIND_CHECK_MEM_IS_DEFINED(p, n)		((void)(p), (void)(n))
#endif

/* Whether there is such a tool. */
#if defined WEIR_ASAN_ || defined WEIR_TSAN_
#define weir_memory_watched_	true
#else
extern bool weir_memory_watched_;	/* written before main() */
#endif

/* n bytes at p must be the program's, and no other thread's to use, when the kernel gets them and
 * until it is done with them: called then and then, as if this thread did what the kernel does. */
static inline void weir_memory_check_(void *p, size_t n, bool fills)
{
#ifdef WEIR_ASAN_
	const volatile char *bad = __asan_region_is_poisoned(p, n);

	if (bad)
		(void)*bad;	/* the tool says the rest */
#endif
#ifdef WEIR_TSAN_
	long shown = n < WEIR_TSAN_MAX_ ? (long)n : WEIR_TSAN_MAX_;

	if (shown && fills)
		__tsan_write_range(p, shown);
	else if (shown)
		__tsan_read_range(p, shown);
#endif
	(void)fills;
	(void)VALGRIND_CHECK_MEM_IS_ADDRESSABLE(p, n);
}

/* n bytes at p are nobody's to touch, or may be touched again. */
static inline void weir_memory_hide_(void *p, size_t n)
{
#ifdef WEIR_ASAN_
	__asan_poison_memory_region(p, n);
#endif
	(void)p;
	(void)n;
}

static inline void weir_memory_show_(void *p, size_t n)
{
#ifdef WEIR_ASAN_
	__asan_unpoison_memory_region(p, n);
#endif
	(void)p;
	(void)n;
}

/* The kernel has written n bytes at p. */
static inline void weir_memory_filled_(void *p, size_t n)
{
	(void)VALGRIND_MAKE_MEM_DEFINED(p, n);
}

/* What others did before they made fd ready this thread knows from here on; and what it has done,
 * those who read from fd later.  ThreadSanitizer learns that of read(2) and write(2) alone, so it
 * is shown calls that move nothing.  It does not know sockets that the ring has made: `sockets`,
 * which may be NULL, stands for all of them at once. */
static inline void weir_memory_heard_(int fd, void *sockets)
{
#ifdef WEIR_TSAN_
	int saved = errno;

	(void)!readv(fd, NULL, 0);
	errno = saved;
	if (sockets)
		__tsan_acquire(sockets);
#endif
	(void)fd;
	(void)sockets;
}

static inline void weir_memory_tells_(int fd, void *sockets)
{
#ifdef WEIR_TSAN_
	int saved = errno;

	(void)!writev(fd, NULL, 0);
	errno = saved;
	if (sockets)
		__tsan_release(sockets);
#endif
	(void)fd;
	(void)sockets;
}

#endif
