/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What rtnetlink knows of the interface a flood leaves by. */
#ifndef FLOOD_LINK_H
#define FLOOD_LINK_H

#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct link_info {
	struct ether_addr mac;
	bool up;
	bool veth;
	uint64_t tx_packets, tx_dropped;
};

/* All return 0 or a negative errno, and leave ret alone then. */
int link_read(unsigned int ifindex, struct link_info *ret);
int link_next_hop_mac(unsigned int ifindex, int family, const struct in6_addr *to,
		      struct ether_addr *ret);

#endif
