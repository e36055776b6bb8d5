// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Services as they stand, out of the maps of a guard. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "pins.h"
#include "services.h"

static int get(const struct host_maps *maps, const char *name, __u32 key, void *ret)
{
	int fd = host_maps_fd(maps, name);

	if (fd < 0)
		return fd;
	return bpf_map_lookup_elem(fd, &key, ret) ? -errno : 0;
}

int services_read(const struct host_maps *maps, struct service_view ret[SW_SERVICES])
{
	struct service_view view[SW_SERVICES] = {};
	struct sw_policy p = {};
	struct sw_config config;
	__u32 i;
	int err;

	err = get(maps, "config", 0, &config);
	if (!err)
		err = get(maps, "services", config.policy & 1, &p);
	for (i = 0; !err && i < p.count && i < SW_SERVICES; i++) {
		__u32 slot = p.order[i] % SW_SERVICES;

		view[i].service = p.service[slot];
		view[i].slot = slot;
		view[i].translated = p.translated >> slot & 1;
		view[i].listed = p.lists >> slot & 1;
		err = get(maps, "service_state", slot, &view[i].state);
	}
	if (err)
		return err;
	memcpy(ret, view, sizeof(view));
	return (int)i;
}

int services_open(const struct guard *g, struct host_maps *ret, struct why *why)
{
	static const char *const names[] = {"config", "services", "service_state", "counters",
					    "rtt"};
	struct host_maps maps = {};
	int fd, err = 0;
	size_t i;

	for (i = 0; !err && i < sizeof(names) / sizeof(*names); i++) {
		fd = pins_open_readonly(g, names[i]);
		err = fd < 0 ? fd : host_maps_add(&maps, names[i], fd);
	}
	if (err) {
		host_maps_close(&maps);
		return why_is(why, err, "cannot open its services: %s", strerror(-err));
	}
	*ret = maps;
	return 0;
}

int services_rtt(const struct host_maps *maps, __u32 slot, struct sw_rtt *ret)
{
	int cpus = libbpf_num_possible_cpus(), cpu, b, err;
	struct sw_rtt sum = {}, *each;

	if (cpus < 1)
		return cpus ?: -EINVAL;
	each = calloc(cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	err = get(maps, "rtt", slot, each);
	for (cpu = 0; !err && cpu < cpus; cpu++) {
		sum.sum_us += each[cpu].sum_us;
		for (b = 0; b < SW_RTT_BUCKETS; b++)
			sum.bucket[b] += each[cpu].bucket[b];
	}
	free(each);
	if (!err)
		*ret = sum;
	return err;
}
