/* SPDX-License-Identifier: MIT */
/* sim.c - see weir/sim.h: what a test may ask of the simulated kernel of its loop. */
#include "core/loop.h"
#include "kernel/sim_node.h"

static struct sim *sim_of(struct weir_loop *loop)
{
	weir_loop_check_thread_(loop);
	return weir_sim_of_(loop->be);
}

/* For the report of a descriptor that is left open. */
static const struct weir_point made_by_test = {
	.func = "a test", .file = "weir/sim.h", .line = 0, .text = "weir_sim_...()",
};

int weir_sim_file(struct weir_loop *loop, const char *path, const void *data, size_t len)
{
	struct sim *s = sim_of(loop);

	return s ? weir_sim_file_(s, path, data, len) : -EINVAL;
}

int weir_sim_content(struct weir_loop *loop, const char *path, void *buf, size_t size)
{
	struct sim *s = sim_of(loop);

	return s ? weir_sim_content_(s, path, buf, size) : -EINVAL;
}

int weir_sim_socketpair(struct weir_loop *loop, int fds[2])
{
	struct sim *s = sim_of(loop);
	int rc = s ? weir_sim_pair_(s, fds) : -EINVAL;

	if (rc == 0) {
		weir_fd_opened_(loop, fds[0], &made_by_test, false);
		weir_fd_opened_(loop, fds[1], &made_by_test, false);
	}
	return rc;
}

int weir_sim_timerfd(struct weir_loop *loop, uint64_t first, uint64_t period)
{
	struct sim *s = sim_of(loop);
	int fd = s ? weir_sim_timer_new_(s) : -EINVAL;

	if (fd < 0)
		return fd;
	weir_sim_timer_set_(s, fd, weir_time_add(s->now, first), period);
	weir_fd_opened_(loop, fd, &made_by_test, false);
	return fd;
}

int weir_sim_close(struct weir_loop *loop, int fd)
{
	struct sim *s = sim_of(loop);

	if (!s)
		return -EINVAL;
	weir_fd_closed_(loop, fd);
	return weir_sim_close_(s, fd);
}

uint64_t weir_sim_hash(struct weir_loop *loop)
{
	struct sim *s = sim_of(loop);

	return s ? s->hash : 0;
}

int weir_sim_stats(struct weir_loop *loop, struct weir_sim_stats *stats)
{
	struct sim *s = sim_of(loop);

	if (!s)
		return -EINVAL;
	*stats = s->stats;
	stats->open--;	/* the loop's own timerfd */
	return 0;
}
