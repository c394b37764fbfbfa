/* SPDX-License-Identifier: MIT */
/*
 * options.c - the command line of treesum.
 *
 * A number is digits and nothing else, within the limits that the message names; a mistake ends
 * the program with 2, before anything has begun.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "options.h"

#define FILES_DEFAULT	64
#define FILES_OTHER	64	/* descriptors that are not files being summed */
#define THREADS_LIMIT	256
#define RATE_LIMIT	(UINT64_C(1) << 50)

static const char usage[] =
	"usage: treesum [-j FILES] [-t THREADS] [-r BYTES/S] [-n FILES/S] [-s] PATH...\n";

static const char help[] =
	"\n"
	"Prints the SHA-256 of every regular file under the paths, sorted, as sha256sum does:\n"
	"`treesum DIR | sha256sum -c --quiet` checks them. Symbolic links are not followed.\n"
	"\n"
	"  -j FILES     at most so many files open at a time (%u)\n"
	"  -t THREADS   at most so many threads hash (the number of processors, here %u)\n"
	"  -r BYTES/S   read no faster than this\n"
	"  -n FILES/S   open no faster than this\n"
	"  -s           tell on standard error how the stages fared, and which held up the others\n"
	"\n"
	"A number may end in K, M or G, for 2^10, 2^20, 2^30. What cannot be read is told on\n"
	"standard error and left out. Ends with 0; 1 if anything was left out, or could not be\n"
	"written; 2 for a command line that makes no sense; 130 after Ctrl-C, with what was done\n"
	"by then printed.\n";

static void refuse(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void refuse(const char *format, ...)
{
	va_list args;

	fputs("treesum: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n%s", usage);
	exit(2);
}

/* The power of two that a suffix stands for, or -1. */
static int shift_of(const char *suffix)
{
	if (!*suffix)
		return 0;
	if (suffix[1])
		return -1;
	switch (*suffix) {
	case 'K':
		return 10;
	case 'M':
		return 20;
	case 'G':
		return 30;
	default:
		return -1;
	}
}

static uint64_t number(int option, const char *text, uint64_t max)
{
	const char *s = text;
	uint64_t n = 0;
	int shift;

	for (; *s >= '0' && *s <= '9' && n <= max; s++)
		n = 10 * n + (uint64_t)(*s - '0');
	shift = s > text ? shift_of(s) : -1;
	if (shift < 0 && n <= max)
		refuse("-%c: '%s' is not a number", option, text);
	if (!n || n > max || n > max >> shift)
		refuse("-%c: %s is not between 1 and %llu", option, text, (unsigned long long)max);
	return n << shift;
}

static unsigned processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (n < 1)
		return 1;
	return n < THREADS_LIMIT ? (unsigned)n : THREADS_LIMIT;
}

/* As many files as the process may have open, less a few. */
static unsigned files_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > UINT16_MAX)
		return UINT16_MAX;
	return limit.rlim_cur > FILES_OTHER ? (unsigned)limit.rlim_cur - FILES_OTHER : 1;
}

static void print_help(void)
{
	fputs(usage, stdout);
	printf(help, FILES_DEFAULT, processors());
	exit(fflush(stdout) || ferror(stdout));
}

void options_read(struct options *o, int argc, char **argv)
{
	static const struct option names[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
	unsigned limit = files_limit();
	int option;

	*o = (struct options){ .threads = processors() };
	o->files = limit < FILES_DEFAULT ? limit : FILES_DEFAULT;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":j:t:r:n:s", names, NULL)) >= 0) {
		switch (option) {
		case 'j':
			o->files = (unsigned)number('j', optarg, limit);
			break;
		case 't':
			o->threads = (unsigned)number('t', optarg, THREADS_LIMIT);
			break;
		case 'r':
			o->bytes_rate = number('r', optarg, RATE_LIMIT);
			break;
		case 'n':
			o->files_rate = number('n', optarg, RATE_LIMIT);
			break;
		case 's':
			o->stats = true;
			break;
		case 'h':
			print_help();
			break;
		case ':':
			refuse("-%c wants a number", optopt);
		default:
			if (optopt)
				refuse("there is no option -%c", optopt);
			refuse("there is no option %s", argv[optind - 1]);
		}
	}
	if (optind == argc)
		refuse("no path was given");
	o->paths = argv + optind;
}
