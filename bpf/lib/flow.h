/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Proxy mode's tables: flows, and connections that go on without one. */
#ifndef SYNWARD_BPF_FLOW_H
#define SYNWARD_BPF_FLOW_H

#include "packet.h"
#include "known.h"
#include "../../headers/flowset.h"
#include "../../headers/translate.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_FLOW_SETS_DEFAULT);
	__uint(map_flags, BPF_F_MMAPABLE); /* for user space; and so it begins at a page */
	__type(key, __u32);
	__type(value, struct sw_flow_set);
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
	struct sw_flow flow;
	struct sw_optwrite options;
	struct sw_optread answer;
	struct sw_syn syn;
	struct sw_found found;
	struct bpf_fib_lookup fib;
	__u64 rank[1 + SW_FLOW_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_flow_scratch);
} flow_scratch SEC(".maps");

static __always_inline struct sw_flow_set *sw_flow_set_of(__u64 hash)
{
	struct sw_proxy *p = SW_THE(proxy);
	__u32 at;

	if (!p)
		return NULL;
	at = sw_flow_set_number(hash, p->flow_sets_mask);
	return bpf_map_lookup_elem(&flows, &at);
}

/* What the table holds of a tuple, though it were silent for too long, or NULL. */
static __always_inline struct sw_flow *sw_flow_held(const struct sw_tuple *t, __u64 hash)
{
	struct sw_flow_set *set = sw_flow_set_of(hash);
	__u32 way = sw_flow_home(hash);

	if (!set)
		return NULL;
	if (!sw_flow_place_is(&set->place[way], t)) {
		way = sw_flow_tagged(set, hash);
		if (!sw_flow_place_is(&set->place[way], t))
			return NULL;
	}
	return &set->place[way].flow;
}

/* The flow of a tuple, or NULL; one that was silent for too long is none. */
static __always_inline struct sw_flow *sw_flow_find(const struct sw_tuple *t, __u64 hash,
						    __u64 now_ns)
{
	struct sw_flow *f = sw_flow_held(t, hash);

	return f && !sw_flow_expired(f, now_ns) ? f : NULL;
}

#define SW_BUSY_TRIES 100 /* another CPU is done with a set in a tenth of that */

/* Only who takes or leaves a place waits, and not for long. False: in vain. */
static __always_inline bool sw_flow_set_lock(struct sw_flow_set *set)
{
	int i;

	for (i = 0; i < SW_BUSY_TRIES; i++) {
		if (!__sync_val_compare_and_swap(&set->busy, 0, 1))
			return true;
	}
	return false;
}

/* Writes before it are seen before those behind it: an atomic that returns a value is a barrier. */
static __always_inline void sw_flow_set_order(struct sw_flow_set *set)
{
	volatile __u32 ignored = __sync_fetch_and_add(&set->ordered, 0);

	(void)ignored;
}

static __always_inline void sw_flow_set_unlock(struct sw_flow_set *set)
{
	sw_flow_set_order(set);
	*(volatile __u32 *)&set->busy = 0;
}

/* The flow in flow_scratch into the table, instead of any its tuple had. 0 if its set is busy. */
__noinline int sw_flow_put(const struct sw_tuple *t, __u64 hash, __u64 now_ns)
{
	struct sw_flow_scratch *mine = SW_THE(flow_scratch);
	struct sw_flow_set *set = sw_flow_set_of(hash);
	struct sw_flow_place *p;
	__u32 way;

	if (!t || !mine || !set || !sw_flow_set_lock(set))
		return 0;
	way = sw_flow_choose(set, hash, now_ns, mine->rank);
	p = &set->place[way];
	if (set->tag[way] && set->tag[way] != sw_flow_tag(hash) &&
	    sw_flow_is_missed(&p->flow, now_ns))
		sw_count_event(SW_EV_FLOW_FORGOTTEN);
	*(volatile __u8 *)&p->tuple.pad[0] = 0;
	sw_flow_set_order(set);
	p->tuple.saddr_hi = t->saddr_hi;
	p->tuple.saddr_lo = t->saddr_lo;
	p->tuple.daddr_hi = t->daddr_hi;
	p->tuple.daddr_lo = t->daddr_lo;
	p->tuple.sport = t->sport;
	p->tuple.dport = t->dport;
	p->tuple.family_v6 = t->family_v6;
	p->flow = mine->flow;
	sw_flow_set_order(set);
	*(volatile __u8 *)&p->tuple.pad[0] = 1;
	set->tag[way] = sw_flow_tag(hash);
	sw_flow_set_unlock(set);
	return 1;
}

/* The tuple has no flow any more. */
__noinline int sw_flow_drop(const struct sw_tuple *t, __u64 hash)
{
	struct sw_flow_set *set = sw_flow_set_of(hash);
	__u32 way;

	if (!t || !set || !sw_flow_set_lock(set))
		return 0;
	way = sw_flow_tagged(set, hash);
	if (sw_flow_place_is(&set->place[way], t)) {
		*(volatile __u8 *)&set->place[way].tuple.pad[0] = 0;
		set->tag[way] = 0;
	}
	sw_flow_set_unlock(set);
	return 1;
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
