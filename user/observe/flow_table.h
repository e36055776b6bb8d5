/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The pinned table of a guard on the proxy path. */
#ifndef SYNWARD_FLOW_TABLE_H
#define SYNWARD_FLOW_TABLE_H

#include "flow.h"
#include "guard.h"

typedef void (*flow_seen)(const struct sw_tuple *t, const struct sw_flow *f, void *arg);

/* A descriptor of the table. -ENOENT, with no words: not on the proxy path. */
int flow_table_open(const struct guard *g, struct why *why);

/* Calls seen for each entry; those made or gone meanwhile may be told or not. */
int flow_table_each(int fd, flow_seen seen, void *arg);

/* CLOCK_MONOTONIC, which struct sw_flow counts in. */
__u64 flow_table_now_ns(void);

/* Flows that end with the guard: neither over nor silent for too long. Negative: an errno. */
long flow_table_live(const struct guard *g, struct why *why);

/* From now on new connections go to their servers as they are (on), or are taken again. */
int flow_table_drain(const struct guard *g, bool on, struct why *why);

#endif
