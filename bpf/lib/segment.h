/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the parsers make of a frame that holds a TCP segment. */
#ifndef SYNWARD_BPF_SEGMENT_H
#define SYNWARD_BPF_SEGMENT_H

#include <linux/types.h>

#include "../../headers/tuple.h"

/* TCP flags, as the 14th byte of the header holds them. */
#define SW_FIN 0x01
#define SW_SYN 0x02
#define SW_RST 0x04
#define SW_PSH 0x08
#define SW_ACK 0x10
#define SW_URG 0x20
#define SW_ECE 0x40
#define SW_CWR 0x80

struct sw_packet {
	struct sw_tuple tuple;
	__u64 hash;	 /* sw_tuple_hash() */
	__u32 seq, ack;	 /* host order */
	__u16 l3_offset; /* of the IP header, bytes from the frame's start */
	__u16 l4_offset; /* of the TCP header */
	__u16 l4_length; /* TCP header and data, by the IP header */
	__u8 flags;	 /* SW_FIN ... SW_CWR */
	__u8 header_length; /* TCP, bytes */
	__u8 tos;	 /* traffic class */
	__u8 first_fragment;
	__u8 ip_options; /* IPv4 header longer than 20 bytes */
	__u8 pad;
};

#endif
