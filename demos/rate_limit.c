/* SPDX-License-Identifier: MIT */
/*
 * rate_limit.c - many tasks, one limiter: so many requests a second, all together, and no more.
 *
 * A limiter is a bucket that fills at a rate and holds a burst; a request takes a token, or waits
 * for one.  The loop that one writes without it, "go, sleep 1/rate", is always too slow: each sleep
 * ends a little late, and the lateness adds up.  The bucket has kept what was missed meanwhile.
 * In the output, look at
 *   the table	the rate is achieved to a fraction of a percent, from 100 to 100,000 a second,
 *		and never exceeded; the clients are served in turn.
 *   burst	who has been idle may be quick for a moment.
 *   deadline	who could not be served in time is told at once, and takes no token.
 *   cancel	who gives up leaves no hole in the line: its tokens go to those behind it.
 *
 * usage: rate_limit [REQUESTS_A_SECOND...], each from 1 to 1e7
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weir.h"

#define CLIENTS	4
#define SECONDS	0.4	/* for each line of the table */

static bool failed;

/* A line of what was seen, and whether it is as it must be. */
#define seen(right, ...) do {								\
	bool right_ = (right);								\
											\
	printf(__VA_ARGS__);								\
	puts(right_ ? "" : "   WRONG");							\
	failed |= !right_;								\
} while (0)

static double seconds_since(struct weir_op *op, uint64_t then)
{
	return (double)(weir_now(weir_op_loop(op)) - then) / (double)WEIR_S;
}

struct client {
	struct weir_frame co;
	struct weir_limiter *limiter;
	int tokens;	/* that a request takes */
	long *left;	/* requests to make, by whichever client */
};

static WEIR_CO(client, self, op)
{
	int rc;

	while (--*self->left >= 0)
		WEIR_TRY(rc, out, weir_limiter_wait(op, self->limiter, self->tokens));
	WEIR_RETURN(0);
out:
	WEIR_RETURN(rc);
}
WEIR_END

/* ---- asked and achieved ---- */

struct crowd {
	struct weir_frame co;
	double rate;
	struct weir_limiter limiter;
	struct weir_group clients;
	uint64_t began;
	long burst, requests, left;
	int rc;
};

/* The burst came first and took no time: it was in the bucket.  A machine that is busy achieves
 * less. */
static void tell_rate(const struct crowd *c, double seconds)
{
	double achieved = (double)(c->requests - c->burst) / seconds;

	seen(achieved < c->rate * (1 + 1e-8),
	     "%9.0f %7ld %9ld %12.1f %8.3f %%", c->rate, c->burst, c->requests, achieved,
	     100 * (achieved / c->rate - 1));
}

static WEIR_CO(crowd, self, op)
{
	int i, rc;

	self->burst = (long)(self->rate / 100) + 1;
	self->rc = weir_limiter_init(&self->limiter, weir_op_loop(op), self->rate, self->burst);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	self->requests = self->left = self->burst + 1 + (long)(self->rate * SECONDS);
	self->began = weir_now(weir_op_loop(op));
	weir_group_init(&self->clients, weir_op_ctx(op), NULL);
	for (i = 0; i < CLIENTS && self->rc == 0; i++)
		self->rc = weir_go(&self->clients, client, .limiter = &self->limiter, .tokens = 1,
				   .left = &self->left);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->clients));
	if (rc == 0)
		tell_rate(self, seconds_since(op, self->began));
	weir_limiter_fini(&self->limiter);
	WEIR_RETURN(self->rc < 0 ? self->rc : rc);
}
WEIR_END

/* ---- a bucket of ten, ten a second ---- */

struct line {
	struct weir_frame co;
	struct weir_limiter limiter;
	struct weir_ctx hasty;
	struct weir_group a, b;
	uint64_t began;
	double tokens;
	long left[2];
};

static WEIR_CO(line, self, op)
{
	int n, rc;

	rc = weir_limiter_init(&self->limiter, weir_op_loop(op), weir_every(100 * WEIR_MS), 10);
	if (rc < 0)
		WEIR_RETURN(rc);
	for (n = 0; weir_limiter_allow(&self->limiter, 1) == 1; n++)
		;
	seen(n == 10, "burst: %d at once, and none after that", n);

	self->began = weir_now(weir_op_loop(op));
	weir_ctx_init_timeout(&self->hasty, weir_op_ctx(op), 50 * WEIR_MS);
	weir_ctx_enter(op, &self->hasty);
	WEIR_AWAIT(rc, weir_limiter_wait(op, &self->limiter, 1));
	weir_ctx_leave(op, &self->hasty);
	weir_ctx_fini(&self->hasty);
	seen(rc == -ETIMEDOUT, "deadline: in 50 ms, the next token in 100: told so after %.1f",
	     1e3 * seconds_since(op, self->began));

	self->left[0] = self->left[1] = 1;
	weir_group_init(&self->a, weir_op_ctx(op), NULL);
	weir_group_init(&self->b, weir_op_ctx(op), NULL);
	rc = weir_go(&self->a, client, .limiter = &self->limiter, .tokens = 10,
		     .left = &self->left[0]);
	if (rc == 0)
		rc = weir_go(&self->b, client, .limiter = &self->limiter, .tokens = 1,
			     .left = &self->left[1]);
	seen(rc == 0, "cancel: A gets in line for 10 tokens, and B behind it for 1");
	WEIR_AWAIT(rc, weir_yield(op));

	self->tokens = weir_limiter_tokens(&self->limiter);
	weir_group_cancel(&self->a, 0);
	seen(weir_limiter_tokens(&self->limiter) - self->tokens > 9.999,
	     "cancel: A gives up, and from %.0f tokens there are now %.0f", self->tokens,
	     weir_limiter_tokens(&self->limiter));
	WEIR_AWAIT(rc, weir_group_wait(op, &self->a));
	seen(rc == -ECANCELED, "cancel: A returns %s", strerror(-rc));
	WEIR_AWAIT(rc, weir_group_wait(op, &self->b));
	seen(rc == 0, "cancel: B has its token after %.2f s, and not after 1.10",
	     seconds_since(op, self->began));
	weir_limiter_fini(&self->limiter);
	WEIR_RETURN(rc);
}
WEIR_END

/* NaN is not in the range either. */
static bool is_rate(const char *arg)
{
	char *end;
	double rate = strtod(arg, &end);

	return end != arg && !*end && rate >= 1 && rate <= 1e7;
}

int main(int argc, char **argv)
{
	static const char *const usual[] = { "100", "1000", "10000", "100000", NULL };
	const char *const *rate = argc > 1 ? (const char *const *)argv + 1 : usual;
	struct weir_loop *loop;
	char why[512];
	int i, rc;

	for (i = 1; i < argc; i++) {
		if (is_rate(argv[i]))
			continue;
		fprintf(stderr, "usage: rate_limit [REQUESTS_A_SECOND...], each from 1 to 1e7\n");
		return 2;
	}
	if (fcntl(STDOUT_FILENO, F_GETFD) < 0) {	/* or the loop would be stdout */
		perror("rate_limit: standard output");
		return 1;
	}
	rc = weir_loop_new(&loop, NULL);
	if (rc < 0) {
		fprintf(stderr, "rate_limit: %s\n", weir_explain(rc, why, sizeof why));
		return 1;
	}
	printf("%9s %7s %9s %12s %10s\n", "asked/s", "burst", "requests", "achieved/s", "error");
	for (; rc == 0 && *rate; rate++)
		rc = weir_run(loop, crowd, .rate = strtod(*rate, NULL));
	if (rc == 0)
		rc = weir_run(loop, line);
	seen(rc == 0, "result: %s", strerror(-rc));
	rc = weir_loop_free(loop);
	seen(rc == 0, "left in the loop: %d", rc);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("rate_limit: standard output");
		return 1;
	}
	return failed;
}
