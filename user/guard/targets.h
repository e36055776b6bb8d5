/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Whom the proxy path shields, and how large its table of flows is. */
#ifndef SYNWARD_TARGETS_H
#define SYNWARD_TARGETS_H

#include <stdbool.h>

#include "abi.h"
#include "prefix.h"

struct targets {
	struct prefix list[SW_TARGETS_MAX];
	int count;   /* 0: this namespace's own addresses */
	__u32 flows; /* entries; 0: as many as there are, or SW_FLOWS_DEFAULT */
};

/* Adds "192.0.2.7,2001:db8::/64" to *targets, which is as it was on failure. */
int targets_add(struct targets *targets, const char *list);

/* A number of flows, 1024 at least: "65536", "64k", "1M". */
int targets_flows(struct targets *targets, const char *text);

struct proxy_settings {
	const struct targets *targets;
	bool ports_auto, generic;
	unsigned int guarded, forward; /* ifindex; forward 0: none. guarded 0: both and what follows as they are */
	bool hands_over, after_gro; /* as in struct sw_proxy */
	__u32 flow_sets;            /* of map `flows`, a power of two */
};

/* Fills the maps `targets` and `proxy`; prefixes no longer wanted leave. */
int targets_fill(int targets_fd, int proxy_fd, const struct proxy_settings *settings);

#endif
