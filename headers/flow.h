/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A flow of proxy mode: one validated connection whose two ends count differently. What
 * its entry holds, what moves its state, and when it is forgotten. Pure: the clock is an
 * argument.
 *
 *            client's ACK brings a cookie
 *                        |
 *                    SYN_SENT ------- server refuses ---------> RESET
 *                        | server's SYN-ACK                       ^
 *                   ESTABLISHED ------ RST of either side --------+
 *              FIN of the  |  | FIN of the                        |
 *              client      |  | server                            |
 *            CLIENT_DONE --+  +-- SERVER_DONE                     |
 *              FIN of the  |  | FIN of the                        |
 *              server      |  | client                            |
 *                         CLOSING --------------------------------+
 *                            | both FINs acknowledged
 *                        TIME_WAIT
 */
#ifndef SYNWARD_FLOW_H
#define SYNWARD_FLOW_H

#include <linux/types.h>

#include "siphash.h"

enum sw_flow_end { SW_CLIENT = 0, SW_SERVER };

#define SW_FLOW_FIN 0x01       /* this end has sent its FIN */
#define SW_FLOW_FIN_ACKED 0x02 /* this end has acknowledged the other's FIN */
#define SW_FLOW_RST 0x04       /* this end has reset the connection */
#define SW_FLOW_GONE 0x08      /* the server: an ICMP error said that it cannot be reached */

/* What one end has said. Numbers as the client counts them. */
struct sw_flow_side {
	__u64 packets; /* segments; GSO frames of tc egress count once */
	__u32 acked;   /* the acknowledgement it sent last */
	__u32 fin_end; /* number behind its FIN, if SW_FLOW_FIN */
	__u64 bytes;   /* TCP payload */
};

/* Agreed with the client, or not (headers/tcpopts.h); and what the server then has. */
#define SW_FF_SACK 0x01
#define SW_FF_TSTAMP 0x02
#define SW_FF_ECN 0x04
#define SW_FF_ROUTED 0x08 /* its SYN-ACK came in at the --forward interface, addresses unchanged */
#define SW_FF_SERVER_SACK 0x10
#define SW_FF_SERVER_TSTAMP 0x20
#define SW_FF_SERVER_ECN 0x40
#define SW_FF_ANSWERED 0x80 /* the server's SYN-ACK was seen: the differences are known */

/* Time in a flow: units of 2^24 ns (16.8 ms) of CLOCK_MONOTONIC. They wrap after 2.2 years. */
#define SW_FLOW_TIME_BITS 24

static __always_inline __u32 sw_flow_time(__u64 now_ns)
{
	return (__u32)(now_ns >> SW_FLOW_TIME_BITS);
}

/* ns since then; 0 if it is yet to come: another CPU's clock may be a tick ahead. */
static __always_inline __u64 sw_flow_since_ns(__u32 then, __u64 now_ns)
{
	__u32 passed = sw_flow_time(now_ns) - then;

	return (__s32)passed < 0 ? 0 : (__u64)passed << SW_FLOW_TIME_BITS;
}

/*
 * [SW_CLIENT] is written by XDP and tc ingress, [SW_SERVER] by tc egress and by the program on
 * the --forward interface. With its tuple it fills two cache lines (flowset.h).
 */
struct sw_flow {
	__u32 seen; /* the last segment of either side, sw_flow_time() */
	union {
		__u32 seq_delta; /* cookie less the server's ISN: added to what the server counts */
		__u32 syn_ms;    /* before its answer: when it got the last SYN, sw_clock_ms() */
	};
	__u32 ts_delta;     /* ts_told less the server's TSval: added to what the server stamps */
	__u16 window[2];    /* as it stood in that end's last segment, not scaled */
	__u8 bits[2];       /* SW_FLOW_* */
	__u8 flags;         /* SW_FF_* */
	__u8 server_wscale; /* the server's own, or SW_WSCALE_NONE */
	__u32 opened;       /* as seen */
	struct sw_flow_side side[2];
	__u32 client_isn;
	__u32 cookie;         /* ISN that the client takes for the server's */
	__u32 ts_told;        /* TSval of our SYN-ACK */
	__u16 mss;            /* the client's, bytes */
	__u8 client_wscale;   /* 0 to 14, or SW_WSCALE_NONE: agreed with the client */
	__u8 told_wscale : 4; /* the server's, as the client was told; 0 if none */
	__u8 syns : 4;        /* SYNs sent to the server */
};
_Static_assert(sizeof(struct sw_flow) == 88, "two cache lines with its tuple");

enum sw_flow_state {
	SW_FLOW_SYN_SENT = 0,
	SW_FLOW_ESTABLISHED,
	SW_FLOW_CLIENT_DONE, /* half-closed by the client */
	SW_FLOW_SERVER_DONE, /* half-closed by the server */
	SW_FLOW_CLOSING,     /* both FINs sent, not both acknowledged */
	SW_FLOW_TIME_WAIT,
	SW_FLOW_RESET,
	SW_FLOW_STATES
};

static __always_inline enum sw_flow_state sw_flow_state(const struct sw_flow *f)
{
	__u8 client = f->bits[SW_CLIENT], server = f->bits[SW_SERVER];

	if ((client | server) & SW_FLOW_RST)
		return SW_FLOW_RESET;
	if (!(f->flags & SW_FF_ANSWERED))
		return SW_FLOW_SYN_SENT;
	if (client & server & SW_FLOW_FIN)
		return client & server & SW_FLOW_FIN_ACKED ? SW_FLOW_TIME_WAIT : SW_FLOW_CLOSING;
	if (client & SW_FLOW_FIN)
		return SW_FLOW_CLIENT_DONE;
	return server & SW_FLOW_FIN ? SW_FLOW_SERVER_DONE : SW_FLOW_ESTABLISHED;
}

#define SW_NS_PER_S 1000000000ULL

/*
 * How long a flow may be silent. RFC 5382 5 asks a NAT for 2 h 4 min of an established
 * connection, and 4 min of one that opens or closes; nf_conntrack gives the former 5
 * days, and a full table forgets anyway.
 */
static __always_inline __u64 sw_flow_timeout_ns(enum sw_flow_state state)
{
	switch (state) {
	case SW_FLOW_ESTABLISHED:
		return 5 * 86400 * SW_NS_PER_S;
	case SW_FLOW_CLIENT_DONE:
	case SW_FLOW_SERVER_DONE: /* data may flow one way for long */
		return 7440 * SW_NS_PER_S;
	case SW_FLOW_SYN_SENT:
	case SW_FLOW_CLOSING:
		return 240 * SW_NS_PER_S;
	case SW_FLOW_TIME_WAIT:
		return 60 * SW_NS_PER_S;
	default: /* for what is still under way */
		return 10 * SW_NS_PER_S;
	}
}

/* True if the entry is to be treated as not there. */
static __always_inline int sw_flow_expired(const struct sw_flow *f, __u64 now_ns)
{
	return sw_flow_since_ns(f->seen, now_ns) > sw_flow_timeout_ns(sw_flow_state(f));
}

/* True if a new connection of the tuple may take its place: it has not begun, or is over. */
static __always_inline int sw_flow_replaceable(const struct sw_flow *f)
{
	enum sw_flow_state state = sw_flow_state(f);

	return state == SW_FLOW_SYN_SENT || state >= SW_FLOW_TIME_WAIT;
}

/* One segment, or those that one frame holds, in the client's numbers. */
struct sw_flow_event {
	__u32 segments; /* to be counted */
	__u32 seq, ack;
	__u32 bytes;  /* payload */
	__u16 window; /* raw */
	__u8 fin, rst, has_ack;
};

#define SW_FLOW_REACH (1U << 30) /* no window is larger (RFC 7323 2.2) */

/*
 * Notes what `end` has just said. A RST of the client counts only where the server takes
 * it at once (RFC 5961 3.2): its number is the one the server acknowledged last; any other
 * is the server's to challenge. A FIN counts only where it can lie in the server's window.
 */
static __always_inline void sw_flow_note(struct sw_flow *f, enum sw_flow_end end,
					 const struct sw_flow_event *e, __u64 now_ns)
{
	struct sw_flow_side *mine = &f->side[end];
	const struct sw_flow_side *other = &f->side[!end];

	mine->packets += e->segments;
	if (e->bytes)
		mine->bytes += e->bytes;
	if (f->seen != sw_flow_time(now_ns))
		f->seen = sw_flow_time(now_ns);
	if (e->rst) {
		if (end == SW_SERVER || e->seq == other->acked)
			f->bits[end] |= SW_FLOW_RST;
		return;
	}
	if (e->has_ack) {
		mine->acked = e->ack;
		f->window[end] = e->window;
		if (f->bits[!end] & SW_FLOW_FIN && (__s32)(e->ack - other->fin_end) >= 0)
			f->bits[end] |= SW_FLOW_FIN_ACKED;
	}
	if (e->fin && !(f->bits[end] & SW_FLOW_FIN) &&
	    e->seq - other->acked + SW_FLOW_REACH < 2 * SW_FLOW_REACH) {
		mine->fin_end = e->seq + e->bytes + 1;
		f->bits[end] |= SW_FLOW_FIN;
	}
}

#endif
