/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a service's mode, lists and limits make of its segments. A service that is simply
 * `always` never comes here: its listeners have no SW_LS_ASK.
 *
 *            SYN                              what else would be dropped
 *   off      pass (as a listener unguarded)   pass; for cookies of before see abi.h
 *   monitor  pass, counted as what would be   pass, counted as what would be
 *   always   cookie                           drop
 *   auto     cookie while armed, else pass    drop while armed, else pass
 *
 * A SYN that passes marks the presence filter: whatever is decided later, the rest of its
 * handshake is the kernel's. A valid cookie is handed over in every mode.
 */
#ifndef SYNWARD_BPF_SERVICE_H
#define SYNWARD_BPF_SERVICE_H

#include "known.h"
#include "notice.h"
#include "verdict.h"
#include "packet.h"
#include "../../headers/bucket.h"
#include "../../headers/hysteresis.h"
#include "../../headers/rate.h"
#include "../../headers/service.h"

/* No verdict yet. */
#define SW_GO_ON SW_REASON_COUNT

#define SW_OFF_LINGER_NS ((__u64)SW_EPOCHS_VALID << SW_EPOCH_SHIFT)
#define SW_AUTO_FRESH_NS 25000000ULL /* of a listener whose half-open sockets may arm */
#define SW_BATCH_IDLE	 8   /* SYNs of a CPU before they are added to all CPUs' */
#define SW_BATCH_ARMED	 256
#define SW_BURST_LEAST	 32  /* SYNs in a fast window: fewer are a browser's, whatever rate they come to */
#define SW_FULL_A_S	 256 /* buckets overwritten a second and CPU that are worth telling */

static __always_inline struct sw_policy *sw_policy(void)
{
	struct sw_config *cfg = SW_THE(config);
	__u32 half = cfg ? cfg->policy & 1 : 0;

	return bpf_map_lookup_elem(&services, &half);
}

static __always_inline struct sw_service_state *sw_state_of(__u32 slot)
{
	return bpf_map_lookup_elem(&service_state, &slot);
}

/* The listener's service into *l; 1 if it is to be guarded. */
__noinline int sw_service_match(const struct sw_tuple *t, struct sw_listener *l, __u64 now_ns)
{
	struct sw_policy *policy = sw_policy();
	const struct sw_service *s;
	struct sw_addr addr;
	__u32 slot, i;

	if (!policy || !t || !l)
		return 0;
	addr = sw_addr_of(t->daddr_hi, t->daddr_lo, t->family_v6);
	for (i = 0; i < SW_SERVICES; i++) {
		if (i >= policy->count)
			return 0;
		slot = policy->order[i] & SW_LS_SLOT;
		s = &policy->service[slot];
		if (!sw_service_holds(s, addr, t->dport))
			continue;
		l->service = slot | sw_service_asks(s, policy->lists >> slot & 1);
		/* now_ns is to the tick: it can be before what user space read from its clock. */
		return s->mode != SW_MODE_OFF ||
		       (__s64)(now_ns - policy->off_since_ns[slot]) < (__s64)SW_OFF_LINGER_NS;
	}
	return 0;
}

/* By one CPU of those that see it at once. */
static __always_inline void sw_service_arm(struct sw_service_state *state, __u32 slot, __u32 by,
					   __u64 syns_per_s, __u32 half_open, __u64 now_ns)
{
	if (state->armed || __sync_val_compare_and_swap(&state->armed, 0, 1))
		return;
	state->armed_by = by;
	state->since_ns = now_ns;
	state->calm_since_ns = 0;
	state->arms++;
	sw_notice_send(SW_NOTICE_ARMED | by << 8, slot, syns_per_s, half_open, 0);
}

/* A listener was read: its half-open sockets are in local.half_open. */
__noinline int sw_service_half_open(struct sw_listener *l, __u64 now_ns)
{
	struct sw_local *mine = SW_THE(local);
	struct sw_policy *policy = sw_policy();
	struct sw_service_state *state;
	const struct sw_service *s;
	__u32 slot, by, half_open;
	__u64 syns_per_s;

	if (!mine || !l || !policy)
		return 0;
	half_open = mine->half_open;
	slot = l->service & SW_LS_SLOT;
	s = &policy->service[slot];
	state = sw_state_of(slot);
	if (s->mode != SW_MODE_AUTO || !state)
		return 0;
	sw_peak_note(&state->half_open_now, &state->half_open_before, now_ns, half_open);
	syns_per_s = sw_rate_per_s(sw_rate_count(state->syns_now, state->syns_before, now_ns,
						 SW_RATE_FAST), SW_RATE_FAST);
	by = sw_arms(s, 0, half_open);
	if (by)
		sw_service_arm(state, slot, by, syns_per_s, half_open, now_ns);
	if (!state->armed && l->fresh_until_ns > now_ns + SW_AUTO_FRESH_NS)
		l->fresh_until_ns = now_ns + SW_AUTO_FRESH_NS;
	return 0;
}

/* Adds what a CPU has counted to what all have, and arms if that is too much. */
static __always_inline void sw_service_flush(const struct sw_service *s, struct sw_service_state *state,
					     struct sw_syns *mine, __u32 slot, __u64 now_ns)
{
	__u64 syns_per_s;
	__u32 count, by;

	sw_rate_add(&state->syns_now, &state->syns_before, now_ns, SW_RATE_FAST, mine->count);
	__sync_fetch_and_add(&state->syns, mine->count);
	mine->count = 0;
	if (state->armed)
		return;
	count = sw_rate_count(state->syns_now, state->syns_before, now_ns, SW_RATE_FAST);
	syns_per_s = sw_rate_per_s(count, SW_RATE_FAST);
	by = count >= SW_BURST_LEAST ? sw_arms(s, syns_per_s, 0) : 0;
	if (by)
		sw_service_arm(state, slot, by, syns_per_s,
			       sw_peak(state->half_open_now, state->half_open_before, now_ns), now_ns);
}

/* A SYN to a service in mode auto. True if SYNs are to be answered. */
static __always_inline bool sw_service_count_syn(const struct sw_service *s,
						 struct sw_service_state *state, __u32 slot, __u64 now_ns)
{
	struct sw_local *scratch = SW_THE(local);
	__u32 window = sw_window_number(now_ns, SW_RATE_FAST);
	struct sw_syns *mine;

	if (!scratch)
		return state->armed;
	mine = &scratch->service_syns[slot & SW_LS_SLOT];
	mine->count++;
	if (mine->window != window || mine->count >= (state->armed ? SW_BATCH_ARMED : SW_BATCH_IDLE)) {
		mine->window = window;
		sw_service_flush(s, state, mine, slot, now_ns);
	}
	return state->armed;
}

/*
 * The same for a plain frame, whose listener's service this is: an attack is answered where
 * nothing else is asked. False: the service is not armed, or asks more.
 */
static __always_inline bool sw_service_is_armed(__u32 service)
{
	struct sw_service_state *state = sw_state_of(service & SW_LS_SLOT);

	return service & SW_LS_AUTO && state && state->armed;
}

/* What this CPU has counted of such a service's SYNs, or NULL: it is time to add that up, the long way. */
static __always_inline struct sw_syns *sw_service_counted(__u32 service, __u64 now_ns)
{
	struct sw_local *scratch = SW_THE(local);
	struct sw_syns *mine = scratch ? &scratch->service_syns[service & SW_LS_SLOT] : NULL;

	if (!mine || mine->window != sw_window_number(now_ns, SW_RATE_FAST) ||
	    mine->count + 1 >= SW_BATCH_ARMED)
		return NULL;
	return mine;
}

static __always_inline void sw_service_count_valid(__u32 service)
{
	struct sw_service_state *state = sw_state_of(service & SW_LS_SLOT);

	if (state)
		__sync_fetch_and_add(&state->valid, 1);
}

/* enum sw_listed, or 0: the source is in no list. */
static __always_inline __u32 sw_service_listed(const struct sw_tuple *t, __u32 slot)
{
	struct sw_addr addr = sw_addr_of(t->saddr_hi, t->saddr_lo, t->family_v6);
	struct sw_list_key key = { .prefix_length = 128 };
	void *list = bpf_map_lookup_elem(&lists, &slot);
	__u32 *listed;

	if (!list)
		return 0;
	__builtin_memcpy(key.addr, &addr, sizeof(key.addr));
	listed = bpf_map_lookup_elem(list, &key);
	return listed ? *listed : 0;
}

/* The rest of the handshake is the kernel's. */
static __always_inline void sw_service_leave(__u64 hash)
{
	struct sw_walk_slot *slot = SW_THE(walk);

	if (slot)
		sw_known_add(&slot->walk, hash);
}

/* A SYN, before it is known whether it can be answered: SW_GO_ON, or what becomes of it. */
static __always_inline int sw_service_syn(const struct sw_packet *pkt, __u32 slot, __u64 now_ns)
{
	struct sw_policy *policy = sw_policy();
	struct sw_service_state *state;
	const struct sw_service *s;
	__u32 listed = 0;

	slot &= SW_LS_SLOT;
	state = sw_state_of(slot);
	if (!pkt || !policy || !state)
		return SW_GO_ON;
	s = &policy->service[slot];
	if (s->mode == SW_MODE_OFF) {
		sw_service_leave(pkt->hash);
		return SW_NOT_GUARDED;
	}
	if (policy->lists >> slot & 1)
		listed = sw_service_listed(&pkt->tuple, slot);
	if (listed == SW_LISTED_DENY)
		return SW_SYN_DENIED;
	if (listed == SW_LISTED_ALLOW) {
		sw_service_leave(pkt->hash);
		return SW_SYN_ALLOWED;
	}
	if (s->mode == SW_MODE_AUTO && !sw_service_count_syn(s, state, slot, now_ns)) {
		sw_service_leave(pkt->hash);
		return SW_SYN_IDLE;
	}
	return SW_GO_ON;
}

enum sw_bucket_of { SW_BUCKET_OF_PREFIX = 1, SW_BUCKET_OF_SOURCE };

/* One of limit a second for the packet's source, or its prefix. False if it has none left. */
__noinline int sw_service_take(const struct sw_packet *pkt, __u32 slot, __u32 limit, __u32 whose,
			       __u64 now_ns)
{
	struct sw_secrets *secret = SW_THE(secrets);
	struct sw_local *mine = SW_THE(local);
	__u64 tag, word, *place;
	struct sw_addr addr;
	__u32 at;

	if (!pkt || !secret || !mine || !limit)
		return true;
	addr = sw_addr_of(pkt->tuple.saddr_hi, pkt->tuple.saddr_lo, pkt->tuple.family_v6);
	if (whose == SW_BUCKET_OF_PREFIX) {
		if (pkt->tuple.family_v6)
			addr.lo = 0; /* /64 */
		else
			addr.lo &= ~0ULL >> 8; /* /24: the last byte stands highest */
	}
	tag = sw_mix(sw_mix(secret->hash_seed[1] ^ ((__u64)slot << 8 | whose), addr.hi), addr.lo);
	at = (__u32)tag & (SW_BUCKETS - 1);
	place = bpf_map_lookup_elem(&buckets, &at);
	if (!place)
		return true;
	word = *(volatile __u64 *)place;
	switch (sw_bucket_take(word, tag, limit, now_ns, &tag)) {
	case SW_BUCKET_EMPTY:
		return false;
	case SW_BUCKET_OVERWRITTEN:
		sw_count_event(SW_EV_BUCKET_OVERWRITTEN);
		if (!sw_budget_spend(&mine->overwritten, SW_FULL_A_S, now_ns))
			sw_notice_send(SW_NOTICE_TABLE_FULL, slot & SW_LS_SLOT, SW_BUCKETS, 0, 0);
		break;
	case SW_BUCKET_TAKEN:
		break;
	}
	/* Lost to another CPU: one more than the limit. */
	__sync_val_compare_and_swap(place, word, tag);
	return true;
}

/* A SYN about to be answered: SW_GO_ON, or what becomes of it. */
static __always_inline int sw_service_answer(const struct sw_packet *pkt, __u32 slot, __u64 now_ns)
{
	struct sw_policy *policy = sw_policy();
	const struct sw_service *s;

	slot &= SW_LS_SLOT;
	if (!pkt || !policy)
		return SW_GO_ON;
	s = &policy->service[slot];
	if (s->synack_limit && !sw_service_take(pkt, slot, s->synack_limit, SW_BUCKET_OF_PREFIX, now_ns))
		return SW_SYNACK_LIMIT;
	if (s->mode != SW_MODE_MONITOR)
		return SW_GO_ON;
	sw_count_verdict(SW_SYNACK_SENT, SW_COUNTERS_WOULD + slot, 1);
	sw_service_leave(pkt->hash);
	return SW_SYN_MONITORED;
}

/* An ACK with a valid cookie: false if its source has had its handshakes. */
static __always_inline int sw_service_admit(const struct sw_packet *pkt, __u32 slot, __u64 now_ns)
{
	struct sw_policy *policy = sw_policy();
	struct sw_service_state *state;
	const struct sw_service *s;

	slot &= SW_LS_SLOT;
	state = sw_state_of(slot);
	if (!pkt || !policy || !state)
		return true;
	s = &policy->service[slot];
	if (s->handshake_limit &&
	    !sw_service_take(pkt, slot, s->handshake_limit, SW_BUCKET_OF_SOURCE, now_ns))
		return false;
	if (s->mode == SW_MODE_AUTO)
		__sync_fetch_and_add(&state->valid, 1);
	return true;
}

/* A segment about to be dropped: the verdict that stays, or the one by which it passes. */
__noinline int sw_service_drop(const struct sw_packet *pkt, __u32 slot, __u32 reason, __u32 is_syn)
{
	struct sw_policy *policy = sw_policy();
	struct sw_service_state *state;
	const struct sw_service *s;

	slot &= SW_LS_SLOT;
	state = sw_state_of(slot);
	if (!pkt || !policy || !state)
		return reason;
	s = &policy->service[slot];
	if (s->mode == SW_MODE_MONITOR) {
		sw_count_verdict(reason, SW_COUNTERS_WOULD + slot, 1);
		if (is_syn)
			sw_service_leave(pkt->hash);
		return is_syn ? SW_SYN_MONITORED : SW_MONITORED;
	}
	/* Lists and limits hold whether there is an attack or not. */
	if (reason == SW_SYN_DENIED || reason == SW_HANDSHAKE_LIMIT)
		return reason;
	if (s->mode == SW_MODE_OFF)
		return SW_NOT_GUARDED;
	if (s->mode != SW_MODE_AUTO || state->armed || reason == SW_SYNACK_LIMIT)
		return reason;
	if (is_syn)
		sw_service_leave(pkt->hash);
	return is_syn ? SW_SYN_IDLE : SW_IDLE;
}

/* The timer's look at one slot, ten times a second. */
__noinline int sw_service_look(__u32 slot, __u64 now_ns)
{
	struct sw_policy *policy = sw_policy();
	struct sw_service_state *state;
	const struct sw_service *s;
	__u32 syns, valid, half_open, by;
	__u64 syns_per_s;

	slot &= SW_LS_SLOT;
	state = sw_state_of(slot);
	if (!policy || !state)
		return 0;
	s = &policy->service[slot];
	syns = (__u32)state->syns - state->syns_then;
	valid = (__u32)state->valid - state->valid_then;
	state->syns_then += syns;
	state->valid_then += valid;
	sw_rate_add(&state->slow_now, &state->slow_before, now_ns, SW_RATE_SLOW, syns);
	syns_per_s = sw_rate_per_s(sw_rate_count(state->slow_now, state->slow_before, now_ns,
						 SW_RATE_SLOW), SW_RATE_SLOW);
	half_open = sw_peak(state->half_open_now, state->half_open_before, now_ns);
	if (!state->armed) {
		by = sw_arms(s, syns_per_s, 0);
		if (by)
			sw_service_arm(state, slot, by, syns_per_s, half_open, now_ns);
		return 0;
	}
	state->unanswered = sw_unanswered(state->unanswered, syns, valid, s->half_open_start);
	if (!sw_calm_held(&state->calm_since_ns, sw_calm(s, syns_per_s, half_open, state->unanswered),
			  s->hold_ms, now_ns))
		return 0;
	sw_notice_send(SW_NOTICE_DISARMED | state->armed_by << 8, slot, syns_per_s, half_open,
		       (now_ns - state->since_ns) / 1000000);
	state->since_ns = now_ns;
	state->armed = 0;
	return 0;
}

/* With each tick of the timer. */
static __always_inline void sw_service_tick(__u64 now_ns)
{
	struct sw_policy *policy = sw_policy();
	__u64 watched = policy ? policy->watched : 0;
	__u32 slot;

	if (!watched)
		return;
	for (slot = 0; slot < SW_SERVICES; slot++) {
		if (watched >> slot & 1)
			sw_service_look(slot, now_ns);
	}
}

/* One in SW_RTT_SAMPLE tuples is timed. */
static __always_inline bool sw_rtt_is_sampled(__u64 hash)
{
	return !(hash >> 42 & (SW_RTT_SAMPLE - 1));
}

static __always_inline __u64 *sw_rtt_place(__u64 hash)
{
	__u32 at = hash >> 29 & (SW_ASKED_SLOTS - 1);

	return bpf_map_lookup_elem(&asked, &at);
}

static __always_inline __u32 sw_rtt_now_us(void)
{
	return (__u32)(bpf_ktime_get_ns() / 1000);
}

/* A SYN-ACK goes out. */
static __always_inline void sw_rtt_asked(__u64 hash)
{
	__u64 *place;

	if (!sw_rtt_is_sampled(hash))
		return;
	place = sw_rtt_place(hash);
	if (place)
		*place = hash << 32 | sw_rtt_now_us();
}

/* Its cookie is back. */
static __always_inline void sw_rtt_answered(__u64 hash, __u32 slot)
{
	__u64 *place, word;
	struct sw_rtt *mine;
	__u32 us, bucket;

	if (!sw_rtt_is_sampled(hash))
		return;
	place = sw_rtt_place(hash);
	slot &= SW_LS_SLOT;
	mine = bpf_map_lookup_elem(&rtt, &slot);
	if (!place || !mine)
		return;
	word = *place;
	if (word >> 32 != (hash & 0xffffffff))
		return;
	*place = 0; /* a second ACK with it is late for other reasons */
	us = sw_rtt_now_us() - (__u32)word;
	bucket = sw_rtt_bucket(us);
	if (bucket < SW_RTT_BUCKETS) /* it is; the verifier wants to hear it */
		mine->bucket[bucket]++;
	mine->sum_us += us;
}

#endif
