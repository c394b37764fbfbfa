/* SPDX-License-Identifier: MIT */
/*
 * process.h - what a command line program owes the shell it was started from: standard
 * descriptors, signals, an exit status.
 */
#ifndef PROCESS_H
#define PROCESS_H

/* Opens what of the standard descriptors was closed, so that nothing opened later is taken for one.
 * Results: 0; -EBADF there is no standard output; -errno. */
int process_std_fds(void);

/* A signalfd for the signals that would end us, which are blocked from then on.  Those that our
 * parent had ignored (as a shell does for what it runs in the background) stay ignored.
 * Results: the descriptor; -errno. */
int process_signals_fd(void);

/* SIGPIPE is ignored from then on.  Results: 1 it would have ended us; 0 it was ignored before. */
int process_ignore_pipe(void);

/* The exit status of a program that one of those signals has ended.  -EAGAIN: none has. */
int process_signal_status(int signals_fd);

/* Ends as a program does whose reader has gone. */
void process_end_by_pipe(void);

#endif
