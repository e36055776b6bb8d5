/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The services of a guard: written into its maps, and read back. */
#ifndef SYNWARD_SERVICES_H
#define SYNWARD_SERVICES_H

#include "config.h"
#include "guard.h"
#include "host.h"
#include "lists.h"

struct services {
	struct sw_service service[SW_SERVICES]; /* of those that match a listener the first counts */
	int list_fd[SW_SERVICES];		/* of lists_load(), stays the caller's; below 0: none */
	int count;
};

/* One service, "all": guards whatever listens, with the thresholds of docs/modes.md. */
void services_default(struct services *ret, enum sw_mode mode);

/* Those of an interface, with their lists loaded: services_close_lists() when they are applied. */
int services_from_config(const struct config *config, const struct config_interface *interface,
			 struct services *ret, struct why *why);
void services_close_lists(struct services *s);

/* -EINVAL and why if a service makes no sense: thresholds the wrong way round, a name twice ... */
int services_check(const struct services *s, struct why *why);

/*
 * Makes *s what counts, in one step for every packet; on failure what counted before goes on.
 * Needs no privileges beyond the descriptors of maps `config`, `services`, `service_state`,
 * `lists` and `counters`. Services that keep their name keep their counters and their state, and what
 * services_translate() told of them.
 */
int services_apply(const struct host_maps *maps, const struct services *s, struct why *why);

/*
 * Of a guard that runs: these slots' services with path auto are translated from now on, in one
 * step for every packet, and stay so for as long as their name is there with path auto.
 */
int services_translate(const struct host_maps *maps, __u64 slots, struct why *why);

/* A service as it stands. */
struct service_view {
	struct sw_service service;
	struct sw_service_state state;
	__u32 slot;  /* of counters, rtt */
	bool translated; /* as it is to be on the proxy path, or is */
	bool listed; /* an allow or deny list is in force */
};

/* In the order they count. Returns how many, or a negative errno. */
int services_read(const struct host_maps *maps, struct service_view ret[SW_SERVICES]);

/* The same through the pins, as root; opens what services_read() and its like want. */
int services_open(const struct guard *g, struct host_maps *ret, struct why *why);

/* Of map `rtt`: one service's, all CPUs. */
int services_rtt(const struct host_maps *maps, __u32 slot, struct sw_rtt *ret);

/* The enum sw_service_path of all of them, a bit each. */
unsigned int services_paths(const struct sw_service *s, int count);

const char *services_mode_name(enum sw_mode mode);
const char *services_path_name(enum sw_service_path path);
const char *services_armed_by_name(enum sw_armed_by reason);

#endif
