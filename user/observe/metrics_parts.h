/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What metrics.c and metrics_service.c share: guards as they were read. */
#ifndef SYNWARD_METRICS_PARTS_H
#define SYNWARD_METRICS_PARTS_H

#include "counters.h"
#include "flow_table.h"
#include "metrics.h"
#include "services.h"

struct service_reading {
	struct service_view view;
	struct sw_counters counters, would; /* would: in mode monitor */
	struct sw_rtt rtt;
};

/* What was read of one guard, all at about the same time. */
struct reading {
	struct guard guard;
	struct sw_info info;
	struct sw_counters counters;
	struct sw_walk walk;
	struct hooks_state hooks;
	unsigned int open, full; /* listeners */
	struct flow_census flows;
	bool has_counters, has_walk, has_listeners, has_flows;
	struct service_reading *service; /* freed by whoever has the reading */
	int service_count;
};

struct readings {
	const struct hooks_look *look;
	struct reading *each;
	int count;
};

#define EACH(r, all)                                                                               \
	for (const struct reading *r = (all)->each; r < (all)->each + (all)->count; r++)

/* Leaves the reading without services where they cannot be read. */
void metrics_read_services(struct reading *r);

typedef void metrics_put(FILE *f, const struct metric *m, const struct readings *all);

metrics_put put_service, put_service_armed, put_service_arms, put_service_half_open,
	put_service_syns, put_service_synacks, put_service_valid, put_service_dropped,
	put_service_monitored, put_rtt;

#endif
