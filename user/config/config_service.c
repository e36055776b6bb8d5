// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* From the sections of the file to the entries of the map. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

/* On the proxy path by name, and of servers that are named, what is left open is translated. */
static __u8 path_of(enum sw_service_path path, const struct config_interface *interface)
{
	bool translates = interface->path == SW_PATH_PROXY || interface->to.count;

	return path == SW_SERVICE_AUTO && translates ? SW_SERVICE_PROXY : path;
}

static struct sw_service common(const struct config_service *s,
				const struct config_interface *interface)
{
	return (struct sw_service){
		.mode = s->mode,
		.path = path_of(s->path, interface),
		.syn_start = s->syn_start,
		.syn_end = s->syn_end,
		.half_open_start = s->half_open_start,
		.half_open_end = s->half_open_end,
		.hold_ms = s->hold,
		.synack_limit = s->synack_limit,
		.handshake_limit = s->handshake_limit,
	};
}

struct listing {
	const struct config_interface *interface;
	struct sw_service *entry;
	int count;
};

static int add(struct listing *list, const struct config_service *s, const struct prefix *prefix,
	       unsigned int first, unsigned int last, int number)
{
	struct sw_service *entry = &list->entry[list->count];

	if (list->count == SW_SERVICES)
		return -E2BIG;
	list->count++;
	*entry = common(s, list->interface);
	memcpy(entry->addr, prefix->addr, sizeof(entry->addr));
	entry->prefix_length = prefix->length;
	entry->port_first = first;
	entry->port_last = last;
	if (number > 1)
		snprintf(entry->name, sizeof(entry->name), "%s#%d", s->name, number);
	else
		snprintf(entry->name, sizeof(entry->name), "%s", s->name);
	return 0;
}

/* Every run of ports for every prefix. */
static int add_service(struct listing *list, const struct config_service *s)
{
	const struct ports *ports = &s->ports.ports;
	unsigned int first, last;
	int number = 0, i, err = 0;

	for (first = 1; !err && first <= PORT_MAX; first = last + 1) {
		last = first;
		if (!ports_have(ports, first))
			continue;
		while (last < PORT_MAX && ports_have(ports, last + 1))
			last++;
		for (i = 0; !err && i < s->address.count; i++)
			err = add(list, s, &s->address.item[i], first, last, ++number);
	}
	return err;
}

int config_services(const struct config *config, const struct config_interface *interface,
		    struct sw_service ret[SW_SERVICES])
{
	struct listing list = {.interface = interface, .entry = ret};
	int i, err = 0;

	if (!config->services) {
		ret[0] = (struct sw_service){.mode = SW_MODE_ALWAYS,
					     .path = path_of(SW_SERVICE_AUTO, interface),
					     .port_first = 1,
					     .port_last = PORT_MAX,
					     .name = "all"};
		return 1;
	}
	for (i = 0; !err && i < config->services; i++) {
		if (interface->service_mask >> i & 1)
			err = add_service(&list, &config->service[i]);
	}
	return err ? err : list.count;
}
