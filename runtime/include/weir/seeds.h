/* SPDX-License-Identifier: MIT */
/*
 * seeds.h - a test body, run over many seeds on simulated kernels; a part of check.h.
 *
 *	static int body(struct weir_loop *loop, void *arg)
 *	{
 *		return weir_run(loop, my_main, .arg = arg);
 *	}
 *
 *	ck_assert_int_eq(weir_check_run(body, .arg = arg), 0);
 *
 * runs body once for each of 100 seeds, each time with a new loop on a simulated kernel (sim.h).
 * A seed fails if body returns anything but 0 (an error, -EDEADLK among them), if something is left
 * when the loop is freed, if the loop reported a fault (a partial deadlock, misuse, a race; every
 * other seed sets conf.check, without which it looks for none of these), if a buffer was changed
 * while the kernel had it, if the process is killed or ends (a failed assertion, a signal, a
 * sanitizer), if nothing moves for conf.seconds, or if the same seed a second time is another run:
 * then something depends on real time, on threads or on addresses.  The first to fail ends the run;
 * stderr then hears what was wrong, what the loop had to report, and the command that runs this one
 * seed again, in this process:
 *
 *	weir: check: body: seed 17: returned -32 (Broken pipe)
 *	weir: check: to run it again: WEIR_SEED=body:17 ./my_test
 *
 * Memory that was leaked is looked for only in a program built with LeakSanitizer, and not if the
 * program has leaked some before.  That takes time, so it is done after each 32nd part of the
 * seeds, and if some was leaked, those are run again to name the one.
 *
 * There, WEIR_TRACE=1 writes down everything that the kernel did.  WEIR_SEEDS=n makes it n seeds
 * in place of conf.seeds, and WEIR_FIRST=n the first one n.
 */
#ifndef WEIR_SEEDS_H
#define WEIR_SEEDS_H

#include "weir/base.h"
#include "weir/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_check_conf {	/* zero is the default, everywhere */
	uint64_t first;		/* seed; 1 */
	unsigned seeds;		/* 100 */
	unsigned trouble;	/* as in sim.h; 0 is WEIR_SIM_SOUND, and WEIR_CHECK_CALM none */
	unsigned seconds;	/* real ones, for one seed; 20 */
	unsigned twice;		/* of so many seeds one is run twice; 10 */
	bool real;		/* not simulated: Linux, with a virtual clock */
	/* Of each loop; sim, seed, virtual_clock are set, and check for every other seed.  With a
	 * report of its own the body hears what the loop has to tell, and stderr does not; whether
	 * a fault was expected is then the body's to say, but what is left is a failure still. */
	struct weir_loop_conf loop;
	void *arg;		/* for the body */
};
#define WEIR_CHECK_CALM		(1u << 31)

typedef int weir_check_body(struct weir_loop *loop, void *arg);

/* Fields of the conf by name: weir_check_run(body, .arg = me, .seeds = 1000).  Not within a loop.
 * The body runs in a child process, or with WEIR_SEED, or CK_FORK=no as for libcheck, in this one;
 * with the same descriptors open.  If the program ignores SIGCHLD, it is not known how the child
 * has ended.  Results: 0; 1 a seed failed; -errno it could not be run. */
#define weir_check_run(body, ...)	\
	weir_check_run_((body), #body, &(const struct weir_check_conf){ __VA_ARGS__ })

WEIR_API int weir_check_run_(weir_check_body *body, const char *name,
			     const struct weir_check_conf *conf);

#ifdef __cplusplus
}
#endif

#endif
