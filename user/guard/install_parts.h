/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Between install.c and change.c; nobody else's. */
#ifndef SYNWARD_INSTALL_PARTS_H
#define SYNWARD_INSTALL_PARTS_H

#include "install.h"
#include "tc.h"

int install_pin_maps(const struct guard *g, const struct host *host);

/* The one entry of a map of base. */
int install_put(const struct host *host, const char *map, const void *value);
int install_get(const struct host *host, const char *map, void *ret);

/* What the plan says of ports, routes and, on the proxy path, servers. */
int install_settings(const struct guard *g, const struct host *host, const struct plan *plan,
		     __u64 epoch_offset_ns);
int install_services(const struct host *host, const struct services *s, struct why *why);

struct sw_info install_describe(const struct guard *g, const struct plan *plan, enum sw_tc_kind tc);

/* The program at tc ingress of a guard on the proxy path, where the kernel takes it. */
int install_hand(const struct guard *g, const struct host *host, struct why *why);

/* Descriptors for plan's keep; and closed again. */
int install_keep(const struct host *host, const struct plan *plan, struct why *why);
void install_let_go(const struct plan *plan);

/*
 * Loading the XDP program takes a second, in which the kernel made sockets that the
 * first look at them has not seen; their segments would be refused. If this one fails
 * the timer sees them within half a minute.
 */
void install_look_again(const struct host *host);

/* Hand-over is at ingress, translation for the client at egress. */
enum tc_way install_tc_way(enum sw_path path);

/* The maps the running guard uses: through its program, which alone leads to the secrets. */
int install_running_maps(const struct guard *g, const struct xdp_state *running,
			 struct host_maps *ret, struct why *why);

/* New keys of this machine's own; those of a group stay as they are where its secret is not given. */
int install_renew_keys(const struct host *host, const struct plan *plan, __u64 epoch_offset_ns);

#endif
