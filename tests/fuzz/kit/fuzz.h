/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - a byte string becomes a program, run on the simulated kernel and held to a model.
 *
 * Each tests/fuzz/NAME.c says at its top which language its bytes are, and has a
 * LLVMFuzzerTestOneInput() that runs them.  Every byte string is a program: what is out of range is
 * taken modulo, what is missing at the end reads as 0.  `make fuzz FUZZ=NAME` lets libFuzzer look
 * for programs that break a promise; in `make check` replay.c runs those of corpus/NAME, and some
 * by chance.
 *
 * Most programs are a driver, a task that carries out the bytes one by one and starts others.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the bytes ---- */

void fuzz_input(const uint8_t *data, size_t size);
bool fuzz_left(void);			/* are there any? */
unsigned fuzz_byte(void);		/* 0 if not */
unsigned fuzz_below(unsigned n);	/* a byte modulo n; 0 of none */
/* Copies up to size of them; returns how many there were. */
size_t fuzz_rest(void *buf, size_t size);
/* A time: mostly none or little, up to minutes. */
uint64_t fuzz_ns(void);

/* ---- the loop ---- */

/* On a simulated kernel: its trouble is the first byte, its seed the next two. */
struct weir_loop *fuzz_loop(void);
/* Nothing may be left in it: no task, op, timer, descriptor. */
void fuzz_loop_free(struct weir_loop *loop);

/* Has all tasks told of, in text and in JSON, which must be well-formed. */
void fuzz_dump(struct weir_loop *loop);

/* ---- what must hold ---- */

/* Says what an instruction does, if one input is replayed alone. */
#define fuzz_say(...)	(fuzz_verbose ? fuzz_say_(__VA_ARGS__) : (void)0)
extern bool fuzz_verbose;
void fuzz_say_(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define must(cond)	((cond) ? (void)0 : fuzz_broken_(WEIR_HERE_, #cond, 0, 0))
#define must_eq(a, b)	must_(a, ==, b)
#define must_le(a, b)	must_(a, <=, b)
#define must_(a, rel, b) do {								\
	const long long a_ = (long long)(a), b_ = (long long)(b);			\
											\
	if (!(a_ rel b_))								\
		fuzz_broken_(WEIR_HERE_, #a " " #rel " " #b, a_, b_);			\
} while (0)
_Noreturn void fuzz_broken_(const char *where, const char *what, long long a, long long b);

#endif
