/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The counters of a guard, summed over all CPUs. */
#ifndef SYNWARD_COUNTERS_H
#define SYNWARD_COUNTERS_H

#include "guard.h"
#include "names.h"

/* Opens the pinned counters of a guard, for reading only: needs no privileges. */
int counters_open(const struct guard *g, struct why *why);

int counters_read(int fd, struct sw_counters *ret);

/* One entry of the map: SW_COUNTERS_SERVICE + slot, SW_COUNTERS_WOULD + slot. */
int counters_read_entry(int fd, __u32 entry, struct sw_counters *ret);

/* What a column adds up to. */
__u64 counters_sum(const struct sw_counters *c, enum names_column_id column);

#endif
