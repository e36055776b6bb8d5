/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Whether the connections that a guard validates get their socket. */
#ifndef SYNWARD_HANDOVERS_H
#define SYNWARD_HANDOVERS_H

#include <stdbool.h>

#include "host.h"

/* Totals, as they stand at a look; without connections that are translated. */
struct handovers_counts {
	__u64 validated;
	__u64 opened, dropped; /* by the kernel, of all of the namespace: sockets made; no room for one */
	struct {
		__u64 validated;
		__u64 again; /* of these: were handed over before */
	} service[SW_SERVICES]; /* by slot */
};

/* All zero at first, and when the guard is another. */
struct handovers {
	bool begun;
	struct handovers_counts last;
	unsigned int bad; /* looks in a row at which connections were lost */
	unsigned int service_bad[SW_SERVICES];
};

struct handovers_found {
	bool lost;     /* of all services together */
	__u64 losing;  /* slots of services that stand out */
	__u64 in_use;  /* slots of services that validated something since the last look */
};

/*
 * To be called every few seconds. Found at two looks in a row, and of four connections at least:
 *
 * lost: three of four validated connections made no socket. The kernel counts those it makes, and
 * those that it had no room for, for all of the namespace: connections that came in elsewhere
 * can hide a loss, never feign one.
 *
 * losing: two of three validated connections of a service had been handed over before. A client
 * whose connection got no socket sends again and again; one that waits for the server to
 * speak first does not, and only the first rule sees it.
 */
struct handovers_found handovers_judge(struct handovers *h, const struct handovers_counts *now);

/* Reads the counters and judges; what cannot be read begins anew. */
struct handovers_found handovers_look(struct handovers *h, const struct host_maps *maps);

#endif
