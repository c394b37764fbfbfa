/* SPDX-License-Identifier: MIT */
/*
 * treesum.c - the main job: against find and sha256sum where those say what is right, and what it
 * does when things go wrong.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "demo_kit.h"

#define PART	(256 << 10)	/* treesum reads so much at a time */

static char dir[] = "/tmp/weir-treesum-XXXXXX";

static char *path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void write_file(const char *name, size_t size)
{
	FILE *f = fopen(path_of(name), "we");
	unsigned x = (unsigned)size;

	ck_assert_ptr_nonnull(f);
	for (; size; size--) {
		x = x * 1103515245 + 12345;
		putc((int)(x >> 16 & 0xff), f);
	}
	ck_assert_int_eq(fclose(f), 0);
}

/* A tree with one of everything, $DIR in the commands that follow. */
static void make_tree(void)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 65536, PART - 1, PART, PART + 1,
					2 * PART, 5 * PART + 7 };
	char name[64];
	size_t i;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	setenv("DIR", dir, 1);
	mkdir(path_of("empty"), 0700);
	mkdir(path_of("a"), 0700);
	mkdir(path_of("a/deep"), 0700);
	mkdir(path_of("a/deep/er"), 0700);
	for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		snprintf(name, sizeof name, "a/%zu", sizes[i]);
		write_file(name, sizes[i]);
	}
	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "a/deep/er/f%zu", i);
		write_file(name, i * 37);
	}
	write_file("a-b", 10);
	write_file("a.b", 11);
	write_file("new\nline", 12);
	write_file("back\\slash", 13);
	write_file("re\rturn", 14);
	write_file("tab\t and blank", 15);
	write_file("\x01\xff", 16);
	write_file("-r", 17);
	ck_assert_int_eq(symlink("a", path_of("link")), 0);
	ck_assert_int_eq(symlink("nowhere", path_of("broken")), 0);
	ck_assert_int_eq(mkfifo(path_of("fifo"), 0600), 0);
}

static void remove_tree(void)
{
	ck_assert_int_eq(system("rm -rf \"$DIR\""), 0);
}

static char expected[sizeof demo_out];

static void expect_what_is_printed_by(const char *command)
{
	ck_assert_int_eq(demo_run(command), 0);
	strcpy(expected, demo_out);
}

static void prints_that(const char *command)
{
	ck_assert_int_eq(demo_run(command), 0);
	ck_assert_msg(!strcmp(expected, demo_out), "expected:\n%s\n%s:\n%s", expected, command,
		      demo_out);
}

/* Both commands print the same. */
static void same(const char *one, const char *other)
{
	expect_what_is_printed_by(other);
	prints_that(one);
}

START_TEST(sums_names_and_order_are_those_of_find_sort_and_sha256sum)
{
	make_tree();
	same("$DEMO/treesum $DIR",
	     "find $DIR -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum");
	demo_succeeds("$DEMO/treesum $DIR/ | sha256sum -c --quiet");
	remove_tree();
}
END_TEST

START_TEST(neither_limits_nor_rates_change_what_is_printed)
{
	static const char *const options[] = { "-j 1", "-j 1 -t 1", "-j 2 -t 3", "-j 7", "-j 500",
					       "-r 1G", "-n 1G", "-r 100M -n 100K -j 3", "-s" };
	char command[128];
	size_t i;

	make_tree();
	expect_what_is_printed_by("$DEMO/treesum $DIR");
	for (i = 0; i < sizeof options / sizeof *options; i++) {
		snprintf(command, sizeof command, "$DEMO/treesum %s $DIR 2>/dev/null", options[i]);
		prints_that(command);
	}
	remove_tree();
}
END_TEST

START_TEST(roots_are_what_find_makes_of_them)
{
	make_tree();
	same("$DEMO/treesum $DIR/a/1 $DIR/link $DIR/fifo $DIR/empty $DIR/a-b /dev/null",
	     "sha256sum $DIR/a/1 $DIR/a-b");
	same("$DEMO/treesum $DIR/link/",
	     "find $DIR/link/ -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum");
	same("$DEMO/treesum $DIR//a $DIR/a",
	     "(find $DIR//a -type f -print0 | LC_ALL=C sort -z;"
	     " find $DIR/a -type f -print0 | LC_ALL=C sort -z) | xargs -0 sha256sum");
	remove_tree();
}
END_TEST

/* Files of /proc say that they are empty, and come in small pieces. */
START_TEST(a_file_is_read_to_its_end_whatever_size_it_says)
{
	same("$DEMO/treesum /proc/filesystems /proc/cpuinfo /proc/kallsyms",
	     "sha256sum /proc/filesystems /proc/cpuinfo /proc/kallsyms");
}
END_TEST

START_TEST(what_cannot_be_read_is_a_line_on_stderr_and_the_rest_goes_on)
{
	make_tree();
	ck_assert_int_eq(demo_run("$DEMO/treesum $DIR/none $DIR/a/1 /proc/self/mem '' $DIR/a-b"
				  " 2>&1 >/dev/null"), 1);
	ck_assert_uint_eq(demo_count("\n"), 3);
	ck_assert_uint_eq(demo_count("/none: No such file or directory\n"), 1);
	ck_assert_uint_eq(demo_count("treesum: /proc/self/mem: Input/output error\n"), 1);
	ck_assert_uint_eq(demo_count("treesum: : No such file or directory\n"), 1);
	ck_assert_int_eq(demo_run("$DEMO/treesum $DIR/none $DIR/a/1 /proc/self/mem '' $DIR/a-b"
				  " 2>/dev/null | wc -l"), 0);
	ck_assert_str_eq(demo_out, "2\n");
	remove_tree();
}
END_TEST

START_TEST(a_message_is_one_line_whatever_the_name)
{
	ck_assert_int_eq(demo_run("$DEMO/treesum \"$(printf 'no\\nsuch\\033[2J\\\\')\" 2>&1"), 1);
	ck_assert_str_eq(demo_out,
			 "treesum: no\\012such\\033[2J\\134: No such file or directory\n");
	/* longer than any path */
	demo_says(1, "$DEMO/treesum $(printf '%9000d' 0 | tr ' ' x) 2>&1",
		  "xx: File name too long\n");
}
END_TEST

/* A file in each directory, and they lie deeper than a path can be long. */
static void make_deep(void)
{
	int here = open(".", O_PATH | O_CLOEXEC), i, fd;
	char name[251];

	memset(name, 'd', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	ck_assert_int_eq(chdir(path_of("empty")), 0);
	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(mkdir(name, 0700), 0);
		ck_assert_int_eq(chdir(name), 0);
		fd = open("f", O_CREAT | O_CLOEXEC, 0600);
		ck_assert_int_ge(fd, 0);
		close(fd);
	}
	ck_assert_int_eq(fchdir(here), 0);
	close(here);
}

START_TEST(a_tree_too_deep_for_paths_is_summed_as_far_as_they_go)
{
	make_tree();
	make_deep();
	demo_says(1, "$DEMO/treesum $DIR 2>&1 >/dev/null", "\n");
	ck_assert_uint_eq(demo_count(": File name too long\n"), 1);
	ck_assert_int_eq(demo_run("$DEMO/treesum $DIR 2>/dev/null | sha256sum -c --quiet"), 0);
	ck_assert_int_eq(demo_run("$DEMO/treesum $DIR/empty 2>/dev/null | wc -l"), 0);
	ck_assert_str_eq(demo_out, "16\n");
	remove_tree();
}
END_TEST

/* ---- the command line ---- */

START_TEST(a_command_line_that_makes_no_sense_is_refused)
{
	static const char *const lines[] = {
		"", "-s", "-j", "-j 0 x", "-j -1 x", "-j 1x x", "-j '' x", "-j K x", "-j 1KK x",
		"-j 1e3 x", "-j ' 1' x", "-j 99999999999999999999 x", "-j 1000000G x", "-t 0 x",
		"-t 257 x", "-r 0 x", "-r 2000000G x", "-n 1.5 x", "-x y", "--nonsense x",
		"-- ", "-r 18446744073709551617 x",
	};
	char command[128];
	size_t i;

	for (i = 0; i < sizeof lines / sizeof *lines; i++) {
		snprintf(command, sizeof command, "exec 2>&1; $DEMO/treesum %s", lines[i]);
		ck_assert_msg(demo_run(command) == 2, "%s", lines[i]);
		ck_assert_msg(!strncmp(demo_out, "treesum: ", 9), "%s", demo_out);
		ck_assert_uint_eq(demo_count("\n"), 2);
		ck_assert_uint_eq(demo_count("\nusage: treesum "), 1);
	}
}
END_TEST

START_TEST(help_goes_to_stdout)
{
	demo_succeeds("$DEMO/treesum --help 2>/dev/null");
	ck_assert(!strncmp(demo_out, "usage: treesum ", 15));
	ck_assert_uint_eq(demo_count("\n  -j FILES "), 1);
	ck_assert_int_eq(demo_run("$DEMO/treesum --help >/dev/full"), 1);
}
END_TEST

START_TEST(options_may_follow_paths_unless_a_double_dash_says_otherwise)
{
	make_tree();
	same("$DEMO/treesum $DIR/a/1 -j 3", "sha256sum $DIR/a/1");
	demo_says(1, "$DEMO/treesum -- -j 3 2>&1", "treesum: -j: No such file");
	ck_assert_uint_eq(demo_count("treesum: 3: No such file"), 1);
	remove_tree();
}
END_TEST

START_TEST(few_descriptors_are_enough)
{
	make_tree();
	same("ulimit -n 70; $DEMO/treesum $DIR", "$DEMO/treesum $DIR");
	ck_assert_int_eq(demo_run("ulimit -n 70; $DEMO/treesum -j 7 $DIR 2>&1"), 2);
	remove_tree();
}
END_TEST

/* ---- its surroundings ---- */

START_TEST(the_table_has_every_stage_and_names_the_bottleneck)
{
	make_tree();
	demo_says(0, "$DEMO/treesum -s $DIR 2>&1 >/dev/null", "\nwalk ");
	ck_assert_uint_eq(demo_count("\nopen "), 1);
	ck_assert_uint_eq(demo_count("\nhash "), 1);
	ck_assert_uint_eq(demo_count("\nprint "), 1);
	ck_assert_uint_eq(demo_count("\nbottleneck: "), 1);
	ck_assert_uint_eq(demo_count("\n218 files, "), 1);
	remove_tree();
}
END_TEST

START_TEST(a_reader_that_has_enough_ends_it_at_once)
{
	make_tree();
	ck_assert_int_eq(demo_run("$DEMO/treesum / 2>/dev/null | head -1 | wc -l"), 0);
	ck_assert_str_eq(demo_out, "1\n");
	/* At this rate the second line would be there in hours. */
	ck_assert_int_eq(demo_run("$DEMO/treesum -j 1 -r 1 $DIR/a-b $DIR/a/65536 |"
				  " head -1 | wc -l"), 0);
	ck_assert_str_eq(demo_out, "1\n");
	remove_tree();
}
END_TEST

START_TEST(a_reader_that_has_gone_is_a_signal_or_where_that_is_ignored_an_error)
{
	make_tree();
	ck_assert_int_eq(demo_run("exec 2>&1; ($DEMO/treesum / 2>/dev/null; echo $? >&2) | head -1"
				  " >/dev/null"), 0);
	ck_assert_msg(!strcmp(demo_out, "141\n"), "%s", demo_out);
	ck_assert_int_eq(demo_run("exec 2>&1; trap '' PIPE; ($DEMO/treesum -j 1 -r 1"
				  " $DIR/a-b $DIR/a/65536; echo $? >&2) | head -1 >/dev/null"), 0);
	ck_assert_msg(strstr(demo_out, "Broken pipe\n1\n"), "%s", demo_out);
	remove_tree();
}
END_TEST

START_TEST(output_that_cannot_be_written_is_an_error)
{
	make_tree();
	demo_says(1, "$DEMO/treesum $DIR 2>&1 >/dev/full",
		  "standard output: No space left on device\n");
	demo_says(1, "$DEMO/treesum $DIR 2>&1 >&-", "standard output: Bad file descriptor\n");
	if (!test_on_valgrind())	/* which has its own ideas of a closed stderr */
		demo_succeeds("$DEMO/treesum $DIR 2>&- <&- | sha256sum -c --quiet");
	remove_tree();
}
END_TEST

/* ---- signals ---- */

/* Starts treesum by the shell, its stdout at fd; its process. */
static pid_t start(const char *arguments, int *fd)
{
	const char *wrap = getenv("WRAP"), *build = getenv("BUILD");
	char command[1024];
	int fds[2];
	pid_t pid;

	snprintf(command, sizeof command, "exec %s %s/demos/treesum %s", wrap ? wrap : "",
		 build ? build : "build", arguments);
	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	*fd = fds[0];
	return pid;
}

/* Sends sig once the first line is there, and keeps all that came in demo_out; the exit status. */
static int interrupted(const char *arguments, int sig)
{
	size_t len = 0;
	ssize_t n;
	pid_t pid;
	int fd, status;
	bool sent = false;

	pid = start(arguments, &fd);
	while ((n = read(fd, demo_out + len, sizeof demo_out - 1 - len)) > 0) {
		len += (size_t)n;
		if (!sent && memchr(demo_out, '\n', len))
			kill(pid, sig);
		sent = sent || memchr(demo_out, '\n', len);
	}
	demo_out[len] = '\0';
	close(fd);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

/* What was printed is a beginning of what would have been, in whole lines. */
static void check_beginning(void)
{
	static char cut[sizeof demo_out];

	strcpy(cut, demo_out);
	ck_assert_int_gt(strlen(cut), 0);
	ck_assert_int_eq(cut[strlen(cut) - 1], '\n');
	ck_assert_int_eq(demo_run("$DEMO/treesum $DIR"), 0);
	ck_assert_int_lt(strlen(cut), strlen(demo_out));
	ck_assert_int_eq(strncmp(cut, demo_out, strlen(cut)), 0);
}

START_TEST(ctrl_c_prints_what_is_done_and_exits_with_130)
{
	make_tree();
	ck_assert_int_eq(interrupted("-n 1 $DIR", SIGINT), 130);	/* at a limiter */
	check_beginning();
	ck_assert_int_eq(interrupted("-r 4K $DIR", SIGINT), 130);
	check_beginning();
	ck_assert_int_eq(interrupted("-j 1 -t 1 -n 1 -s $DIR 2>/dev/null", SIGTERM), 143);
	check_beginning();
	ck_assert_int_eq(interrupted("-n 1 $DIR", SIGHUP), 129);
	remove_tree();
}
END_TEST

START_TEST(ctrl_c_ends_it_while_nobody_reads)
{
	char line[1];
	int fd, status;
	pid_t pid;

	make_tree();
	pid = start("$(for i in 1 2 3 4 5 6 7 8 9; do echo $DIR $DIR; done)", &fd);
	ck_assert_int_eq(read(fd, line, 1), 1);
	kill(pid, SIGINT);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 130);
	close(fd);
	remove_tree();
}
END_TEST

START_TEST(a_signal_that_was_ignored_stays_ignored)
{
	int fd, status;
	char byte;
	pid_t pid;

	make_tree();
	signal(SIGINT, SIG_IGN);
	pid = start("$DIR; :", &fd);
	ck_assert_int_eq(read(fd, &byte, 1), 1);
	kill(pid, SIGINT);
	while (read(fd, &byte, 1) > 0)
		continue;
	close(fd);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	signal(SIGINT, SIG_DFL);
	remove_tree();
}
END_TEST

TESTS("treesum", sums_names_and_order_are_those_of_find_sort_and_sha256sum,
      neither_limits_nor_rates_change_what_is_printed, roots_are_what_find_makes_of_them,
      a_file_is_read_to_its_end_whatever_size_it_says,
      what_cannot_be_read_is_a_line_on_stderr_and_the_rest_goes_on,
      a_message_is_one_line_whatever_the_name,
      a_tree_too_deep_for_paths_is_summed_as_far_as_they_go,
      a_command_line_that_makes_no_sense_is_refused, help_goes_to_stdout,
      options_may_follow_paths_unless_a_double_dash_says_otherwise, few_descriptors_are_enough,
      the_table_has_every_stage_and_names_the_bottleneck,
      a_reader_that_has_enough_ends_it_at_once,
      a_reader_that_has_gone_is_a_signal_or_where_that_is_ignored_an_error,
      output_that_cannot_be_written_is_an_error, ctrl_c_prints_what_is_done_and_exits_with_130,
      ctrl_c_ends_it_while_nobody_reads, a_signal_that_was_ignored_stays_ignored)
