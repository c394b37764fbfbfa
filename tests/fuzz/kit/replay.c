/* SPDX-License-Identifier: MIT */
/*
 * replay.c - the main() of a fuzz target without libFuzzer.
 *
 *	build/tests/fuzz/NAME		the corpus, and RANDOM inputs of a fixed seed
 *	build/tests/fuzz/NAME INPUT...	those: a file, or random:N; it tells what they do
 *
 * What weir allocates for an input it must have freed at the end.
 */
#define _GNU_SOURCE	/* program_invocation_short_name */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "fuzz.h"

#define RANDOM		300
#define RANDOM_MAX	300	/* bytes of a random input */
#define INPUT_MAX	65536

static char current[640];	/* what runs */

static void on_abort(int sig)
{
	static const char is[] = "this was ";

	(void)sig;	/* abort() goes on behind it */
	(void)!write(STDERR_FILENO, is, sizeof is - 1);
	(void)!write(STDERR_FILENO, current, strlen(current));
	(void)!write(STDERR_FILENO, "\n", 1);
}

/* In memory of its own, so that a read past the end is seen. */
static void run(const char *name, const uint8_t *data, size_t size)
{
	long before = test_blocks();
	uint8_t *copy = malloc(size + !size);

	must(copy);
	memcpy(copy, data, size);
	snprintf(current, sizeof current, "%s", name);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	must_eq(test_blocks(), before);
}

static void run_file(const char *path)
{
	static uint8_t data[INPUT_MAX];
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	n = fread(data, 1, sizeof data, f);
	fclose(f);
	run(path, data, n);
}

static void run_random(unsigned long n)
{
	uint8_t data[RANDOM_MAX];
	uint64_t x = n * 0x9e3779b97f4a7c15 + 1;
	char name[32];
	size_t i, size;

	for (i = 0; i < sizeof data; i++) {	/* xorshift64* */
		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		data[i] = (uint8_t)(x * 0x2545f4914f6cdd1d >> 56);
	}
	size = data[0] * sizeof data / 256;
	snprintf(name, sizeof name, "random:%lu", n);
	run(name, data + 1, size);
}

static int not_hidden(const struct dirent *e)
{
	return *e->d_name != '.';
}

/* Returns how many there were. */
static int run_corpus(const char *dir)
{
	struct dirent **list;
	char path[600];
	int i, n = scandir(dir, &list, not_hidden, alphasort);

	for (i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name);
		run_file(path);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return n;
}

int main(int argc, char **argv)
{
	char dir[300];
	unsigned long i, n = test_some(RANDOM);
	int files;

	signal(SIGABRT, on_abort);
	fuzz_verbose = argc > 1;
	while (*++argv)
		if (strncmp(*argv, "random:", 7) == 0)
			run_random(strtoul(*argv + 7, NULL, 10));
		else
			run_file(*argv);
	if (argc > 1)
		return EXIT_SUCCESS;

	snprintf(dir, sizeof dir, "tests/fuzz/corpus/%s", program_invocation_short_name);
	files = run_corpus(dir);
	if (files <= 0) {
		printf("nothing in %s: run this from the top of the source\n", dir);
		return EXIT_FAILURE;
	}
	for (i = 0; i < n; i++)
		run_random(i);
	printf("%d inputs of %s, %lu by chance\n", files, dir, n);
	printf("%d passed, 0 failed\n", files + 1);
	return EXIT_SUCCESS;
}
