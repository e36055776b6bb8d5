/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The connections a trace is about: where their sequence numbers began, and what was left out. */
#ifndef SYNWARD_FLOWS_H
#define SYNWARD_FLOWS_H

#include "segment.h"

#define FLOWS_MOST 512 /* the one longest silent makes room */

struct flow {
	__u8 client[16], server[16];
	__u16 client_port, server_port;
	__u64 began_ns, touched_ns; /* CLOCK_REALTIME; touched 0: free */
	__u32 client_isn, server_isn;
	bool client_known, server_known; /* the ISN was seen */
	int shown_most;			 /* segments in mid-connection that are still shown one by one */
	struct {
		unsigned long segments;
		unsigned long long bytes;
	} hidden[2]; /* of the client, of the server */
};

struct flows {
	struct flow flow[FLOWS_MOST];
};

/* The segment's connection, begun or renewed by it if need be. */
struct flow *flows_find(struct flows *flows, const struct segment *s);

/* Numbers counted from the ISN; false if that was not seen. */
bool flow_relative_seq(const struct flow *f, const struct segment *s, __u32 *ret);
bool flow_relative_ack(const struct flow *f, const struct segment *s, __u32 *ret);

/* False for one of the many segments in the middle of a connection: it is counted as hidden. */
bool flow_is_shown(struct flow *f, const struct segment *s);

#endif
