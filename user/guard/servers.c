// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdbool.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "abi.h"
#include "flow_table.h"
#include "servers.h"

/* The options both of them know. */
#define OPTIONS (SW_LF_SACK | SW_LF_TSTAMP | SW_LF_WSCALE | SW_LF_ECN)

/* The cache does not say which family its addresses are of: of IPv6 none has zeros there. */
static bool is_v4(const struct sw_listener *l)
{
	return !l->addr_hi && !(l->addr_lo >> 32);
}

/* Asked a moment ago, nothing known for certain: the next SYNs but one teach. */
static int add(int servers_fd, const struct sw_listener *l, __u64 now_ns)
{
	struct sw_server_key key = {l->addr_hi, l->addr_lo, l->port, !is_v4(l)};
	struct sw_server server = {
		.seen_ns = now_ns,
		.asked_ns = now_ns,
		.mss = l->mss,
		.has = l->flags & OPTIONS,
		.wscale = l->wscale[1],
		.ttl = l->ttl,
	};

	return bpf_map_update_elem(servers_fd, &key, &server, BPF_ANY) ? -errno : 0;
}

int servers_from_listeners(int servers_fd, int listeners_fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info), at;
	__u64 now_ns = flow_table_now_ns();
	struct sw_listener l;
	int err = 0;

	if (bpf_obj_get_info_by_fd(listeners_fd, &info, &length))
		return -errno;
	for (at = 0; !err && at < info.max_entries; at++) {
		if (bpf_map_lookup_elem(listeners_fd, &at, &l))
			return -errno;
		if (l.state == SW_LISTENER_OPEN || l.state == SW_LISTENER_FULL)
			err = add(servers_fd, &l, now_ns);
	}
	return err;
}
