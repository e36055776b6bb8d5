// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <linux/rtnetlink.h>

#include "abi.h"
#include "netlink.h"
#include "routes.h"

struct reading {
	int fd;
	bool metrics; /* some route has one of those in struct sw_route */
	bool insert;  /* into the map: second reading */
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
	if (found.table != RT_TABLE_MAIN || reading->err)
		return MNL_CB_OK;
	reading->metrics |= found.metrics;
	/* Of two routes to the same prefix the kernel takes, and lists, the preferred one first. */
	if (reading->insert &&
	    bpf_map_update_elem(reading->fd, &found.key, &found.route, BPF_NOEXIST) &&
	    errno != EEXIST)
		reading->err = errno == ENOSPC ? -E2BIG : -errno;
	return MNL_CB_OK;
}

static int read_family(unsigned char family, struct reading *reading)
{
	char buffer[128] = {};
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct rtmsg *rtm;
	int err;

	request->nlmsg_type = RTM_GETROUTE;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	rtm = mnl_nlmsg_put_extra_header(request, sizeof(*rtm));
	rtm->rtm_family = family;
	err = netlink_ask(request, read_route, reading);
	return err ? err : reading->err;
}

static void empty(int fd)
{
	struct sw_route_key key;

	while (!bpf_map_get_next_key(fd, NULL, &key) && !bpf_map_delete_elem(fd, &key))
		;
}

static int read_families(struct reading *reading)
{
	int err = read_family(AF_INET, reading);

	return err ? err : read_family(AF_INET6, reading);
}

int routes_fill(int routes_fd)
{
	struct reading reading = {.fd = routes_fd};
	int err;

	empty(routes_fd);
	err = read_families(&reading);
	if (err || !reading.metrics)
		return err;
	/* All of them: one without metrics is the longer match where another's would be wrong. */
	reading.insert = true;
	err = read_families(&reading);
	return err ? err : 1;
}
