// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <linux/rtnetlink.h>

#include "abi.h"
#include "netlink.h"
#include "routes.h"

struct entry {
	struct sw_route_key key;
	struct sw_route route;
	int position; /* in the kernel's listing */
};

struct reading {
	bool metrics; /* some route has one of those in struct sw_route */
	struct entry *entry;
	int count; /* SW_ROUTES_MAX at most */
	int err;
};

struct found {
	struct sw_route_key key;
	struct sw_route route;
	__u32 table;
	bool metrics;
	unsigned char family;
};

static int read_metric(const struct nlattr *attr, void *arg)
{
	struct found *found = arg;
	__u32 *to = NULL;

	switch (mnl_attr_get_type(attr)) {
	case RTAX_MTU:
		to = &found->route.mtu;
		break;
	case RTAX_ADVMSS:
		to = &found->route.advmss;
		break;
	case RTAX_WINDOW:
		to = &found->route.window;
		break;
	case RTAX_INITRWND:
		to = &found->route.initrwnd;
		break;
	case RTAX_HOPLIMIT:
		to = &found->route.hoplimit;
		break;
	}
	if (to) {
		*to = mnl_attr_get_u32(attr);
		found->metrics |= *to != 0;
	}
	return MNL_CB_OK;
}

static int read_attribute(const struct nlattr *attr, void *arg)
{
	struct found *found = arg;
	size_t offset = found->family == AF_INET ? 12 : 0;

	switch (mnl_attr_get_type(attr)) {
	case RTA_DST:
		if (mnl_attr_get_payload_len(attr) <= sizeof(found->key.addr) - offset)
			memcpy(found->key.addr + offset, mnl_attr_get_payload(attr),
			       mnl_attr_get_payload_len(attr));
		break;
	case RTA_TABLE:
		found->table = mnl_attr_get_u32(attr);
		break;
	case RTA_METRICS:
		return mnl_attr_parse_nested(attr, read_metric, found);
	}
	return MNL_CB_OK;
}

static int read_route(const struct nlmsghdr *answer, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(answer);
	struct reading *reading = arg;
	struct found found = {.family = rtm->rtm_family, .table = rtm->rtm_table};

	/* A cached route to one peer (RTM_F_CLONED) is its path MTU, not a setting. */
	if (rtm->rtm_type != RTN_UNICAST || rtm->rtm_flags & RTM_F_CLONED)
		return MNL_CB_OK;
	found.key.prefix_length = rtm->rtm_dst_len;
	if (rtm->rtm_family == AF_INET) {
		found.key.prefix_length += 96;
		found.key.addr[10] = found.key.addr[11] = 0xff;
	}
	mnl_attr_parse(answer, sizeof(*rtm), read_attribute, &found);
	if (found.table != RT_TABLE_MAIN)
		return MNL_CB_OK;
	reading->metrics |= found.metrics;
	if (reading->count == SW_ROUTES_MAX)
		reading->err = -E2BIG;
	else
		reading->entry[reading->count] =
			(struct entry){found.key, found.route, reading->count};
	reading->count += !reading->err;
	return MNL_CB_OK;
}

static int read_family(unsigned char family, struct reading *reading)
{
	char buffer[128] = {};
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct rtmsg *rtm;

	request->nlmsg_type = RTM_GETROUTE;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	rtm = mnl_nlmsg_put_extra_header(request, sizeof(*rtm));
	rtm->rtm_family = family;
	return netlink_ask(request, read_route, reading);
}

static int read_families(struct reading *reading)
{
	int err = read_family(AF_INET, reading);

	return err ? err : read_family(AF_INET6, reading);
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(&((const struct entry *)a)->key, &((const struct entry *)b)->key,
		      sizeof(struct sw_route_key));
}

static int compare(const void *a, const void *b)
{
	int order = compare_keys(a, b);

	return order ? order
		     : ((const struct entry *)a)->position - ((const struct entry *)b)->position;
}

/* Sorted; of two routes to the same prefix the kernel takes, and lists, the preferred one first. */
static void sort(struct reading *reading)
{
	struct entry *entry = reading->entry;
	int i, count = 0;

	qsort(entry, reading->count, sizeof(*entry), compare);
	for (i = 0; i < reading->count; i++) {
		if (!count || compare_keys(&entry[count - 1], &entry[i]))
			entry[count++] = entry[i];
	}
	reading->count = count;
}

/* Keys of the map that are not in the list; the next is asked for before one goes. */
static void drop_others(int fd, const struct reading *reading)
{
	struct entry this, next;
	int more = !bpf_map_get_next_key(fd, NULL, &next.key);

	while (more) {
		this = next;
		more = !bpf_map_get_next_key(fd, &this.key, &next.key);
		if (!bsearch(&this, reading->entry, reading->count, sizeof(this), compare_keys))
			bpf_map_delete_elem(fd, &this.key);
	}
}

/* What stays is not touched: SYNs are answered meanwhile. */
static int bring_up_to_date(int fd, struct reading *reading)
{
	int i;

	sort(reading);
	drop_others(fd, reading);
	for (i = 0; i < reading->count; i++) {
		if (bpf_map_update_elem(fd, &reading->entry[i].key, &reading->entry[i].route,
					BPF_ANY))
			return -errno;
	}
	return reading->err;
}

int routes_fill(int routes_fd)
{
	struct reading reading = {.entry = calloc(SW_ROUTES_MAX, sizeof(*reading.entry))};
	int err;

	if (!reading.entry)
		return -ENOMEM;
	err = read_families(&reading);
	/* All of them: one without metrics is the longer match where another's would be wrong. */
	if (!reading.metrics)
		reading.count = reading.err = 0;
	if (!err)
		err = bring_up_to_date(routes_fd, &reading);
	free(reading.entry);
	return err ? err : reading.metrics;
}
