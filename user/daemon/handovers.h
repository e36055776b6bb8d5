/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Whether the connections that a guard validates get their socket. */
#ifndef SYNWARD_HANDOVERS_H
#define SYNWARD_HANDOVERS_H

#include <stdbool.h>

#include "host.h"

/* All zero at first, and when the guard is another. */
struct handovers {
	bool begun;
	__u64 validated, opened; /* at the last look */
	unsigned int bad; /* looks in a row at which they were lost */
};

/*
 * To be called every few seconds, of a guard on the host or compat path. True: at two looks in a
 * row three of four validated connections, and four at least, made no socket. The kernel
 * counts those it makes, and those that it had no room for, for all of the namespace:
 * connections that came in elsewhere can hide a loss, never feign one.
 */
bool handovers_are_lost(struct handovers *h, const struct host_maps *maps);

#endif
