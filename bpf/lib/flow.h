/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Proxy mode's tables: flows, and connections that go on without one. */
#ifndef SYNWARD_BPF_FLOW_H
#define SYNWARD_BPF_FLOW_H

#include "packet.h"
#include "known.h"
#include "../../headers/flow.h"
#include "../../headers/translate.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SW_FLOWS_DEFAULT + SW_FLOWS_SPARE);
	__type(key, struct sw_tuple);
	__type(value, struct sw_flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SW_DIRECT_MAX);
	__type(key, __u64);
	__type(value, __u64);
} direct SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_proxy);
} proxy SEC(".maps");

/* The options of a SYN, as 32-bit words of memory. */
struct sw_syn {
	__u32 option[5], words;
};

/* What a segment's cookie says. */
struct sw_found {
	struct sw_tcpopts seen, agreed; /* the segment's options, and the connection's */
	__u32 isn;                      /* the client's */
	__u32 pad;
};

/* Scratch of one CPU. tc egress may run in a process, but never with softirqs between. */
struct sw_flow_scratch {
	struct sw_tuple key;
	struct sw_flow flow;
	struct sw_optwrite options;
	struct sw_optread answer;
	struct sw_syn syn;
	struct sw_found found;
	struct bpf_fib_lookup fib;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_flow_scratch);
} flow_scratch SEC(".maps");

/* The tuple as a map's key: its padding is 0 because nobody ever writes it. */
static __always_inline struct sw_tuple *sw_flow_key(struct sw_flow_scratch *mine,
						    const struct sw_tuple *t)
{
	mine->key.saddr_hi = t->saddr_hi;
	mine->key.saddr_lo = t->saddr_lo;
	mine->key.daddr_hi = t->daddr_hi;
	mine->key.daddr_lo = t->daddr_lo;
	mine->key.sport = t->sport;
	mine->key.dport = t->dport;
	mine->key.family_v6 = t->family_v6;
	return &mine->key;
}

/* The flow of a tuple, or NULL; one that was silent for too long is none. */
static __always_inline struct sw_flow *sw_flow_find(struct sw_flow_scratch *mine,
						    const struct sw_tuple *t, __u64 now_ns)
{
	struct sw_flow *f = bpf_map_lookup_elem(&flows, sw_flow_key(mine, t));

	return f && !sw_flow_expired(f, now_ns) ? f : NULL;
}

static __always_inline bool sw_direct_known(__u64 hash)
{
	return bpf_map_lookup_elem(&direct, &hash);
}

#define SW_BUDGET_UNPROVEN 1000 /* ACKs of connections that may be from before, a second and CPU */

/* An ACK of no flow and without a cookie. socket: of this machine's own, it has one. */
static __always_inline enum sw_reason sw_judge_direct(__u64 hash, bool socket, __u64 now_ns)
{
	struct sw_local *mine = SW_THE(local);

	if (socket || sw_direct_known(hash))
		return SW_DIRECT_SEGMENT;
	/* If the server has the connection, what it answers proves it. */
	return mine && sw_budget_spend(&mine->lookups, SW_BUDGET_UNPROVEN, now_ns)
		       ? SW_ACK_UNPROVEN
		       : SW_ACK_INVALID;
}

#define SW_DIRECT_RENEW_NS SW_NS_PER_S

/* A frame of the server: it has this connection. Reset, it has it no more. */
static __always_inline void sw_direct_note(struct sw_walk *state, __u64 hash, __u8 flags,
					   __u64 now_ns)
{
	__u64 *proved_ns = bpf_map_lookup_elem(&direct, &hash);

	if (flags & SW_RST) {
		if (proved_ns)
			bpf_map_delete_elem(&direct, &hash);
		return;
	}
	if (proved_ns && now_ns - *proved_ns < SW_DIRECT_RENEW_NS)
		return;
	if (!proved_ns)
		sw_count_event(SW_EV_DIRECT_PROVED);
	bpf_map_update_elem(&direct, &hash, &now_ns, BPF_ANY);
	/* A SYN on it is then looked up instead of answered. */
	sw_known_add(state, hash);
}

#endif
