// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Services into the maps of a guard, running or not. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "services.h"
#include "services_policy.h"

/* The descriptors a change needs. */
struct fds {
	int config, services, state, lists, counters, rtt;
};

static int find_fds(const struct host_maps *maps, struct fds *ret)
{
	struct fds fds = {
		.config = host_maps_fd(maps, "config"),
		.services = host_maps_fd(maps, "services"),
		.state = host_maps_fd(maps, "service_state"),
		.lists = host_maps_fd(maps, "lists"),
		.counters = host_maps_fd(maps, "counters"),
		.rtt = host_maps_fd(maps, "rtt"),
	};

	if (fds.config < 0 || fds.services < 0 || fds.state < 0 || fds.lists < 0 ||
	    fds.counters < 0 || fds.rtt < 0)
		return -ENOENT;
	*ret = fds;
	return 0;
}

static int get(int fd, __u32 key, void *ret)
{
	return bpf_map_lookup_elem(fd, &key, ret) ? -errno : 0;
}

static int put(int fd, __u32 key, const void *value)
{
	return bpf_map_update_elem(fd, &key, value, BPF_ANY) ? -errno : 0;
}

static __u64 monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* Entry of a per-CPU map to 0; what it counted goes on in entry 0, if into is not NULL. */
static int empty_entry(int fd, __u32 entry, size_t size, int cpus, __u64 *each, __u64 *into)
{
	size_t words = size / sizeof(__u64) * cpus, i;
	int err = get(fd, entry, each);

	if (!err && into) {
		err = get(fd, 0, into);
		for (i = 0; i < words; i++)
			into[i] += each[i];
		if (!err)
			err = put(fd, 0, into);
	}
	memset(each, 0, size * cpus);
	return err ?: put(fd, entry, each);
}

/* What the slot has counted goes to entry 0, so that the sum of all never goes back. */
static int empty_slot(const struct fds *fds, __u32 slot)
{
	size_t size = sizeof(struct sw_counters), rtt_size = sizeof(struct sw_rtt);
	int cpus = libbpf_num_possible_cpus(), err;
	__u64 *each, *into;

	if (cpus < 1)
		return cpus ?: -EINVAL;
	each = calloc(cpus, size > rtt_size ? size : rtt_size);
	into = calloc(cpus, size);
	err = each && into ? 0 : -ENOMEM;
	if (!err)
		err = empty_entry(fds->counters, SW_COUNTERS_SERVICE + slot, size, cpus, each, into);
	if (!err)
		err = empty_entry(fds->counters, SW_COUNTERS_WOULD + slot, size, cpus, each, NULL);
	if (!err)
		err = empty_entry(fds->rtt, slot, rtt_size, cpus, each, NULL);
	free(each);
	free(into);
	return err;
}

/* Whose state starts anew: other services, and those that were not in mode auto before. */
static int clear_slots(const struct fds *fds, const struct sw_policy *old,
		       const struct sw_policy *p, __u64 new_slots)
{
	static const struct sw_service_state none;
	__u64 stay = old->watched & p->watched & ~new_slots;
	__u32 slot;
	int err = 0;

	for (slot = 0; !err && slot < SW_SERVICES; slot++) {
		if (new_slots >> slot & 1)
			err = empty_slot(fds, slot);
		if (!err && !(stay >> slot & 1))
			err = put(fds->state, slot, &none);
	}
	return err;
}

static int put_lists(const struct fds *fds, const int list_of_slot[SW_SERVICES],
		     const struct sw_policy *p)
{
	__u32 slot;
	int err = 0;

	for (slot = 0; !err && slot < SW_SERVICES; slot++) {
		if (p->lists >> slot & 1)
			err = put(fds->lists, slot, &list_of_slot[slot]);
	}
	return err;
}

/* Tries nobody looks at any more; one that stays costs memory only. */
static void drop_lists(const struct fds *fds, const struct sw_policy *old, const struct sw_policy *p)
{
	__u32 slot;

	for (slot = 0; slot < SW_SERVICES; slot++) {
		if ((old->lists & ~p->lists) >> slot & 1)
			bpf_map_delete_elem(fds->lists, &slot);
	}
}

static int switch_to(const struct fds *fds, const struct sw_policy *p, struct sw_config *config)
{
	int err;

	config->policy = !config->policy;
	err = put(fds->services, config->policy, p);
	if (err)
		return err;
	config->generation++;
	return put(fds->config, 0, config);
}

static int apply(const struct host_maps *maps, const struct services *s)
{
	int list_of_slot[SW_SERVICES];
	struct sw_policy old, p;
	struct sw_config config;
	__u64 new_slots;
	struct fds fds;
	int err;

	err = find_fds(maps, &fds);
	if (!err)
		err = get(fds.config, 0, &config);
	if (!err)
		err = get(fds.services, config.policy & 1, &old);
	if (err)
		return err;
	new_slots = services_policy(s, &old, monotonic_ns(), &p, list_of_slot);
	err = clear_slots(&fds, &old, &p, new_slots);
	if (!err)
		err = put_lists(&fds, list_of_slot, &p);
	if (!err && memcmp(&old, &p, sizeof(p)))
		err = switch_to(&fds, &p, &config);
	if (!err)
		drop_lists(&fds, &old, &p);
	return err;
}

int services_apply(const struct host_maps *maps, const struct services *s, struct why *why)
{
	int err = services_check(s, why);

	if (err)
		return err;
	err = apply(maps, s);
	return err ? why_is(why, err, "cannot write the services: %s", strerror(-err)) : 0;
}

static int translate(const struct host_maps *maps, __u64 slots)
{
	struct sw_config config;
	struct sw_policy p;
	struct fds fds;
	__u64 more;
	int err;

	err = find_fds(maps, &fds);
	if (!err)
		err = get(fds.config, 0, &config);
	if (!err)
		err = get(fds.services, config.policy & 1, &p);
	if (err)
		return err;
	more = slots & services_policy_auto(&p) & ~p.translated;
	p.translated |= more;
	return more ? switch_to(&fds, &p, &config) : 0;
}

int services_translate(const struct host_maps *maps, __u64 slots, struct why *why)
{
	int err = translate(maps, slots);

	return err ? why_is(why, err, "cannot write the services: %s", strerror(-err)) : 0;
}
