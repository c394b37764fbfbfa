/* SPDX-License-Identifier: MIT */
/*
 * base.h - what every other header of weir uses: units of time, the intrusive list, visibility.
 *
 * Time is uint64_t nanoseconds of the loop's monotonic clock.  Results are int: 0 or more for
 * success, -errno for failure; errno itself is never set or read.  A name that ends in `_` is
 * weir's own: it stands in a header because a macro or an inline function needs it.
 */
#ifndef WEIR_BASE_H
#define WEIR_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_API	__attribute__((visibility("default")))
#define WEIR_MUST_USE	__attribute__((warn_unused_result))

#define WEIR_NS		1ull
#define WEIR_US		1000ull
#define WEIR_MS		1000000ull
#define WEIR_S		1000000000ull
#define WEIR_MIN	(60 * WEIR_S)
#define WEIR_HOUR	(60 * WEIR_MIN)
#define WEIR_FOREVER	UINT64_MAX	/* a time that never comes */

/* "file:line" of where the macro stands, for reports. */
#define WEIR_STR2_(x)	#x
#define WEIR_STR_(x)	WEIR_STR2_(x)
#define WEIR_HERE_	__FILE__ ":" WEIR_STR_(__LINE__)

#define weir_container_of(ptr, type, member)	\
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Saturating: a time past the end of time is WEIR_FOREVER. */
static inline uint64_t weir_time_add(uint64_t t, uint64_t ns)
{
	uint64_t sum = t + ns;

	return sum < t ? WEIR_FOREVER : sum;
}

/* A ring of links: the head is a link too, an empty list points at itself. */
struct weir_list {
	struct weir_list *next, *prev;
};

static inline void weir_list_init_(struct weir_list *l)
{
	l->next = l->prev = l;
}

static inline bool weir_list_empty_(const struct weir_list *l)
{
	return l->next == l;
}

static inline void weir_list_append_(struct weir_list *head, struct weir_list *l)
{
	l->next = head;
	l->prev = head->prev;
	head->prev->next = l;
	head->prev = l;
}

static inline void weir_list_remove_(struct weir_list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
}

/* Moves all of from, which becomes empty, behind what to holds. */
static inline void weir_list_splice_(struct weir_list *to, struct weir_list *from)
{
	if (weir_list_empty_(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	weir_list_init_(from);
}

#endif
