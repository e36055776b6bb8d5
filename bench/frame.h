/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Frames as the flood sends them, made from a description. */
#ifndef FLOOD_FRAME_H
#define FLOOD_FRAME_H

#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "flood.h"

enum checksum_kind {
	CHECKSUM_GOOD,
	CHECKSUM_BAD,    /* of TCP or UDP */
	CHECKSUM_BAD_IP, /* of the IPv4 header */
	CHECKSUM_TO_NIC, /* "partial": only the pseudo-header's sum, a NIC is to do the rest */
};

struct frame_spec {
	struct ether_addr src_mac, dst_mac;
	bool v6;
	struct in6_addr to; /* IPv4: its first four bytes */
	uint16_t port;      /* host order; 0: random in each frame */
	uint16_t sport;     /* the same */
	int vlan;           /* 0: untagged */
	unsigned int ipv6_ext;
	enum checksum_kind checksum;
	const struct tcp_options *options;
};

struct tcp_options;
struct frame_kind;

/* Both tables end with a name of NULL. */
struct tcp_options {
	const char *name;
	uint16_t window;
	uint8_t length, byte[40];
};
extern const struct tcp_options tcp_options[];

struct frame_kind {
	const char *name;
	uint8_t tcp_flags;
	bool udp;
	enum { NO_OPTIONS, TSTAMP_ONLY, ALL_OPTIONS } carries; /* of the chosen options */
};
extern const struct frame_kind frame_kinds[];

/* The most destination-option headers a frame has room for. */
#define FRAME_IPV6_EXT_MAX 12

unsigned int frame_l3_at(const struct frame_spec *spec);
unsigned int frame_l4_at(const struct frame_spec *spec);
void frame_build(const struct frame_spec *spec, const struct frame_kind *kind,
		 struct flood_frame *ret);

#endif
