/* SPDX-License-Identifier: MIT */
/* An allocator of one's own: it sees all of weir's memory, gets it all back, and may fail. */
#include <stdlib.h>
#include <string.h>

#include "core/kit.h"
#include "harness.h"

#define ROUND_TRIPS	300	/* tasks, of more than one chunk */

WEIR_CHAN(numbers, int);

/* Counts, and fails the nth. */
static struct books {
	long live, made;
	int fail_at;
} books;

static void *books_alloc(void *arg, size_t size)
{
	struct books *b = arg;
	void *p;

	ck_assert_uint_gt(size, 0);
	if (++b->made == b->fail_at)
		return NULL;
	p = malloc(size);
	ck_assert_ptr_nonnull(p);
	b->live++;
	return memset(p, 0xa5, size);	/* whoever expects zeros is found out */
}

static void books_free(void *arg, void *p)
{
	struct books *b = arg;

	ck_assert_ptr_nonnull(p);
	b->live--;
	free(p);
}

static const struct weir_alloc of_books = { books_alloc, books_free, &books };

static void use_books(void)
{
	ck_assert_int_eq(weir_alloc_set(&of_books), 0);
	books.made = 0;
}

struct leaf { struct weir_frame co; struct numbers *ch; int i; };

static WEIR_CO(leaf, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_send(op, self->ch, &self->i));
	WEIR_RETURN(rc < 0 ? rc : 0);
}
WEIR_END

struct nothing { struct weir_frame co; };

static WEIR_CO(nothing, self, op)
{
	(void)op;
	WEIR_RETURN(0);
}
WEIR_END

static int forty_two(void *arg)
{
	(void)arg;
	return 42;
}

/* Something of each kind that allocates. */
struct all { struct weir_frame co; struct numbers ch; struct weir_port *port; int i, n; };

static WEIR_CO(all, self, op)
{
	int rc;

	rc = weir_chan_init(&self->ch, weir_op_loop(op), 8);
	if (rc < 0)
		WEIR_RETURN(rc);
	rc = weir_port_new(&self->port, weir_op_loop(op));
	if (rc < 0)
		goto fini_chan;
	rc = weir_ctx_fd(weir_op_ctx(op));
	if (rc < 0)
		goto close_port;
	rc = weir_go(weir_loop_group(weir_op_loop(op)), leaf, .ch = &self->ch, .i = 7);
	if (rc < 0)
		goto close_port;
	WEIR_AWAIT(rc, weir_chan_recv(op, &self->ch, &self->n));
	WEIR_TRY(rc, close_port, weir_work(op, NULL, forty_two, NULL));
	if (self->n != 7 || rc != 42)	/* an assertion would allocate */
		WEIR_RETURN(-EPROTO);
	for (self->i = 0; self->i < ROUND_TRIPS; self->i++) {
		rc = weir_go(weir_loop_group(weir_op_loop(op)), nothing);
		if (rc < 0)
			goto close_port;
	}
close_port:
	weir_port_close(self->port);
	weir_port_unref(self->port);
fini_chan:
	weir_chan_fini(&self->ch);
	WEIR_RETURN(rc);
}
WEIR_END

/* The loop's life, 0 or the first error. */
static int all_of_it(bool check)
{
	const struct weir_loop_conf conf = { .virtual_clock = true, .check = check };
	struct weir_loop *loop;
	int rc = weir_loop_new(&loop, &conf);

	if (rc < 0)
		return rc;
	rc = weir_run(loop, all);
	weir_loop_free(loop);
	return rc;
}

START_TEST(an_allocator_of_ones_own_sees_all_and_gets_it_all_back)
{
	use_books();
	ck_assert_int_eq(all_of_it(true), 0);
	ck_assert_int_gt(books.made, 10);
	ck_assert_int_eq(books.live, 0);
}
END_TEST

/* Memory that is used once and never again. */
static struct arena {
	_Alignas(max_align_t) char bytes[4u << 20];
	size_t used;
} arena;

static void *arena_alloc(void *arg, size_t size)
{
	struct arena *a = arg;
	void *p = a->bytes + a->used;

	size = (size + 15) & ~(size_t)15;
	if (size > sizeof a->bytes - a->used)
		return NULL;
	a->used += size;
	return p;
}

static void arena_free(void *arg, void *p)
{
	(void)arg;
	(void)p;
}

START_TEST(nothing_comes_from_malloc_then)
{
	const struct weir_alloc of_arena = { arena_alloc, arena_free, &arena };
	bool asked;
	int rc;

	ck_assert_int_eq(weir_alloc_set(&of_arena), 0);
	test_fail_alloc(1);
	rc = all_of_it(true);
	asked = test_fail_alloc(0);
	ck_assert_int_eq(rc, 0);
	ck_assert(!asked);
}
END_TEST

START_TEST(an_allocator_that_fails_once_makes_the_call_return_enomem)
{
	int n, rc = -ENOMEM;

	use_books();
	for (n = 1; rc == -ENOMEM; n++) {
		books.made = 0;
		books.fail_at = n;
		rc = all_of_it(false);	/* notes are forgone without a word */
		ck_assert_int_eq(books.live, 0);
		ck_assert_int_eq(rc, books.made >= n ? -ENOMEM : 0);
	}
	ck_assert_int_gt(n, 10);
}
END_TEST

START_TEST(an_allocator_is_refused_while_weir_has_memory_of_the_one_before)
{
	struct weir_loop *loop = test_loop();

	ck_assert_int_eq(weir_alloc_set(&of_books), -EBUSY);
	ck_assert_int_eq(weir_alloc_set(NULL), -EBUSY);
	test_loop_free(loop);
	use_books();
	loop = test_loop();
	ck_assert_int_eq(weir_alloc_set(NULL), -EBUSY);
	test_loop_free(loop);
	ck_assert_int_eq(books.live, 0);
}
END_TEST

START_TEST(a_port_that_outlives_its_loop_still_counts)
{
	struct weir_loop *loop = test_loop();
	struct weir_port *port;

	ck_assert_int_eq(weir_port_new(&port, loop), 0);
	weir_port_close(port);
	test_loop_free(loop);
	ck_assert_int_eq(weir_alloc_set(&of_books), -EBUSY);
	weir_port_unref(port);
	ck_assert_int_eq(weir_alloc_set(&of_books), 0);
}
END_TEST

START_TEST(null_goes_back_to_malloc)
{
	use_books();
	ck_assert_int_eq(weir_alloc_set(NULL), 0);
	ck_assert_int_eq(all_of_it(true), 0);
	ck_assert_int_eq(books.made, 0);
}
END_TEST

static void *crooked_alloc(void *arg, size_t size)
{
	char *p = malloc(size + 8);

	(void)arg;
	return p + 8;
}

static void crooked_free(void *arg, void *p)
{
	(void)arg;
	free((char *)p - 8);
}

START_TEST(an_allocator_that_does_not_align_is_refused)
{
	struct weir_alloc crooked = { crooked_alloc, crooked_free, NULL };

	ck_assert_int_eq(weir_alloc_set(&crooked), -EINVAL);
	ck_assert_int_eq(all_of_it(true), 0);	/* with the one before */
}
END_TEST

START_TEST(an_allocator_that_gives_nothing_is_refused)
{
	int n;

	for (n = 1; n < 4; n++) {
		books.made = 0;
		books.fail_at = n;
		ck_assert_int_eq(weir_alloc_set(&of_books), -ENOMEM);
		ck_assert_int_eq(books.live, 0);
	}
}
END_TEST

START_TEST(half_an_allocator_is_refused)
{
	struct weir_alloc no_free = { .alloc = books_alloc }, no_alloc = { .free = books_free };

	ck_assert_int_eq(weir_alloc_set(&no_free), -EINVAL);
	ck_assert_int_eq(weir_alloc_set(&no_alloc), -EINVAL);
}
END_TEST

TESTS("alloc",
	an_allocator_of_ones_own_sees_all_and_gets_it_all_back,
	nothing_comes_from_malloc_then,
	an_allocator_that_fails_once_makes_the_call_return_enomem,
	an_allocator_is_refused_while_weir_has_memory_of_the_one_before,
	a_port_that_outlives_its_loop_still_counts,
	null_goes_back_to_malloc,
	an_allocator_that_does_not_align_is_refused,
	an_allocator_that_gives_nothing_is_refused,
	half_an_allocator_is_refused)
