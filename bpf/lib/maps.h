/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The maps, and the one-liners that reach into them. headers/abi.h says who writes what. */
#ifndef SYNWARD_BPF_MAPS_H
#define SYNWARD_BPF_MAPS_H

#include "kernel.h"
#include "segment.h"
#include "../../headers/abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SW_COUNTERS);
	__type(key, __u32);
	__type(value, struct sw_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_config);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_secrets);
} secrets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_LISTENER_SLOTS); /* times the number of CPUs: set by the loader */
	__type(key, __u32);
	__type(value, struct sw_listener);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_CLOSED_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} closed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, SW_ROUTES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sw_route_key);
	__type(value, struct sw_route);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * SW_KNOWN_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} known SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_HANDED_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} handed SEC(".maps");

struct sw_walk_slot {
	struct bpf_timer timer;
	struct sw_walk walk;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_walk_slot);
} walk SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_info);
} info SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct sw_policy);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_SERVICES);
	__type(key, __u32);
	__type(value, struct sw_service_state);
} service_state SEC(".maps");

/* What an entry of `lists` looks like; the loader makes them as large as they need be. */
struct sw_list {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	/* By size: clang leaves a type named only in here undeclared, and libbpf cannot size it. */
	__uint(key_size, sizeof(struct sw_list_key));
	__uint(value_size, sizeof(__u32)); /* enum sw_listed */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SW_SERVICES);
	__type(key, __u32);
	__array(values, struct sw_list);
} lists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_BUCKETS);
	__type(key, __u32);
	__type(value, __u64);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SW_SERVICES);
	__type(key, __u32);
	__type(value, struct sw_rtt);
} rtt SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_ASKED_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} asked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SW_NOTICE_BYTES);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_NOTICE_KINDS);
	__type(key, __u32);
	__type(value, struct sw_notice_gate);
} notice_gates SEC(".maps");

enum sw_address {
	SW_ADDRESS_FOREIGN = 0,
	SW_ADDRESS_OWN,
	SW_ADDRESS_BROADCAST, /* of a network an interface is in */
};

/* A walk over the addresses of all interfaces of a namespace, one a step. */
struct sw_address_walk {
	struct net_device *dev;
	struct in_ifaddr *ifa;	    /* next IPv4 address of dev */
	struct list_head *ifa6;	    /* next IPv6 address of dev ... */
	struct list_head *ifa6_end; /* ... up to its list head */
	struct list_head *devs_end; /* head of the list of interfaces */
	/* The address found last; IPv4 ones as in struct sw_tuple. */
	__u64 addr_hi, addr_lo;
	__u32 broadcast; /* of an IPv4 address, 0: none */
	__u8 is_v6;
	/* What to do with it: look for one, or collect all in a filter. */
	__u8 wanted_v6, collect, found; /* found: enum sw_address */
	__u64 wanted_hi, wanted_lo;
	__u64 filter[SW_OWN_WORDS];
};

/*
 * What one CPU needs between frames, and scratch too large for the stack. Only softirqs
 * touch it, which do not interrupt each other.
 */
struct sw_budget {
	__u64 since_ns;
	__u32 used;
	__u32 pad;
};

#define SW_BUDGET_NS 1000000000ULL

/* One more of what may happen limit times a second on this CPU; false if it may not. */
static __always_inline bool sw_budget_spend(struct sw_budget *budget, __u32 limit, __u64 now_ns)
{
	if (now_ns - budget->since_ns > SW_BUDGET_NS) {
		budget->since_ns = now_ns;
		budget->used = 0;
	}
	if (budget->used >= limit)
		return false;
	budget->used++;
	return true;
}

#define SW_CHUNK 512 /* bytes, a power of two: bpf_csum_diff() takes no more on older kernels */

/* SYNs of one service, of the window that runs, not added to its state yet. */
struct sw_syns {
	__u32 window;
	__u32 count;
};

struct sw_local {
	struct sw_budget syns, lookups, known, skews, overwritten;
	struct sw_syns service_syns[SW_SERVICES];
	__u32 half_open; /* SYN_RECV sockets of the listener read last */
	__u32 pad;
	struct sw_optread read;
	struct sw_address_walk addresses;
	struct sw_packet packet; /* one that is not plain */
	struct sw_tuple asked;	 /* sw_tuple_kept() */
	struct sw_listener routed; /* a listener as a client behind a route with metrics sees it */
	__u8 chunk[SW_CHUNK + 4]; /* of a SYN's data */
	__u32 pad2;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_local);
} local SEC(".maps");

/* Nanoseconds of a tick of the kernel's (1e9 / HZ), set by the loader. */
const volatile __u64 sw_tick_ns = 4000000;

#define SW_THE(map)                                  \
	({                                           \
		__u32 zero_ = 0;                     \
		bpf_map_lookup_elem(&(map), &zero_); \
	})

/*
 * A copy for a function that is called: the packet's own tuple then never needs to be in
 * memory. NULL never, in practice.
 */
static __always_inline const struct sw_tuple *sw_tuple_kept(const struct sw_tuple *t)
{
	struct sw_local *mine = SW_THE(local);

	if (!mine)
		return NULL;
	mine->asked = *t;
	return &mine->asked;
}

/*
 * CLOCK_MONOTONIC to the tick, made from jiffies: one load, where the coarse clock is a
 * call and a sequence counter.
 */
static __always_inline __u64 sw_now_ns(const struct sw_walk *state)
{
	return bpf_jiffies64() * sw_tick_ns + state->clock_offset_ns;
}

static __always_inline void sw_count_event(enum sw_event event)
{
	struct sw_counters *c = SW_THE(counters);

	if (c)
		c->event[event]++;
}

#endif
