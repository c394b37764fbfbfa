/* SPDX-License-Identifier: MIT */
/* options.h - what treesum was asked to do. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
	unsigned files;			/* open at a time, at most */
	unsigned threads;		/* that hash */
	uint64_t bytes_rate, files_rate;	/* a second; 0: as fast as it goes */
	bool stats;
	char *const *paths;		/* NULL at the end */
};

/* Reads the command line; ends the program if that asks for help, or for what cannot be. */
void options_read(struct options *o, int argc, char **argv);

#endif
