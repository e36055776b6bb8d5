/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What `synward trace` and `synward top` ask of the XDP program while they run, and what
 * they get. Map values: fixed width, no hidden padding, host byte order unless said.
 */
#ifndef SYNWARD_TRACE_H
#define SYNWARD_TRACE_H

#include "abi.h"

#define SW_TRACE_SEGMENTS 0x01 /* trace: segments into the ring `trace_ring` */
#define SW_TRACE_SAMPLE	  0x02 /* top: sources into `trace_cpu` */

#define SW_TRACE_RING_BYTES (256 * 1024)
#define SW_TRACE_FRAME_MAX  192 /* bytes of a frame kept: two tags, IPv6, TCP's longest header, and to spare */

/* What a tracer wants to see. Addresses and masks as in struct sw_tuple. */
struct sw_trace_filter {
	__u64 addr_hi, addr_lo, mask_hi, mask_lo; /* of clients; masks 0: all */
	__u16 port;	/* the server's; 0: all */
	__u8 family;	/* 4, 6; 0: both */
	__u8 unguarded; /* 1: also what is left alone for want of a guarded listener */
	__u32 rate;	/* segments a second and CPU, of those proven and of the rest each */
};

/*
 * map `trace`, one entry, mapped into memory by its writers. on is read on each frame;
 * nothing else is while it is 0. A tracer sets its bit and renews its time; the XDP
 * program clears the bit of one that did not: a killed tracer costs nothing for long.
 */
struct sw_trace {
	__u32 on; /* SW_TRACE_*; changed bit by bit, by both sides */
	__u32 owner_pid; /* who holds SW_TRACE_SEGMENTS */
	__u64 segments_until_ns, sample_until_ns; /* CLOCK_MONOTONIC */
	struct sw_trace_filter filter;
};
_Static_assert(sizeof(struct sw_trace) == 64, "one cache line");

enum sw_trace_kind {
	SW_TRACE_RECEIVED = 0, /* as it came in, with its verdict */
	SW_TRACE_ANSWERED,     /* what XDP sent back for it */
};

/* A record of `trace_ring`. */
struct sw_trace_record {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 captured; /* bytes of frame that count */
	__u16 reason; /* enum sw_reason */
	__u16 kind; /* enum sw_trace_kind */
	__u8 frame[SW_TRACE_FRAME_MAX];
};
_Static_assert(sizeof(struct sw_trace_record) == 16 + SW_TRACE_FRAME_MAX, "no hidden padding");

/* In the middle of a connection, or of what nobody guards: common, and seldom of interest. */
static __always_inline int sw_trace_is_ongoing(__u32 reason)
{
	return reason == SW_KNOWN || reason == SW_ACK_BEHIND_VALID || reason == SW_FLOW_SEGMENT ||
	       reason == SW_DIRECT_SEGMENT || reason == SW_NOT_GUARDED;
}

/* Of no connection yet, and maybe never: what a flood is made of. */
static __always_inline int sw_trace_is_unproven(__u32 reason)
{
	return !sw_trace_is_ongoing(reason) && reason != SW_ACK_VALID && reason != SW_FLOW_OPENED &&
	       reason != SW_OTHER_TRAFFIC && reason != SW_LATER_FRAGMENT && reason != SW_TRUNCATED;
}

#define SW_SAMPLES	 512
#define SW_SAMPLE_GAP_NS 2000000ULL /* of one CPU, at least */

/* A segment that belongs to no connection yet, or never will. */
struct sw_sample {
	__u64 addr_hi, addr_lo; /* source, as in struct sw_tuple */
	__u16 port;   /* destination's */
	__u16 reason; /* enum sw_reason */
	__u16 family_v6;
	__u16 pad;
};

struct sw_trace_rate {
	__u64 since_ns;
	__u32 used, pad;
};

/* map `trace_cpu`, per CPU, one entry: written by XDP. */
struct sw_trace_cpu {
	__u64 lost_rate, lost_ring; /* segments wanted but not told: over the rate; ring full */
	struct sw_trace_rate proven, rest;
	__u64 sampled_ns; /* CLOCK_MONOTONIC, the last sample */
	__u64 unproven;	  /* frames seen that could have been a sample, while sampling is on */
	__u32 wanted;	  /* SW_TRACE_*: what the frame in hand is for */
	__u32 samples;	  /* taken so far; the last is at (samples - 1) % SW_SAMPLES */
	struct sw_sample source; /* of the frame in hand */
	struct sw_trace_record record;
	struct sw_sample sample[SW_SAMPLES];
};

#endif
