/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the programs in the kernel and the loader share: the lists of verdicts and
 * events, and the values of the maps. Map values are wire formats: fixed width, no
 * hidden padding, host byte order unless a type says otherwise.
 */
#ifndef SYNWARD_ABI_H
#define SYNWARD_ABI_H

#include <linux/types.h>

#include "cookie.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "synward reads headers as little-endian words; big-endian machines are not supported"
#endif

/* Raised whenever a map below changes shape; maps of another ABI are not reused. */
#define SW_ABI 7

enum sw_reason {
#define SW_REASON(name, action, text) SW_##name,
#include "reason.def"
#undef SW_REASON
	SW_REASON_COUNT
};

enum sw_event {
#define SW_EVENT(name, text) SW_EV_##name,
#include "event.def"
#undef SW_EVENT
	SW_EVENT_COUNT
};

/*
 * map `counters`, per CPU. Written by XDP and tc, read by everybody. Entry 0: frames that
 * reached no service, and what is not a service's. Entry SW_COUNTERS_SERVICE + s: frames
 * of the service in slot s. These add up to all frames. Beside them, in entry
 * SW_COUNTERS_WOULD + s: the verdicts its frames would have got while it only monitors.
 */
struct sw_counters {
	__u64 verdict[SW_REASON_COUNT]; /* frames */
	__u64 event[SW_EVENT_COUNT];
};

#define SW_SERVICES	    64
#define SW_COUNTERS_SERVICE 1
#define SW_COUNTERS_WOULD   (SW_COUNTERS_SERVICE + SW_SERVICES)
#define SW_COUNTERS	    (SW_COUNTERS_WOULD + SW_SERVICES)

#define SW_PORT_WORDS (65536 / 64)

/*
 * map `config`, one entry. Written by the loader in one update; read by XDP when it
 * reads a listener, and its scalars on each frame.
 */
struct sw_config {
	__u32 generation;      /* raised with each change: cached listener profiles of another one are stale */
	__u32 rmem_max;	       /* bytes, net.core.rmem_max: no symbol BPF could read it from */
	__u64 epoch_offset_ns; /* added to CLOCK_MONOTONIC it makes the clock epochs are counted on */
	__u32 routes;	       /* 1: map `routes` is to be asked */
	__u16 policy;	       /* entry of map `services` that counts: 0 or 1 */
	__u16 beside_nat;      /* 1: host path, listeners that NAT looks at are guarded as well */
	__u64 port[SW_PORT_WORDS]; /* bit p: port p is guarded if something listens there */
};

/* Of a service, within map `services`. */
enum sw_mode {
	SW_MODE_OFF = 0, /* nothing is looked at */
	SW_MODE_MONITOR, /* counts what would be done, touches nothing */
	SW_MODE_ALWAYS,	 /* answers every SYN */
	SW_MODE_AUTO,	 /* answers while the service is under attack */
};

/*
 * Of a service, within map `services`: how connections to listeners of this machine's own
 * get their socket where the guard is on the proxy path. On the others there is but one way.
 */
enum sw_service_path {
	SW_SERVICE_AUTO = 0, /* handed over where that can be, else translated; sw_policy.translated */
	SW_SERVICE_HOST,     /* handed over to the listener; nothing else is guarded */
	SW_SERVICE_PROXY,    /* translated, as those of other machines */
};

struct sw_service {
	__u8 addr[16];		/* network order; IPv4 as ::ffff:a.b.c.d; all zero, length 0: any */
	__u8 prefix_length;	/* of addr, 0 to 128; an IPv4 prefix is 96 longer */
	__u8 mode;		/* enum sw_mode */
	__u8 path;		/* enum sw_service_path */
	__u8 pad;
	__u16 port_first, port_last; /* host order, both included */
	__u32 syn_start, syn_end; /* auto: SYNs a second, of all CPUs, that arm and that disarm; 0: not looked at */
	__u32 half_open_start, half_open_end; /* auto: SYN_RECV sockets of one listener, likewise */
	__u32 hold_ms;		/* auto: below both ends for this long before it disarms */
	__u32 synack_limit;	/* SYN-ACKs a second to one source prefix (/24, /64); 0: none */
	__u32 handshake_limit;	/* valid ACKs a second from one source address; 0: none */
	char name[32];		/* ends with \0; unique */
};

/*
 * map `services`, two entries: what is guarded, and how. sw_config.policy says which one
 * counts; the loader writes the other one and switches. A service keeps its slot for as
 * long as its name is there, so counters and state stay its own across changes. Read by
 * XDP when it reads a listener, and on frames of services that are not simply `always`.
 */
struct sw_policy {
	__u64 lists;   /* bit s: map `lists` has a trie for slot s */
	__u64 watched; /* bit s: slot s is in mode auto */
	__u64 translated; /* bit s: slot s hands nothing over: SW_SERVICE_PROXY, or auto that lost connections so */
	__u64 off_since_ns[SW_SERVICES]; /* CLOCK_MONOTONIC; mode off: cookies of before are good for their lifetime */
	__u32 count;
	__u32 pad;
	__u8 order[SW_SERVICES]; /* slots; of those that match a listener the first counts */
	struct sw_service service[SW_SERVICES]; /* by slot */
};

enum sw_armed_by {
	SW_ARMED_BY_SYN_RATE = 1,
	SW_ARMED_BY_HALF_OPEN,
};

/*
 * map `service_state`, by slot: how a service in mode auto stands. Written by XDP and the
 * timer; the loader clears it when a slot gets another service or leaves mode auto.
 * Words "of a window" are | 63 number of the window 32 | 31 value 0 | (headers/rate.h).
 */
struct sw_service_state {
	__u32 armed;	/* 1: SYNs are answered with cookies */
	__u32 armed_by; /* enum sw_armed_by, of the last time */
	__u64 since_ns; /* CLOCK_MONOTONIC: armed or disarmed since; 0: never was armed */
	__u64 arms;	/* times armed */
	__u64 calm_since_ns; /* timer: below all ends since then; 0: is not */
	__u64 slow_now, slow_before; /* timer: of a window of a second: SYNs of all CPUs */
	__u64 pad[2];
	/* A cache line of its own: each SYN of a flood may write here. */
	__u64 syns_now, syns_before; /* of a window: SYNs of all CPUs */
	__u64 half_open_now, half_open_before; /* of a window: most SYN_RECV sockets of a listener */
	__u64 syns, valid; /* SYNs and valid ACKs, totals */
	__u64 unanswered;  /* timer: SYNs a second less valid ACKs, smoothed, 1/256ths */
	__u32 syns_then, valid_then; /* timer: totals at its last look */
};
_Static_assert(sizeof(struct sw_service_state) == 128, "two cache lines");

/*
 * map `lists`, by slot: a trie of the prefixes a service allows or denies, made and
 * replaced whole by the loader. The longest prefix that holds the source counts.
 */
struct sw_list_key {
	__u32 prefix_length; /* of addr; an IPv4 prefix is 96 longer */
	__u8 addr[16];	     /* network order; IPv4 as ::ffff:a.b.c.d */
};

enum sw_listed {
	SW_LISTED_ALLOW = 1, /* its SYNs go to the kernel */
	SW_LISTED_DENY,	     /* its SYNs are dropped */
};

/*
 * map `buckets`, direct-mapped: what one source prefix (SYN-ACKs) or one source address
 * (handshakes) of one service has used up (headers/bucket.h). Full, or two sources in one
 * place: the later one overwrites, the earlier one starts anew. Fails open: a source is
 * never refused because of another, and who wants to wash a limit away needs some
 * SW_BUCKETS forged sources for each time.
 */
#define SW_BUCKETS (1U << 16) /* 512 KiB */

/*
 * map `rtt`, per CPU, by slot: time from a SYN-ACK to the ACK that brings its cookie, of one
 * in SW_RTT_SAMPLE handshakes: TSval has 256 ms steps under its option bits, far too
 * coarse, so XDP remembers when it answered some tuples (map `asked`, direct-mapped; the
 * later one overwrites).
 */
#define SW_RTT_BUCKETS 28 /* bucket b: below 2^(b+1) microseconds; the last one: all above as well */
#define SW_RTT_SAMPLE  64
#define SW_ASKED_SLOTS (1U << 13) /* 64 KiB: half a second of a million SYNs a second */

struct sw_rtt {
	__u64 bucket[SW_RTT_BUCKETS]; /* handshakes */
	__u64 sum_us;
};

/* ring buffer `events`: struct sw_notice, written by XDP, tc and the timer; one reader at a time. */
#define SW_NOTICE_BYTES	  (1U << 16)
#define SW_NOTICE_VERSION 1

enum sw_notice_kind {
#define SW_NOTICE(name, text, first, second, third) SW_NOTICE_##name,
#include "notice.def"
#undef SW_NOTICE
	SW_NOTICE_KINDS
};

struct sw_notice {
	__u16 size;   /* bytes, of all: a newer writer's may be longer */
	__u8 version; /* SW_NOTICE_VERSION */
	__u8 kind;    /* enum sw_notice_kind */
	__u32 unsent; /* of this kind, left out since the last one: too many, or the ring was full */
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 detail;  /* ARMED: enum sw_armed_by */
	__u32 pad;
	__u64 figure[3]; /* what notice.def says */
	char service[32]; /* its name; "": none */
};

/* map `notice_gates`, by kind: so that no flood floods the log (bpf/lib/notice.h). */
struct sw_notice_gate {
	__u64 until_ns; /* CLOCK_MONOTONIC: none before then */
	__u64 unsent;	/* left out since the last one */
};

/* map `secrets`, one entry, never pinned. Written by the loader, read by XDP. */
struct sw_secrets {
	struct sw_secret cookie;
	__u64 hash_seed[2];  /* tuple hash: presence filter, hand-off table, profile cache, flows */
};

/*
 * map `listeners`: what a SYN-ACK for (address, port) looks like. A direct-mapped
 * cache for each CPU, filled from the kernel's own listener by bpf/lib/listener.h.
 * Full cannot happen: a collision overwrites, the loser is read again.
 */
#define SW_LISTENER_BITS  10
#define SW_LISTENER_SLOTS (1U << SW_LISTENER_BITS) /* for each CPU */

/*
 * map `closed`, by port: an address on which nothing is to be guarded at that port, and
 * when that was found (bpf/lib/listener.h). It spares a flood over all ports, which no
 * cache of listeners can hold, the look at the socket table. Full cannot happen: each port
 * has its place; of two addresses the later one has it.
 */
#define SW_CLOSED_SLOTS 65536

enum sw_listener_state {
	SW_LISTENER_NONE = 0, /* nothing to guard: pass */
	SW_LISTENER_OPEN,     /* answer */
	SW_LISTENER_FULL,     /* accept queue full: drop SYNs */
	SW_LISTENER_UNSEEN,   /* proxy mode: to be guarded, but no SYN-ACK of it was seen yet: pass */
};

#define SW_LF_SACK   0x01 /* net.ipv4.tcp_sack */
#define SW_LF_TSTAMP 0x02 /* net.ipv4.tcp_timestamps */
#define SW_LF_WSCALE 0x04 /* net.ipv4.tcp_window_scaling */
#define SW_LF_ECN    0x08 /* net.ipv4.tcp_ecn */
#define SW_LF_SIGNED 0x10 /* listener holds TCP-MD5 or TCP-AO keys */
#define SW_LF_REFLECT_TOS 0x20 /* net.ipv4.tcp_reflect_tos */
#define SW_LF_ANY_MAC 0x40 /* a bridge, bond or macvlan sorts the frames: not only to our MAC */

#define SW_WF_RCVBUF_LOCKED  0x01
#define SW_WF_SIGNED_WINDOWS 0x02
#define SW_WF_DRAINING	     0x04 /* proxy mode: takes no new connections */
#define SW_WF_HANDED	     0x08 /* proxy mode: a listener of our own, whose connections are handed over */
#define SW_WF_UNSETTLED	     0x10 /* proxy mode: read by tc, which does not look for listeners of our own */

#define SW_LS_SLOT (SW_SERVICES - 1)
#define SW_LS_ASK  0x80 /* mode other than always, a list or a limit: bpf/lib/service.h is asked */
#define SW_LS_AUTO 0x40 /* with SW_LS_ASK: mode auto without lists and limits */

struct sw_listener {
	__u64 addr_hi, addr_lo;	  /* as in struct sw_tuple */
	__u64 fresh_until_ns;	  /* CLOCK_MONOTONIC */
	__u32 generation;	  /* sw_config.generation it was read under */
	__u16 port;		  /* host order */
	__u8 state;		  /* enum sw_listener_state */
	__u8 flags;		  /* SW_LF_* */
	__u16 mss;		  /* ours, bytes */
	__u16 user_mss;		  /* TCP_MAXSEG, 0: not set */
	__u16 window[2];	  /* bytes, unscaled; [1] if timestamps are agreed on */
	__u8 mac[6];		  /* the interface's */
	__u8 wscale[2];		  /* ours; [1] if timestamps are agreed on */
	union {
		__u32 full_space; /* as in struct sw_window_in */
		__u32 learn;	  /* proxy mode: SW_LF_* that a SYN is let through to learn about */
	};
	__u32 clamp, rmem_max; /* as in struct sw_window_in */
	__u8 window_flags;	  /* SW_WF_* */
	__u8 ttl;
	__u8 tos;
	__u8 service;		  /* slot, SW_LS_ASK, SW_LS_AUTO */
};
_Static_assert(sizeof(struct sw_listener) == 64, "a listener is one cache line");

/*
 * map `routes`, a longest-prefix match: what the client's route has to say about its
 * SYN-ACK. Empty, and never asked, unless a route of the main table has metrics that
 * matter. Written by the loader at each attach. Full: the rest counts as without metrics.
 */
#define SW_ROUTES_MAX 4096

struct sw_route_key {
	__u32 prefix_length; /* of addr; an IPv4 prefix is 96 longer */
	__u8 addr[16];	     /* network order; IPv4 as ::ffff:a.b.c.d */
};

struct sw_route { /* 0: the route does not say */
	__u32 mtu;	/* bytes */
	__u32 advmss;	/* bytes */
	__u32 window;	/* bytes */
	__u32 initrwnd; /* segments */
	__u32 hoplimit;
};

/*
 * map `known`: the presence filter, two generations of up to SW_KNOWN_WORDS words, of
 * which sw_walk.current is asked. It says "no socket has this tuple" or "maybe". Each
 * rebuild uses as many words as there are sockets, twice over, and one for four tuples that
 * frames marked meanwhile (flows, which are no sockets), so that it stays in the
 * CPU's cache where it can. A full filter says maybe to everything: SYNs then cost a
 * socket lookup and stray ACKs reach the kernel; nothing is refused wrongly.
 */
#define SW_KNOWN_WORDS	   (1U << 18) /* 2 MiB a generation */
#define SW_KNOWN_WORDS_MIN (1U << 14) /* 128 KiB: one wrong maybe in 10,000 at 10,000 sockets */

/*
 * map `handed`: tuples handed over or answered again lately, direct-mapped, one
 * 64-bit word each (bpf/lib/known.h). A collision overwrites: the loser's connection
 * is treated as established from then on.
 */
#define SW_HANDED_SLOTS (1U << 16) /* 512 KiB */

#define SW_OWN_BITS  10
#define SW_OWN_WORDS ((1U << SW_OWN_BITS) / 64)

enum sw_walk_phase {
	SW_WALK_IDLE = 0, /* next tick starts to clear the other generation */
	SW_WALK_CLEAR,
	SW_WALK_SOCKETS,
};

/* map `walk`, one entry, behind its struct bpf_timer. Written by the timer and synward_start. */
struct sw_walk {
	__u64 clock_offset_ns; /* CLOCK_MONOTONIC less jiffies * tick; written by synward_start */
	__u64 net;	   /* kernel address of the network namespace guarded */
	__u32 current;	   /* generation that is asked: 0 or 1 */
	__u32 building;	   /* 1: hand-overs mark the other generation as well */
	__u32 phase;	   /* enum sw_walk_phase */
	__u32 position;	   /* next word to clear or next bucket to walk */
	__u32 abandoned;   /* 1: this walk missed something, do not switch */
	__u32 sockets;	   /* of our namespace, counted by this walk */
	__u32 mask[2];	   /* of each generation: words in use, a power of two, less 1 */
	__u32 ticks;	   /* since the timer was started */
	__u32 added;	   /* tuples marked by XDP and tc in the generation built last */
	__u64 own[SW_OWN_WORDS]; /* filter of this namespace's unicast and broadcast addresses */
};

/*
 * Proxy mode. map `proxy`, one entry: what is fixed for all of it. Written by the loader,
 * read by XDP and tc.
 */
struct sw_proxy {
	__u32 targets;	  /* 1: map `targets` says which addresses are guarded; 0: our own */
	__u32 ports_auto; /* 1: a service is guarded once a SYN-ACK of it was seen */
	__u32 draining;	  /* 1: new connections pass, flows go on */
	__u32 generic;	  /* 1: frames put into ingress pass XDP again */
	__u32 forward;	  /* ifindex that segments of routed flows leave by; 0: up the stack */
	__u32 guarded;	  /* ifindex of the guarded interface */
	__u16 changed;	  /* 1: not the first settings; there may be flows of what is guarded no longer */
	__u16 after_gro;  /* 1: our program is on tc ingress and translates large data (bpf/lib/behind.h) */
	__u32 hands_over; /* 1: the kernel can, and our program is on tc ingress: listeners of our own need no flow */
	__u32 flow_sets_mask; /* sets of map `flows`, a power of two, less one */
};

/* map `targets`, a longest-prefix match without value: struct sw_route_key as key. Written by the loader. */
#define SW_TARGETS_MAX 1024

/*
 * map `servers`, an LRU hash: what is known of the service at (address, port), from its
 * SYN-ACKs. Written by tc egress; by XDP where it lets a SYN through to learn more.
 */
#define SW_SERVERS_MAX 4096

struct sw_server_key {
	__u64 addr_hi, addr_lo; /* as in struct sw_tuple */
	__u32 port;		/* host order */
	__u32 family_v6;
};

struct sw_server {
	__u64 seen_ns;	/* its last SYN-ACK, CLOCK_MONOTONIC to the tick; 0: none yet */
	__u64 asked_ns; /* when a SYN was let through last to learn from its answer */
	__u64 asked_hash; /* sw_tuple_hash() of that SYN */
	__u16 mss;	/* bytes */
	__u8 asked;	/* SW_LF_SACK, _TSTAMP, _WSCALE, _ECN: offered by that SYN */
	__u8 known;	/* of the same: it is known whether the server has it */
	__u8 has;	/* of the same */
	__u8 wscale;	/* if SW_LF_WSCALE */
	__u8 ttl;	/* on this wire */
	__u8 pad;
};

/*
 * map `direct`, an LRU hash from sw_tuple_hash() to the time a server's frame proved the
 * connection last (CLOCK_MONOTONIC, ns): connections to guarded services that are not
 * translated, from before attach or handed to the server with their SYN. Written by tc
 * egress. Full: what is forgotten is proved again by the server's next frame.
 */
#define SW_DIRECT_MAX (1U << 16)

/* map `info`, one entry: what is attached here, for status. Written by the loader. */
struct sw_info {
	__u32 abi;
	__u32 ifindex;
	__u64 netns_inode;
	__u64 attached_at_ns;  /* CLOCK_REALTIME */
	__u32 xdp_mode;	       /* enum sw_xdp_mode */
	__u32 attach_kind;     /* enum sw_attach_kind */
	__u32 tc_kind;	       /* enum sw_tc_kind */
	__u32 ports_auto;      /* 1: whatever listens */
	__u32 path;	       /* enum sw_path */
	__u32 syncookies_before; /* net.ipv4.tcp_syncookies to put back, plus 1; 0: not ours */
	__u32 forward;	       /* ifindex of the --forward interface; 0: none */
	__u32 pad;
	char version[32];
};

enum sw_xdp_mode { SW_XDP_NATIVE = 1, SW_XDP_GENERIC };
enum sw_attach_kind { SW_ATTACH_LIBXDP = 1, SW_ATTACH_LINK };
enum sw_tc_kind { SW_TC_NONE, SW_TC_TCX, SW_TC_CLSACT };

/* How a validated connection gets its socket; each is a file of bpf/ and an object of its own. */
enum sw_path {
	SW_PATH_HOST = 1, /* our cookie, and tc ingress gives the ACK to the listener */
	SW_PATH_COMPAT,	  /* the kernel's own cookie, and the ACK goes up the stack */
	SW_PATH_PROXY,	  /* our cookie, and the ACK goes up the stack as a SYN */
	SW_PATHS
};

#endif
