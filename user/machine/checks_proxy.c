// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What keeps a guard on the proxy path from its servers, or their answers from it. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "checks.h"
#include "flow_table.h"
#include "forward.h"
#include "netdev.h"
#include "pins.h"
#include "prefix.h"
#include "sysctl.h"
#include "way.h"

static bool is_v4(const __u8 addr[16])
{
	static const __u8 mapped[12] = {[10] = 0xff, 0xff};

	return !memcmp(addr, mapped, sizeof(mapped));
}

static const char *address_text(const __u8 addr[16], char text[INET6_ADDRSTRLEN])
{
	return is_v4(addr) ? inet_ntop(AF_INET, addr + 12, text, INET6_ADDRSTRLEN)
			   : inet_ntop(AF_INET6, addr, text, INET6_ADDRSTRLEN);
}

/* The servers that --to names, as far as they are behind this machine. */
struct behind {
	bool v4, v6;
	int mtu; /* the smallest of the interfaces they are behind; 0: none */
	char ifname[IF_NAMESIZE];
};

static void look_behind(struct behind *b, const struct sw_route_key *key)
{
	char ifname[IF_NAMESIZE];
	struct way way;
	__u8 addr[16];
	int mtu;

	memcpy(addr, key->addr, sizeof(addr));
	if (key->prefix_length < 128)
		addr[15] |= 1; /* the prefix's own address may be a broadcast's */
	if (way_to(addr, &way) || way.local)
		return;
	if (is_v4(addr))
		b->v4 = true;
	else
		b->v6 = true;
	if (!if_indextoname(way.ifindex, ifname))
		return;
	mtu = netdev_mtu(ifname);
	if (mtu > 0 && (!b->mtu || mtu < b->mtu)) {
		b->mtu = mtu;
		strcpy(b->ifname, ifname);
	}
}

static struct behind find_behind(const struct guard *g)
{
	struct sw_route_key key, *from = NULL, at;
	int fd = pins_open(g, "targets");
	struct behind b = {};

	while (fd >= 0 && !bpf_map_get_next_key(fd, from, &key)) {
		look_behind(&b, &key);
		at = key;
		from = &at;
	}
	if (fd >= 0)
		close(fd);
	return b;
}

static int check_forwarding(const struct check_scene *scene, struct why *why)
{
	const char *ifname = scene->guard->ifname;
	struct behind b = find_behind(scene->guard);
	char name[64];
	int value;

	snprintf(name, sizeof(name), "net/ipv4/conf/%s/forwarding", ifname);
	if (b.v4 && !sysctl_read(name, &value) && !value)
		return why_is(why, -EHOSTUNREACH,
			      "net.ipv4.conf.%s.forwarding is 0: nothing reaches the servers that "
			      "--to names; sysctl -w net.ipv4.ip_forward=1",
			      ifname);
	if (b.v6 && !sysctl_read("net/ipv6/conf/all/forwarding", &value) && !value)
		return why_is(why, -EHOSTUNREACH,
			      "net.ipv6.conf.all.forwarding is 0: nothing reaches the servers that "
			      "--to names; sysctl -w net.ipv6.conf.all.forwarding=1");
	return 0;
}

static int check_mtu_behind(const struct check_scene *scene, struct why *why)
{
	struct behind b = find_behind(scene->guard);
	int mtu = netdev_mtu(scene->guard->ifname);

	if (mtu > 0 && b.mtu && b.mtu != mtu)
		check_warn(scene,
			   "MTU %d here, and %d of %s, where servers are: the larger frames wait "
			   "for ICMP to tell their sender the path MTU, so let ICMP pass; or ip "
			   "link set %s mtu %d",
			   mtu, b.mtu, b.ifname, b.mtu < mtu ? b.ifname : scene->guard->ifname,
			   b.mtu < mtu ? mtu : b.mtu);
	return 0;
}

/* Where the answer to a stranger leaves: by an address that is nobody's (RFC 5737). */
static int check_rp_filter(const struct check_scene *scene, struct why *why)
{
	static const __u8 stranger[16] = {[10] = 0xff, 0xff, 203, 0, 113, 1};
	const char *ifname = scene->guard->ifname;
	char name[64], other[IF_NAMESIZE];
	int all = 0, own = 0;
	struct way way;

	snprintf(name, sizeof(name), "net/ipv4/conf/%s/rp_filter", ifname);
	if (sysctl_read("net/ipv4/conf/all/rp_filter", &all) || sysctl_read(name, &own))
		return 0;
	/* The larger counts: 1 is strict, 2 loose. */
	if ((own > all ? own : all) != 1 || way_to(stranger, &way) ||
	    way.ifindex == scene->guard->ifindex || !if_indextoname(way.ifindex, other))
		return 0;
	check_warn(scene,
		   "net.ipv4.conf.%s.rp_filter is strict and the default route leaves by %s: what "
		   "comes from there is dropped behind XDP, and its answers would not leave by %s; "
		   "route clients by %s",
		   ifname, other, ifname, ifname);
	return 0;
}

#define WAITING_S                                                                                  \
	3 /* a server that lives answers sooner, a SYN of its client's sent again included */
#define WAYS_ASKED 1024 /* of clients whose server does not answer */

struct waiting {
	__u64 now_ns;
	unsigned int guarded;
	unsigned long count, astray, asked; /* astray: the way to the client is another */
	struct sw_tuple example;
	__u8 stray[16];
	unsigned int stray_ifindex;
};

static void look_at_flow(const struct sw_tuple *t, const struct sw_flow *f, void *arg)
{
	struct waiting *w = arg;
	struct way way;
	__u8 client[16];

	if (sw_flow_state(f) != SW_FLOW_SYN_SENT || sw_flow_expired(f, w->now_ns) ||
	    f->bits[SW_SERVER] & SW_FLOW_GONE ||
	    sw_flow_since_ns(f->opened, w->now_ns) < WAITING_S * SW_NS_PER_S)
		return;
	if (!w->count++)
		w->example = *t;
	if (w->asked++ >= WAYS_ASKED)
		return;
	flow_address(t->saddr_hi, t->saddr_lo, t->family_v6, client);
	if (way_to(client, &way) || way.local || way.ifindex == w->guarded)
		return;
	if (!w->astray++) {
		memcpy(w->stray, client, sizeof(client));
		w->stray_ifindex = way.ifindex;
	}
}

static void tell_waiting(const struct check_scene *scene, const struct waiting *w)
{
	const char *ifname = scene->guard->ifname;
	char text[INET6_ADDRSTRLEN], other[IF_NAMESIZE] = "?";
	__u8 server[16];

	if (w->astray) {
		if_indextoname(w->stray_ifindex, other);
		check_warn(scene,
			   "%lu connections got no answer, of %lu of them because it leaves by "
			   "another interface: what goes to %s leaves by %s, and only what leaves "
			   "by %s is translated; route their clients by %s",
			   w->count, w->astray, address_text(w->stray, text), other, ifname,
			   ifname);
	} else if (w->count) {
		flow_address(w->example.daddr_hi, w->example.daddr_lo, w->example.family_v6,
			     server);
		check_warn(scene,
			   "%lu connections got no answer that left by %s, as of %s port %u: the "
			   "server is silent, a firewall or rp_filter drops it, or answers leave "
			   "by another interface; 'synward flows %s --state syn_sent' lists them",
			   w->count, ifname, address_text(server, text), w->example.dport, ifname);
	}
}

static int check_answers(const struct check_scene *scene, struct why *why)
{
	struct waiting w = {.now_ns = flow_table_now_ns(), .guarded = scene->guard->ifindex};
	int fd = flow_table_open(scene->guard, why), err;

	if (fd < 0)
		return fd;
	err = flow_table_each(fd, look_at_flow, &w);
	close(fd);
	if (!err)
		tell_waiting(scene, &w);
	return err;
}

static int check_sends(unsigned int ifindex, struct why *why)
{
	char ifname[IF_NAMESIZE];

	if (netdev_has_xdp(ifindex, NETDEV_XDP_SENDS) || !if_indextoname(ifindex, ifname))
		return 0;
	return why_is(
		why, -EOPNOTSUPP,
		"%s cannot send what XDP redirects to it (no ndo_xdp_xmit, or on veth no XDP "
		"program at its peer): what --forward sends there is lost; attach without it, "
		"or detach and attach with --xdp generic",
		ifname);
}

static int check_forward(const struct check_scene *scene, struct why *why)
{
	struct sw_info info;
	int err;

	if (guard_info(scene->guard, &info) || !info.forward)
		return 0;
	if (!forward_is_on(scene->guard, info.forward)) {
		check_warn(scene,
			   "the --forward interface or its program is gone: all takes the stack; "
			   "attach again");
		return 0;
	}
	if (info.xdp_mode != SW_XDP_NATIVE)
		return 0;
	err = check_sends(info.forward, why);
	return err ?: check_sends(scene->guard->ifindex, why);
}

const struct check checks_proxy[] = {
	{"forwarding", check_forwarding}, {"MTU behind", check_mtu_behind},
	{"rp_filter", check_rp_filter},   {"answers", check_answers},
	{"--forward", check_forward},     {}};
