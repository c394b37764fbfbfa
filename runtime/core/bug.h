/* SPDX-License-Identifier: MIT */
/*
 * bug.h - the end of a program that has broken a rule of weir, or that weir has broken itself.
 *
 * What the world does (refusals, failures, full queues) is a result; only what no correct program
 * can see comes here.  One line on stderr says what, then abort().
 */
#ifndef WEIR_CORE_BUG_H
#define WEIR_CORE_BUG_H

#include "weir/base.h"

/* what: "task ended inside weir_ctx_enter()"; where: a "file:line" or a function's name, or
 * NULL. */
_Noreturn void weir_bug_(const char *what, const char *where);

/* Kept in release builds too: each costs a compare. */
#define WEIR_CHECK_(cond, what, where)	\
	do { if (__builtin_expect(!(cond), 0)) weir_bug_((what), (where)); } while (0)

#endif
