/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the daemon does about the keys of a guard, every few seconds, and says of it. */
#ifndef SYNWARD_ROTATION_H
#define SYNWARD_ROTATION_H

#include <stdbool.h>

#include "config.h"
#include "host.h"
#include "log.h"

/* What was said already; all zero at first. */
struct rotation {
	bool said_unsynchronised;
	char trouble[512];
};

/* Own keys by time, shared ones by their file, which is read afresh each time. */
void rotation_tick(struct rotation *r, const struct log *log, const char *ifname,
		   const struct host_maps *maps, const struct config_synward *config);

#endif
