/* SPDX-License-Identifier: MIT */
/*
 * sem.h - what sem.c, the line of those who wait, and sem_shared.c, the eventfd that permits of
 * more than one loop come from, know of each other.
 */
#ifndef WEIR_SYNC_SEM_H
#define WEIR_SYNC_SEM_H

#include "weir/sem.h"

/* Ends the wait of whoever is first in line. */
void weir_sem_end_first_(struct weir_sem *s, int res);

/* As weir_sem_try_acquire(); nobody of this loop waits. */
int weir_sem_shared_take_(struct weir_sem *s, uint64_t n);
int weir_sem_shared_give_(struct weir_sem *s, uint64_t n);
/* Someone waits from now on. */
void weir_sem_shared_want_(struct weir_sem *s);
/* Someone has left the line without a permit. */
void weir_sem_shared_left_(struct weir_sem *s);
void weir_sem_shared_fini_(struct weir_sem *s);

#endif
