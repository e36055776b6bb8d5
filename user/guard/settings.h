/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a running guard is told in its maps `config` and `routes`. */
#ifndef SYNWARD_SETTINGS_H
#define SYNWARD_SETTINGS_H

#include "ports.h"

/*
 * Whole, in one update, and only if something differs; the routes' metrics are read afresh.
 * beside_nat: on the host path, also what NAT looks at is to be guarded.
 */
int settings_write(int config_fd, int routes_fd, const struct ports *ports, __u64 epoch_offset_ns,
		   bool beside_nat);

/* The same with the clock of epochs as it is. */
int settings_update(int config_fd, int routes_fd, const struct ports *ports);

int settings_ports(int config_fd, struct ports *ret);
/* Only where the keys follow the clock of day (keys.h). */
int settings_set_epoch_offset(int config_fd, __u64 epoch_offset_ns);

int settings_epoch_offset(int config_fd, __u64 *ret_ns);

#endif
