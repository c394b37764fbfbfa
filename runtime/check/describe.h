/* SPDX-License-Identifier: MIT */
/* describe.h - what a task waits for, in words and as a kind; for the kit alone.  Only reads. */
#ifndef WEIR_CHECK_DESCRIBE_H
#define WEIR_CHECK_DESCRIBE_H

#include "core/loop.h"
#include "weir/chan.h"
#include "weir/limiter.h"
#include "weir/sem.h"

enum weir_on {
	WEIR_ON_OTHER_,		/* what ends by itself, or by what no task of the loop does */
	WEIR_ON_NOTHING_,	/* a channel that is NULL */
	WEIR_ON_SEND_, WEIR_ON_RECV_, WEIR_ON_SEM_, WEIR_ON_GROUP_, WEIR_ON_SLOT_, WEIR_ON_JOIN_,
	WEIR_ON_CTX_, WEIR_ON_LIMITER_, WEIR_ON_KERNEL_, WEIR_ON_CHOICE_,
};

/* op waits, or is an arm of one that does. */
enum weir_on weir_on_(const struct weir_op *op);

/* *where is "file.c:12" of "dir/file.c:12 name"; returns its length.  *name is the rest,
 * "" if it has none. */
int weir_made_(const char *made, const char **where, const char **name);

/* "chan &jobs made at copy.c:12", for what WEIR_HERE_ and a name made. */
void weir_name_object_(char *buf, size_t size, const char *kind, const char *made);

/* The same of what op waits for, a channel, semaphore, group, task or ctx. */
void weir_object_(char *buf, size_t size, const struct weir_op *op);

/* What op waits for and its state: "chan &jobs made at copy.c:12: 3 of 4 items, 1 receiver waits".
 * False: nothing to say beyond the name of its def. */
bool weir_describe_(char *buf, size_t size, const struct weir_op *op);

/* "waits for: ", "is ready after: ", "runs"... */
bool weir_task_is_new_(const struct weir_task *t);
const char *weir_task_state_(const struct weir_task *t);
/* "recv", "" if it waits for nothing */
const char *weir_task_op_name_(const struct weir_task *t);
const char *weir_base_name_(const char *path);

#endif
