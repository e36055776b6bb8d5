/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The daemon's event loop: a small table of descriptors, each with what to call when it
 * can be read. One thread; a callback that blocks holds up all others.
 */
#ifndef SYNWARD_LOOP_H
#define SYNWARD_LOOP_H

#include <stdbool.h>

#define LOOP_SOURCES 256 /* an interface may need a ring and a timer of its own */

/* 0 to go on; a negative errno ends the loop, which returns it. */
typedef int (*loop_ready)(void *arg);

struct loop {
	int epoll_fd;
	bool stopping;
	struct loop_source {
		int fd;    /* -1: free */
		bool ours; /* a timer made here, closed here */
		loop_ready ready;
		void *arg;
	} source[LOOP_SOURCES];
};

int loop_open(struct loop *loop);
void loop_close(struct loop *loop);

/*
 * Calls ready whenever fd can be read or its other end hung up. The fd stays the
 * caller's: loop_remove() before it is closed. An epoll descriptor of a library
 * (ring_buffer__epoll_fd(), MHD_DAEMON_INFO_EPOLL_FD) is a source like any other.
 */
int loop_add(struct loop *loop, int fd, loop_ready ready, void *arg);
void loop_remove(struct loop *loop, int fd);

/* Calls ready every so often. Returns a descriptor, for loop_remove(), which closes it. */
int loop_every(struct loop *loop, unsigned int every_ms, loop_ready ready, void *arg);

int loop_run(struct loop *loop);

/* loop_run() returns 0 after the callback that called this. */
void loop_stop(struct loop *loop);

#endif
