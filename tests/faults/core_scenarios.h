/* SPDX-License-Identifier: MIT */
/* core_scenarios.h - tasks and how they meet, in virtual time but for one; see scenarios.h. */
#ifndef CORE_SCENARIOS_H
#define CORE_SCENARIOS_H

/* ---- a loop ---- */

struct nothing { struct weir_frame co; };

static WEIR_CO(nothing, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_yield(op));
	WEIR_RETURN(rc);
}
WEIR_END

static int loop_life(void)
{
	static const struct weir_loop_conf checked = { .check = true };
	int rc = RUN(&checked, nothing);

	fault_pardon(ENOMEM);	/* what cannot be noted is not checked */
	return first(rc, RUN(&on_virtual, nothing));
}

/* ---- tasks, groups ---- */

struct adder { struct weir_frame co; int n, *sum; };

static WEIR_CO(adder, self, op)
{
	int rc;

	WEIR_TRY(rc, out, weir_sleep(op, (uint64_t)self->n * WEIR_MS));
	*self->sum += self->n;
out:
	WEIR_RETURN(rc < 0 ? rc : self->n);
}
WEIR_END

struct joins {
	struct weir_frame co;
	struct weir_group *g;
	struct weir_task *a, *b;
	int rc, sum;
};

static WEIR_CO(joins, self, op)
{
	int rc;

	self->rc = weir_go_join(&self->a, self->g, adder, .n = 10, .sum = &self->sum);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	self->rc = weir_go_join(&self->b, self->g, adder, .n = 5, .sum = &self->sum);
	WEIR_AWAIT(rc, weir_join(op, self->a));
	self->rc = first(self->rc, rc == 10 ? 0 : rc < 0 ? rc : -EPROTO);
	if (self->rc == 0) {
		WEIR_AWAIT(rc, weir_join(op, self->b));
		self->rc = first(self->rc, rc == 5 ? 0 : rc < 0 ? rc : -EPROTO);
	}
	WEIR_RETURN(first(self->rc, expect(self->sum == 15)));
}
WEIR_END

struct spawner {
	struct weir_frame co;
	struct weir_group limited, inner;
	struct weir_ctx hurry;
	int i, sum, rc;
	char big[2000];		/* a block that is no slab's */
};

static WEIR_CO(spawner, self, op)
{
	int rc;

	weir_group_init(&self->limited, weir_op_ctx(op), NULL);
	weir_group_init(&self->inner, &self->limited.ctx, NULL);
	weir_group_limit(&self->limited, 2);
	for (self->i = self->rc = 0; self->i < 5 && self->rc == 0; self->i++)
		WEIR_GO(self->rc, &self->limited, adder, .n = self->i, .sum = &self->sum);
	if (self->rc == 0)
		WEIR_GO(self->rc, &self->limited, joins, .g = &self->inner);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->limited));
	self->rc = first(self->rc, rc);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->inner));
	self->rc = first(self->rc, rc == -ECANCELED ? 0 : rc);
	weir_ctx_init_timeout(&self->hurry, weir_op_ctx(op), WEIR_S);
	weir_ctx_enter(op, &self->hurry);
	WEIR_AWAIT(rc, weir_sleep(op, WEIR_HOUR));
	weir_ctx_leave(op, &self->hurry);
	weir_ctx_fini(&self->hurry);
	self->rc = first(self->rc, expect(rc == -ETIMEDOUT));
	WEIR_RETURN(first(self->rc, expect(self->sum == 0 + 1 + 2 + 3 + 4)));
}
WEIR_END

static int tasks(void)
{
	return RUN(&on_virtual, spawner);
}

/* ---- channels, select ---- */

WEIR_CHAN(ints, int);

struct producer { struct weir_frame co; struct ints *ch; int i, n; };

static WEIR_CO(producer, self, op)
{
	int rc;

	for (self->i = 1; self->i <= self->n; self->i++)
		WEIR_TRY(rc, out, weir_chan_send(op, self->ch, &self->i));
	weir_chan_close(self->ch);
	WEIR_RETURN(0);
out:
	WEIR_RETURN(rc);
}
WEIR_END

struct consumer {
	struct weir_frame co;
	struct ints *a, *b;
	struct weir_arm arm[3];
	int x, y, *sum;
};

static WEIR_CO(consumer, self, op)
{
	int i;

	while (self->a || self->b) {
		weir_ready(weir_chan_recv(&self->arm[0].op, self->a, &self->x));
		weir_ready(weir_chan_recv(&self->arm[1].op, self->b, &self->y));
		weir_ready(weir_sleep(&self->arm[2].op, WEIR_HOUR));
		WEIR_TRY(i, out, weir_select(op, self->arm, 3));
		if (i == 2)
			WEIR_RETURN(-EPROTO);
		if (self->arm[i].op.res > 0)
			*self->sum += i ? self->y : self->x;
		else if (i)
			self->b = NULL;
		else
			self->a = NULL;
	}
	WEIR_RETURN(0);
out:
	WEIR_RETURN(i);
}
WEIR_END

struct meeting { struct weir_frame co; struct weir_group g; struct ints a, b; int sum, rc; };

static WEIR_CO(meeting, self, op)
{
	int rc;

	self->rc = weir_chan_init(&self->a, weir_op_loop(op), 0);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	self->rc = weir_chan_init(&self->b, weir_op_loop(op), 3);
	if (self->rc < 0)
		goto fini_a;
	weir_group_init(&self->g, weir_op_ctx(op), NULL);
	self->rc = weir_go(&self->g, producer, .ch = &self->a, .n = 5);
	if (self->rc == 0)
		self->rc = weir_go(&self->g, producer, .ch = &self->b, .n = 7);
	if (self->rc == 0)
		self->rc = weir_go(&self->g, consumer, .a = &self->a, .b = &self->b,
				   .sum = &self->sum);
	if (self->rc < 0)
		weir_group_cancel(&self->g, self->rc);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->g));
	self->rc = first(self->rc, rc);
	weir_chan_fini(&self->b);
fini_a:
	weir_chan_fini(&self->a);
	WEIR_RETURN(first(self->rc, expect(self->sum == 15 + 28)));
}
WEIR_END

static int channels(void)
{
	return RUN(&on_virtual, meeting);
}

/* ---- a pipeline ---- */

struct square { struct weir_frame co; int n, result; };

static WEIR_CO(square, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_sleep(op, (uint64_t)(10 - self->n) * WEIR_MS));
	self->result = self->n * self->n;
	WEIR_RETURN(rc < 0 ? rc : 1);
}
WEIR_END

struct tally { struct weir_frame co; int n, *last, *sum; };

static WEIR_CO(tally, self, op)
{
	if (self->n <= *self->last)	/* the squares come in order */
		WEIR_RETURN(-EPROTO);
	*self->last = self->n;
	*self->sum += self->n;
	WEIR_RETURN(0);
}
WEIR_END

struct plumber {
	struct weir_frame co;
	struct weir_pipeline p;
	struct weir_stage gen, map, sink;
	struct ints in, out;
	int last, sum, rc;
};

static WEIR_CO(plumber, self, op)
{
	int rc;

	self->rc = weir_chan_init(&self->in, weir_op_loop(op), 2);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	self->rc = weir_chan_init(&self->out, weir_op_loop(op), 2);
	if (self->rc < 0)
		goto fini_in;
	weir_pipeline_init(&self->p, weir_op_ctx(op));
	self->gen = (struct weir_stage){ .name = "numbers", .out = weir_chan_any(&self->in) };
	self->map = (struct weir_stage){ .name = "square", .workers = 3, .ordered = true };
	self->sink = (struct weir_stage){ .name = "tally" };
	self->rc = weir_pipeline_go(&self->p, &self->gen, producer, .ch = &self->in, .n = 9);
	rc = weir_pipeline_map(&self->p, &self->map, &self->in, &self->out, square, n, result);
	self->rc = first(self->rc, rc);
	rc = weir_pipeline_each(&self->p, &self->sink, &self->out, tally, n, .last = &self->last,
				.sum = &self->sum);
	self->rc = first(self->rc, rc);
	WEIR_AWAIT(rc, weir_pipeline_wait(op, &self->p));
	self->rc = first(self->rc, rc);
	weir_pipeline_fini(&self->p);
	weir_chan_fini(&self->out);
fini_in:
	weir_chan_fini(&self->in);
	WEIR_RETURN(first(self->rc, expect(self->sum == 285)));
}
WEIR_END

static int pipeline(void)
{
	return RUN(&on_virtual, plumber);
}

/* ---- a pool ---- */

WEIR_POOL(squarers, int);

struct boss {
	struct weir_frame co;
	struct weir_pool_receipt receipt;
	struct squarers pool;
	struct ints results;
	struct weir_group g;
	int i, n, sum, rc;
};

struct collect { struct weir_frame co; struct ints *results; int n, *sum; };

static WEIR_CO(collect, self, op)
{
	int rc;

	for (;;) {
		WEIR_TRY(rc, out, weir_chan_recv(op, self->results, &self->n));
		if (rc == 0)
			break;
		*self->sum += self->n;
	}
out:
	WEIR_RETURN(rc);
}
WEIR_END

static WEIR_CO(boss, self, op)
{
	static const struct weir_pool_conf conf = { .workers = 3, .queue = 2 };
	int rc;

	self->rc = weir_chan_init(&self->results, weir_op_loop(op), 1);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	weir_group_init(&self->g, weir_op_ctx(op), NULL);
	self->rc = weir_pool_init_results(&self->pool, &self->g.ctx, &conf, square, n, result,
					  &self->results);
	if (self->rc < 0)
		goto fini_group;
	self->rc = weir_go(&self->g, collect, .results = &self->results, .sum = &self->sum);
	if (self->rc < 0)
		weir_group_cancel(&self->g, self->rc);
	for (self->i = 1; self->i < 10 && self->rc >= 0; self->i++)
		WEIR_AWAIT(self->rc, weir_pool_submit(op, &self->pool, &self->i));
	weir_pool_close(&self->pool);
	WEIR_AWAIT(rc, weir_pool_wait(op, &self->pool));
	self->rc = first(self->rc, rc);
	weir_chan_close(&self->results);
	weir_pool_fini(&self->pool, &self->receipt);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->g));
	self->rc = first(self->rc, rc);
	self->rc = first(self->rc, expect(self->receipt.submitted == 9 && self->sum == 285));
	goto fini_chan;
fini_group:
	weir_group_fini(&self->g);
fini_chan:
	weir_chan_fini(&self->results);
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

static int pool(void)
{
	return RUN(&on_virtual, boss);
}

/* Three of five jobs are running when the time is up. */
struct drained {
	struct weir_frame co;
	struct weir_pool_receipt receipt;
	struct squarers pool;
	struct weir_pool_drain drain;
	int i, n, rc;
};

static WEIR_CO(drained, self, op)
{
	static const struct weir_pool_conf conf = { .workers = 3, .queue = 2 };

	self->rc = weir_pool_init(&self->pool, weir_op_ctx(op), &conf, square, n);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	self->n = 1;
	for (self->i = 0; self->i < 5 && self->rc >= 0; self->i++)
		WEIR_AWAIT(self->rc, weir_pool_submit(op, &self->pool, &self->n));
	WEIR_CALL(self->rc, self->drain, weir_pool_drain, .pool = weir_pool_any(&self->pool),
		  .ns = 5 * WEIR_MS);
	weir_pool_fini(&self->pool, &self->receipt);
	if (self->rc != -ETIMEDOUT)
		WEIR_RETURN(first(self->rc, -EPROTO));
	WEIR_RETURN(expect(self->receipt.late == 3 && self->receipt.aborted == 3 &&
			   self->receipt.dropped == 2));
}
WEIR_END

static int drain(void)
{
	return RUN(&on_virtual, drained);
}

/* ---- semaphores ---- */

struct holder { struct weir_frame co; struct weir_sem *s; int *inside, *times; unsigned n, most; };

static WEIR_CO(holder, self, op)
{
	int rc;

	WEIR_TRY(rc, out, weir_sem_acquire(op, self->s, self->n));
	*self->inside += (int)self->n;
	if (*self->inside > (int)self->most)
		WEIR_RETURN(-EPROTO);
	WEIR_AWAIT(rc, weir_sleep(op, WEIR_MS));
	*self->inside -= (int)self->n;
	++*self->times;
	rc = first(rc, weir_sem_release(self->s, self->n));
out:
	WEIR_RETURN(rc);
}
WEIR_END

struct sems {
	struct weir_frame co;
	struct weir_sem a, b;
	struct weir_group g;
	struct weir_arm arm[2];
	int fd, i, inside, times, rc;
};

static WEIR_CO(sems, self, op)
{
	int rc;

	self->rc = weir_sem_init(&self->a, weir_op_loop(op), 3);
	weir_group_init(&self->g, weir_op_ctx(op), NULL);
	for (self->i = 0; self->i < 6 && self->rc == 0; self->i++)
		self->rc = weir_go(&self->g, holder, .s = &self->a, .n = 1 + self->i % 3u,
				   .most = 3, .inside = &self->inside, .times = &self->times);
	if (self->rc < 0)
		weir_group_cancel(&self->g, self->rc);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->g));
	self->rc = first(self->rc, rc);
	self->rc = first(self->rc, expect(self->times == 6 && weir_sem_available(&self->a) == 3));
	weir_sem_fini(&self->a);
	WEIR_RETURN(self->rc);
}
WEIR_END

static int sem(void)
{
	return RUN(&on_virtual, sems);
}

/* Two semaphores on one descriptor, as two loops would have them; and acquires that give up. */
struct sharers { struct weir_frame co; struct sems s; };

static WEIR_CO(sharers, self, op)
{
	struct sems *s = &self->s;
	int rc;

	s->fd = weir_sem_shared_fd(1);
	if (s->fd < 0)
		WEIR_RETURN(s->fd);
	s->rc = weir_sem_init_shared(&s->a, weir_op_loop(op), s->fd);
	if (s->rc < 0)
		goto close_fd;
	s->rc = weir_sem_init_shared(&s->b, weir_op_loop(op), s->fd);
	if (s->rc < 0)
		goto fini_a;
	weir_group_init(&s->g, weir_op_ctx(op), NULL);
	for (s->i = 0; s->i < 6 && s->rc == 0; s->i++)
		s->rc = weir_go(&s->g, holder, .s = s->i % 2 ? &s->a : &s->b, .n = 1, .most = 1,
				.inside = &s->inside, .times = &s->times);
	if (s->rc < 0)
		weir_group_cancel(&s->g, s->rc);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->s.g));
	s = &self->s;
	s->rc = first(s->rc, rc);
	if (s->rc == 0)
		s->rc = weir_sem_try_acquire(&s->a, 1);
	if (s->rc == 0) {	/* one tries in vain, and leaves a read behind */
		weir_ready(weir_sem_acquire(&s->arm[0].op, &s->b, 1));
		weir_ready(weir_sleep(&s->arm[1].op, WEIR_S));
		WEIR_AWAIT(rc, weir_select(op, self->s.arm, 2));
		s = &self->s;
		s->rc = rc < 0 ? rc : rc == 0 ? s->arm[0].op.res : 0;
		s->rc = first(s->rc, rc == 0 ? -EPROTO : weir_sem_release(&s->a, 1));
	}
	weir_sem_fini(&s->b);
fini_a:
	weir_sem_fini(&s->a);
close_fd:
	__real_close(s->fd);
	WEIR_RETURN(first(s->rc, expect(s->times == 6)));
}
WEIR_END

static int shared_sem(void)
{
	return RUN(&on_virtual, sharers);
}

/* ---- time ---- */

struct eater { struct weir_frame co; struct weir_limiter *l; int n, *sum; };

static WEIR_CO(eater, self, op)
{
	int rc;

	WEIR_TRY(rc, out, weir_limiter_wait(op, self->l, self->n));
	*self->sum += self->n;
out:
	WEIR_RETURN(rc);
}
WEIR_END

struct pacer {
	struct weir_frame co;
	struct weir_limiter l;
	struct weir_interval every;
	struct weir_group g;
	int i, sum, rc;
};

static WEIR_CO(pacer, self, op)
{
	int rc;

	self->rc = weir_limiter_init(&self->l, weir_op_loop(op), 10, 3);
	if (self->rc == 0)
		self->rc = weir_interval_init(&self->every, weir_op_loop(op), WEIR_S, WEIR_SKIP);
	weir_group_init(&self->g, weir_op_ctx(op), NULL);
	for (self->i = 0; self->i < 5 && self->rc == 0; self->i++)
		self->rc = weir_go(&self->g, eater, .l = &self->l, .n = 1 + self->i % 3,
				   .sum = &self->sum);
	for (self->i = 0; self->i < 4 && self->rc >= 0; self->i++)
		WEIR_AWAIT(self->rc, weir_interval_tick(op, &self->every));
	if (self->rc < 0)
		weir_group_cancel(&self->g, self->rc);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->g));
	self->rc = first(self->rc, rc);
	weir_limiter_fini(&self->l);
	WEIR_RETURN(first(self->rc, expect(self->sum == 1 + 2 + 3 + 1 + 2)));
}
WEIR_END

static int rates(void)
{
	return RUN(&on_virtual, pacer);
}

/* The timerfd takes part only in real time. */
struct dozer { struct weir_frame co; struct weir_ctx soon; int i; };

static WEIR_CO(dozer, self, op)
{
	int rc;

	for (self->i = 0; self->i < 3; self->i++)
		WEIR_TRY(rc, out, weir_sleep(op, 200 * WEIR_US));
	weir_ctx_init_timeout(&self->soon, weir_op_ctx(op), 200 * WEIR_US);
	weir_ctx_enter(op, &self->soon);
	WEIR_AWAIT(rc, weir_sleep(op, WEIR_HOUR));
	weir_ctx_leave(op, &self->soon);
	weir_ctx_fini(&self->soon);
	rc = rc == -ETIMEDOUT ? 0 : first(rc, -EPROTO);
out:
	WEIR_RETURN(rc);
}
WEIR_END

static int real_time(void)
{
	return RUN(&in_real_time, dozer);
}

/* ---- contexts as descriptors ---- */

struct sleeper { struct weir_frame co; };

static WEIR_CO(sleeper, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_sleep(op, WEIR_FOREVER));
	WEIR_RETURN(rc);
}
WEIR_END

struct canceller { struct weir_frame co; int fd; };

static WEIR_CO(canceller, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_sleep(op, WEIR_S));
	WEIR_RETURN(rc < 0 ? rc : weir_ctx_cancel_fd(self->fd));
}
WEIR_END

/* A group is cancelled through its ctx's descriptor, another one because a pipe is readable. */
struct cut {
	struct weir_frame co;
	struct weir_group a, b, c;
	int pipe[2], fd, rc;
};

static int cut_cause(const struct weir_group *g, int rc, int cause)
{
	if (rc != -ECANCELED)
		return first(rc, -EPROTO);
	return g->ctx.cause == cause ? 0 : g->ctx.cause;
}

static WEIR_CO(cut, self, op)
{
	int rc;

	if (__real_pipe2(self->pipe, O_CLOEXEC | O_NONBLOCK) < 0 ||
	    __real_write(self->pipe[1], "x", 1) != 1)
		WEIR_RETURN(-EPROTO);
	weir_group_init(&self->a, weir_op_ctx(op), NULL);
	weir_group_init(&self->b, weir_op_ctx(op), NULL);
	weir_group_init(&self->c, weir_op_ctx(op), NULL);
	self->rc = self->fd = weir_ctx_fd(&self->a.ctx);
	if (self->rc >= 0)
		self->rc = weir_go(&self->a, sleeper);
	if (self->rc >= 0)
		self->rc = weir_go(&self->b, sleeper);
	if (self->rc >= 0)
		self->rc = weir_go(&self->c, canceller, .fd = self->fd);
	if (self->rc >= 0)
		self->rc = weir_ctx_adopt(&self->b.ctx, self->pipe[0], -ESTALE);
	if (self->rc < 0) {
		weir_group_cancel(&self->a, self->rc);
		weir_group_cancel(&self->b, self->rc);
		weir_group_cancel(&self->c, self->rc);
	}
	WEIR_AWAIT(rc, weir_group_wait(op, &self->b));
	if (self->rc >= 0)
		self->rc = cut_cause(&self->b, rc, -ESTALE);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->a));
	if (self->rc >= 0)
		self->rc = cut_cause(&self->a, rc, -ECANCELED);
	weir_group_cancel(&self->c, 0);		/* its fd is gone; it should have ended before */
	WEIR_AWAIT(rc, weir_group_wait(op, &self->c));
	if (self->rc >= 0)
		self->rc = rc;
	__real_close(self->pipe[0]);
	__real_close(self->pipe[1]);
	WEIR_RETURN(self->rc);
}
WEIR_END

static int ctx_fds(void)
{
	return RUN(&on_virtual, cut);
}

#endif
