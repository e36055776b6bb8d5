/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The counters: their names, from the lists both sides share, and their sums over all CPUs. */
#ifndef SYNWARD_COUNTERS_H
#define SYNWARD_COUNTERS_H

#include "guard.h"

/* Opens the pinned counters of a guard, for reading only: needs no privileges. */
int counters_open(const struct guard *g, struct why *why);

int counters_read(int fd, struct sw_counters *ret);

/* A column of stats: the sum of the verdicts and events that belong to it. */
struct counter_column {
	const char *name;
	const char *text;
};

#define COUNTER_COLUMNS 8

extern const struct counter_column counters_column[COUNTER_COLUMNS];

/* What a column adds up to. */
__u64 counters_sum(const struct sw_counters *c, int column);

#endif
