/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Hears from the kernel that interfaces, routes or firewall rules have changed. What has
 * changed is not told: whoever hears it looks for himself, so nothing lost does harm.
 */
#ifndef SYNWARD_MONITOR_H
#define SYNWARD_MONITOR_H

#include "loop.h"

struct monitor {
	struct loop *loop;
	struct mnl_socket *links, *routes, *rules; /* rules: NULL if the kernel has no nftables */
	bool routes_changed, rules_changed;        /* until the owner clears them */
	loop_ready links_changed;                  /* called at once */
	void *arg;
};

int monitor_open(struct monitor *m, struct loop *loop, loop_ready links_changed, void *arg);
void monitor_close(struct monitor *m);

#endif
