/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Facts about interfaces, asked of the kernel by rtnetlink and ethtool. */
#ifndef SYNWARD_NETDEV_H
#define SYNWARD_NETDEV_H

#include <net/if.h>
#include <stdbool.h>

enum netdev_peer {
	NETDEV_NOT_VETH,
	NETDEV_PEER_HAS_XDP, /* in native mode */
	NETDEV_PEER_NO_XDP,
	NETDEV_PEER_UNSEEN, /* in a namespace that cannot be asked */
};

/* Whether a native XDP_TX leaves at once: on veth the peer's XDP program must poll for it. */
int netdev_peer(unsigned int ifindex, enum netdev_peer *ret);

/* 1 and a name if a VLAN interface of this namespace sits on ifindex, else 0. */
int netdev_vlan_above(unsigned int ifindex, char ret_name[IF_NAMESIZE]);

/* A feature, by the kernel's name for it: takes VLAN tags out of the frames before XDP sees them.
 */
#define NETDEV_STRIPS_VLAN "rx-vlan-hw-parse"

/* True if that feature is on; false also if it cannot be told. */
bool netdev_has_feature(const char *ifname, const char *name);

/* linux/netdev.h: enum netdev_xdp_act. Some drivers say the second only while a program is on. */
enum netdev_xdp {
	NETDEV_XDP_NATIVE = 1,
	NETDEV_XDP_SENDS = 4, /* what XDP redirects to it (ndo_xdp_xmit) */
};

/* 1: the driver says it has it, 0: that it has not; a negative errno if it cannot be told. */
int netdev_has_xdp(unsigned int ifindex, enum netdev_xdp what);

/* Bytes, or a negative errno. */
int netdev_mtu(const char *ifname);

/* How often its link went down since it was made, or a negative errno. */
int netdev_link_downs(unsigned int ifindex);

/* True if tc filters sit on clsact of ifindex, or if that cannot be told. */
bool netdev_has_filters(unsigned int ifindex);

#endif
