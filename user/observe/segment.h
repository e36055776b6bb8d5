/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A TCP segment as a tracer tells it: read from the start of a frame, which is hostile. */
#ifndef SYNWARD_SEGMENT_H
#define SYNWARD_SEGMENT_H

#include <arpa/inet.h>
#include <stdbool.h>

#include "tcpopts.h"
#include "trace.h"

/* Who sent it. */
enum segment_origin {
	SEGMENT_CLIENT,  /* with a verdict of the XDP program */
	SEGMENT_SYNWARD, /* a SYN-ACK by XDP_TX */
	SEGMENT_KERNEL,  /* what the server's TCP sends */
};

struct segment {
	__u64 time_ns; /* CLOCK_REALTIME */
	enum segment_origin origin;
	int reason; /* enum sw_reason, of those by the client */
	int family; /* AF_INET, AF_INET6 */
	__u8 client[16], server[16]; /* network order; IPv4 in the first 4 */
	__u16 client_port, server_port;
	__u32 seq, ack;
	__u32 payload; /* bytes, by the IP header */
	__u16 window;
	__u8 flags; /* as the TCP header has them */
	struct sw_tcpopts options;
	__u32 length; /* bytes on the wire, by the IP header; at least captured */
	__u32 captured;
	__u8 frame[SW_TRACE_FRAME_MAX];
};

#define SEGMENT_FIN 0x01
#define SEGMENT_SYN 0x02
#define SEGMENT_RST 0x04
#define SEGMENT_PSH 0x08
#define SEGMENT_ACK 0x10
#define SEGMENT_URG 0x20
#define SEGMENT_ECE 0x40
#define SEGMENT_CWR 0x80

/* Fills all that the frame tells; origin, frame and captured are set before. False: no TCP segment. */
bool segment_read(struct segment *s);

/* "SYN ACK" */
#define SEGMENT_FLAGS_TEXT 40
void segment_flags(__u8 flags, char text[SEGMENT_FLAGS_TEXT]);

/* "192.0.2.7:443", "[2001:db8::1]:443" */
#define SEGMENT_END_TEXT (INET6_ADDRSTRLEN + 8)
void segment_end(const struct segment *s, bool client, char text[SEGMENT_END_TEXT]);

#endif
