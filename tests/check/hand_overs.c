/* SPDX-License-Identifier: MIT */
/*
 * hand_overs.c - what one thread makes and another uses, and which ways from one to the other
 * ThreadSanitizer knows of.
 *
 * The first part is true by itself and asks the tool, where it is built in, to say nothing.  The
 * second has a buffer that a thread touches while the kernel has it, and asks the tool to say so:
 * `go` is such that it orders nothing.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check/tool_kit.h"

#define MADE	42

static struct weir_loop *loop;
static int made, fds[2];		/* handed over; the way */

static void begin(void)
{
	loop = test_loop_conf(&(struct weir_loop_conf){ 0 });
	made = 0;
}

static pthread_t start(void *(*fn)(void *arg), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, fn, arg), 0);
	return thread;
}

/* The thread ends last, so that its end orders nothing that is looked at. */
static void end(pthread_t thread)
{
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	test_loop_free(loop);
}

/* ---- without the kernel ---- */

WEIR_CHAN(ints, int);

struct letter {
	struct weir_msg msg;
	struct weir_port *port;
	struct ints ch;
};

static void arrived(struct weir_msg *msg)
{
	struct letter *l = weir_container_of(msg, struct letter, msg);

	ck_assert_int_eq(made, MADE);
	ck_assert_int_ge(weir_chan_try_send(&l->ch, &made), 0);
}

static void *post(void *arg)
{
	struct letter *l = arg;

	made = MADE;
	l->msg.fn = arrived;
	ck_assert_int_eq(weir_post(l->port, &l->msg), 0);
	return NULL;
}

struct receives { struct weir_frame co; struct letter *l; int got, rc; };

static WEIR_CO(receives, self, op)
{
	WEIR_AWAIT(self->rc, weir_chan_recv(op, &self->l->ch, &self->got));
	ck_assert_int_eq(self->got, MADE);
	ck_assert_int_eq(made, MADE);
}
WEIR_END

START_TEST(a_message_brings_what_was_made_before_it)
{
	struct letter l;
	pthread_t thread;

	begin();
	ck_assert_int_eq(weir_port_new(&l.port, loop), 0);
	ck_assert_int_eq(weir_chan_init(&l.ch, loop, 1), 0);
	thread = start(post, &l);
	ck_assert_int_eq(weir_run(loop, receives, .l = &l), 0);
	weir_chan_fini(&l.ch);
	weir_port_close(l.port);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	weir_port_unref(l.port);
	test_loop_free(loop);
}
END_TEST

struct job { struct weir_frame co; int in, out, rc; };

static int work(void *arg)
{
	struct job *j = arg;

	j->out = j->in;
	return 0;
}

static WEIR_CO(job, self, op)
{
	self->in = MADE;
	WEIR_AWAIT(self->rc, weir_work(op, NULL, work, self));
	ck_assert_int_eq(self->out, MADE);
	self->in = self->out = 0;
	WEIR_AWAIT(self->rc, weir_work(op, NULL, work, self));
	self->in = 1;
}
WEIR_END

START_TEST(a_job_has_its_tasks_memory_and_gives_it_back)
{
	begin();
	ck_assert_int_eq(weir_run(loop, job), 0);
	test_loop_free(loop);
}
END_TEST

static void *release(void *arg)
{
	made = MADE;
	ck_assert_int_eq(weir_sem_release_fd(*(int *)arg, 1), 0);
	return NULL;
}

struct acquires { struct weir_frame co; struct weir_sem *sem; int rc; };

static WEIR_CO(acquires, self, op)
{
	WEIR_AWAIT(self->rc, weir_sem_acquire(op, self->sem, 1));
	ck_assert_int_eq(self->rc, 0);
	ck_assert_int_eq(made, MADE);
}
WEIR_END

START_TEST(a_permit_from_another_thread_brings_what_was_made_before_it)
{
	struct weir_sem sem;
	pthread_t thread;
	int fd;

	begin();
	fd = weir_sem_shared_fd(0);
	ck_assert_int_eq(weir_sem_init_shared(&sem, loop, fd), 0);
	thread = start(release, &fd);
	ck_assert_int_eq(weir_run(loop, acquires, .sem = &sem), 0);
	weir_sem_fini(&sem);
	end(thread);
	close(fd);
}
END_TEST

/* ---- by descriptors ---- */

static void *cancel(void *arg)
{
	made = MADE;
	ck_assert_int_eq(weir_ctx_cancel_fd(*(int *)arg), 0);
	return NULL;
}

struct cancelled { struct weir_frame co; struct weir_ctx ctx; pthread_t *thread; int fd, rc; };

static WEIR_CO(cancelled, self, op)
{
	weir_ctx_init(&self->ctx, weir_op_ctx(op));
	self->fd = weir_ctx_fd(&self->ctx);
	ck_assert_int_ge(self->fd, 0);
	*self->thread = start(cancel, &self->fd);
	weir_ctx_enter(op, &self->ctx);
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_HOUR));
	weir_ctx_leave(op, &self->ctx);
	ck_assert_int_eq(self->rc, -ECANCELED);
	ck_assert_int_eq(made, MADE);
	pthread_join(*self->thread, NULL);
	weir_ctx_fini(&self->ctx);
}
WEIR_END

START_TEST(a_cancel_from_another_thread_brings_what_was_made_before_it)
{
	pthread_t thread;

	begin();
	ck_assert_int_eq(weir_run(loop, cancelled, .thread = &thread), 0);
	test_loop_free(loop);
}
END_TEST

static void *send_8(void *arg)
{
	const uint64_t n = 1;

	made = MADE;
	ck_assert_int_eq(write(*(int *)arg, &n, sizeof n), sizeof n);
	return NULL;
}

struct reads_8 { struct weir_frame co; int fd, rc; uint64_t n; };

static WEIR_CO(reads_8, self, op)
{
	WEIR_AWAIT(self->rc, weir_read(op, self->fd, &self->n, sizeof self->n, -1));
	ck_assert_int_eq(self->rc, sizeof self->n);
	ck_assert_int_eq(made, MADE);
	ck_assert_uint_eq(self->n, 1);
}
WEIR_END

START_TEST(a_read_brings_what_was_made_before_the_write)
{
	pthread_t thread;

	begin();
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	thread = start(send_8, &fds[1]);
	ck_assert_int_eq(weir_run(loop, reads_8, .fd = fds[0]), 0);
	end(thread);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(an_eventfd_brings_what_was_made_before_it_was_written_to)
{
	pthread_t thread;

	begin();
	fds[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	thread = start(send_8, &fds[0]);
	ck_assert_int_eq(weir_run(loop, reads_8, .fd = fds[0]), 0);
	end(thread);
	close(fds[0]);
}
END_TEST

static void *wait_for_8(void *arg)
{
	uint64_t n;

	ck_assert_int_eq(read(*(int *)arg, &n, sizeof n), sizeof n);
	ck_assert_int_eq(made, MADE);
	return NULL;
}

struct writes_8 { struct weir_frame co; int rc; uint64_t n; };

static WEIR_CO(writes_8, self, op)
{
	self->n = 1;
	made = MADE;
	WEIR_AWAIT(self->rc, weir_write(op, fds[1], &self->n, sizeof self->n, -1));
	ck_assert_int_eq(self->rc, sizeof self->n);
}
WEIR_END

START_TEST(a_write_brings_what_was_made_before_it_to_who_reads)
{
	pthread_t thread;

	begin();
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	thread = start(wait_for_8, &fds[0]);
	ck_assert_int_eq(weir_run(loop, writes_8), 0);
	end(thread);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* ---- from loop to loop ---- */

static struct sockaddr_in address;

struct client { struct weir_frame co; int fd, rc; };

static WEIR_CO(client, self, op)
{
	WEIR_AWAIT(self->fd, weir_socket(op, AF_INET, SOCK_STREAM, 0));
	WEIR_AWAIT(self->rc, weir_connect(op, self->fd, (struct sockaddr *)&address,
					  sizeof address));
	ck_assert_int_eq(self->rc, 0);
	made = MADE;
	WEIR_AWAIT(self->rc, weir_send(op, self->fd, "x", 1, 0));
	ck_assert_int_eq(self->rc, 1);
	WEIR_AWAIT(self->rc, weir_close(op, self->fd));
}
WEIR_END

static void *run_client(void *arg)
{
	struct weir_loop *other;

	ck_assert_int_eq(weir_loop_new(&other, NULL), 0);
	ck_assert_int_eq(weir_run(other, client), 0);
	ck_assert_int_eq(weir_loop_free(other), 0);
	return arg;
}

struct server { struct weir_frame co; pthread_t *thread; int listener, fd, rc; char c; };

static WEIR_CO(server, self, op)
{
	socklen_t len;

	WEIR_AWAIT(self->listener, weir_socket(op, AF_INET, SOCK_STREAM, 0));
	address = (struct sockaddr_in){ .sin_family = AF_INET };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	WEIR_AWAIT(self->rc, weir_bind(op, self->listener, (struct sockaddr *)&address,
				       sizeof address));
	len = sizeof address;
	getsockname(self->listener, (struct sockaddr *)&address, &len);
	WEIR_AWAIT(self->rc, weir_listen(op, self->listener, 1));
	*self->thread = start(run_client, NULL);
	WEIR_AWAIT(self->fd, weir_accept(op, self->listener, NULL, NULL, 0));
	WEIR_AWAIT(self->rc, weir_recv(op, self->fd, &self->c, 1, 0));
	ck_assert_int_eq(self->rc, 1);
	ck_assert_int_eq(made, MADE);
	WEIR_AWAIT(self->rc, weir_close(op, self->fd));
	WEIR_AWAIT(self->rc, weir_close(op, self->listener));
}
WEIR_END

START_TEST(a_connection_between_loops_brings_what_was_made_before_a_send)
{
	pthread_t thread;

	begin();
	ck_assert_int_eq(weir_run(loop, server, .thread = &thread), 0);
	end(thread);
}
END_TEST

/* ---- mistakes ---- */

#ifdef TSAN

#define SIZE	65536

static atomic_int go;
static char *buf;
static bool with_lock;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void wait_until(int n)
{
	while (atomic_load_explicit(&go, memory_order_relaxed) < n)
		sched_yield();
}

static void tell(int n)
{
	atomic_store_explicit(&go, n, memory_order_relaxed);
}

/* With a lock that it takes after the loop's thread has had it, it comes after the begin of the
 * operation, and nothing says that it comes before the end. */
static void *touch(void *arg)
{
	wait_until(1);
	if (with_lock) {
		pthread_mutex_lock(&lock);
		pthread_mutex_unlock(&lock);
	}
	buf[SIZE / 2] = 'x';
	tell(2);
	return arg;
}

struct uses { struct weir_frame co; bool writes; int rc; };

static WEIR_CO(uses, self, op)
{
	if (self->writes)
		WEIR_AWAIT(self->rc, weir_write(op, fds[1], buf, SIZE, -1));
	else
		WEIR_AWAIT(self->rc, weir_read(op, fds[0], buf, SIZE, -1));
}
WEIR_END

/* Once the other one waits. */
struct lets { struct weir_frame co; bool writes; int rc; };

static WEIR_CO(lets, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_MS));
	if (with_lock) {
		pthread_mutex_lock(&lock);
		pthread_mutex_unlock(&lock);
	}
	tell(1);
	wait_until(2);
	if (self->writes)
		WEIR_AWAIT(self->rc, weir_read(op, fds[0], malloc(SIZE), SIZE, -1));
	else
		WEIR_AWAIT(self->rc, weir_write(op, fds[1], "y", 1, -1));
}
WEIR_END

static void use(bool writes)
{
	pthread_t thread;

	buf = malloc(SIZE);
	if (!buf || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0 || weir_loop_new(&loop, NULL) < 0)
		_exit(0);
	memset(buf, 0, SIZE);
	if (writes && write(fds[1], buf, SIZE) < 0)
		_exit(0);
	pthread_create(&thread, NULL, touch, NULL);
	if (weir_go(weir_loop_group(loop), lets, .writes = writes) < 0)
		_exit(0);
	weir_run(loop, uses, .writes = writes);
	exit(0);
}

static void read_it(void)
{
	use(false);
}

static void write_it(void)
{
	use(true);
}

START_TEST(a_buffer_that_a_thread_touches_while_the_kernel_may_fill_it_is_a_race)
{
	ck_assert_seen(read_it, "data race");
}
END_TEST

START_TEST(a_buffer_that_a_thread_changes_while_the_kernel_may_send_it_is_a_race)
{
	ck_assert_seen(write_it, "data race");
}
END_TEST

START_TEST(nor_is_a_lock_of_use_that_the_end_of_the_operation_does_not_wait_for)
{
	with_lock = true;
	ck_assert_seen(read_it, "data race");
	ck_assert_seen(write_it, "data race");
}
END_TEST

#define MISTAKES	,								\
      a_buffer_that_a_thread_touches_while_the_kernel_may_fill_it_is_a_race,		\
      a_buffer_that_a_thread_changes_while_the_kernel_may_send_it_is_a_race,		\
      nor_is_a_lock_of_use_that_the_end_of_the_operation_does_not_wait_for

#else
#define MISTAKES
#endif

TESTS("hand_overs",
      a_message_brings_what_was_made_before_it,
      a_job_has_its_tasks_memory_and_gives_it_back,
      a_permit_from_another_thread_brings_what_was_made_before_it,
      a_cancel_from_another_thread_brings_what_was_made_before_it,
      a_read_brings_what_was_made_before_the_write,
      an_eventfd_brings_what_was_made_before_it_was_written_to,
      a_write_brings_what_was_made_before_it_to_who_reads,
      a_connection_between_loops_brings_what_was_made_before_a_send MISTAKES)
