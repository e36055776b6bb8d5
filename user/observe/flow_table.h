/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The pinned table of a guard on the proxy path. */
#ifndef SYNWARD_FLOW_TABLE_H
#define SYNWARD_FLOW_TABLE_H

#include "flowset.h"
#include "guard.h"

typedef void (*flow_seen)(const struct sw_tuple *t, const struct sw_flow *f, void *arg);

/* A descriptor of the table. -ENOENT, with no words: not on the proxy path. */
int flow_table_open(const struct guard *g, struct why *why);

/* Calls seen for each entry; those made or gone meanwhile may be told or not. */
int flow_table_each(int fd, flow_seen seen, void *arg);

/* How full the table is. */
struct flow_census {
	__u64 state[SW_FLOW_STATES]; /* by enum sw_flow_state */
	__u64 expired;               /* silent for too long: their places are free */
	__u32 limit;                 /* flows there is room for; a few more find a place */
};

#define FLOW_CENSUS_EXACT 65536 /* above that a sample of as many says how many there are */

int flow_table_census(int fd, struct flow_census *ret);

/* An address of struct sw_tuple as prefixes have it: IPv4 as ::ffff:a.b.c.d, there in the low half of _lo. */
void flow_address(__u64 hi, __u64 lo, bool v6, __u8 ret[16]);

/* The names of enum sw_flow_state. */
extern const char *const flow_state_names[SW_FLOW_STATES];

/* CLOCK_MONOTONIC, which struct sw_flow counts in. */
__u64 flow_table_now_ns(void);

/* Flows that end with the guard: neither over nor silent for too long. Negative: an errno. */
long flow_table_live(const struct guard *g, struct why *why);

/* True if listeners of this machine's own are handed their connections, on the proxy path. */
bool flow_table_hands_over(const struct guard *g);

/* From now on new connections go to their servers as they are (on), or are taken again. */
int flow_table_drain(const struct guard *g, bool on, struct why *why);

#endif
