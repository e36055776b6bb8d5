/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How commands reach the daemon of their network namespace: a socket that only root can
 * open, /run/synward/<namespace>.sock. One message asks, one answers.
 */
#ifndef SYNWARD_CONTROL_H
#define SYNWARD_CONTROL_H

#include "loop.h"
#include "why.h"

#define CONTROL_TEXT 600 /* bytes; a struct why and some more */

/* Does what is asked. 0 or a negative errno, and a line that says more. */
typedef int (*control_do)(void *arg, const char *request, struct why *why);

struct control {
	struct loop *loop;
	int lock_fd, listen_fd;
	char path[64];
	control_do serve;
	void *arg;
};

/* -EBUSY: there is a daemon already. */
int control_open(struct control *control, struct loop *loop, control_do serve, void *arg,
		 struct why *why);
void control_close(struct control *control);

/* Asks the daemon and waits for what it answers. -ECONNREFUSED: there is none. */
int control_ask(const char *request, struct why *why);

#endif
