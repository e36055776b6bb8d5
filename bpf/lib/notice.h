/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Telling user space what happened: one record each in the ring buffer `events`. */
#ifndef SYNWARD_BPF_NOTICE_H
#define SYNWARD_BPF_NOTICE_H

#include "maps.h"

/* The least time between two of a kind. Arming and disarming has a limit of its own, sw_service.hold_ms. */
static __always_inline __u64 sw_notice_pause_ns(__u32 kind)
{
	switch (kind) {
	case SW_NOTICE_TABLE_FULL:
		return 60000000000ULL;
	case SW_NOTICE_HANDOFF_REFUSED:
		return 10000000000ULL;
	default:
		return 0;
	}
}

/* True if one of that kind may be sent now; by one CPU only. */
static __always_inline bool sw_notice_may(struct sw_notice_gate *gate, __u64 pause_ns, __u64 now_ns)
{
	__u64 until_ns = gate->until_ns;

	if (now_ns >= until_ns &&
	    __sync_val_compare_and_swap(&gate->until_ns, until_ns, now_ns + pause_ns) == until_ns)
		return true;
	__sync_fetch_and_add(&gate->unsent, 1);
	return false;
}

/*
 * kind_detail: enum sw_notice_kind, detail << 8. slot: of the service, or SW_SERVICES for
 * none. A full ring loses it, and says so with the next one.
 */
__noinline int sw_notice_send(__u32 kind_detail, __u32 slot, __u64 first, __u64 second, __u64 third)
{
	__u32 kind = kind_detail & 0xff, half;
	struct sw_notice_gate *gate = bpf_map_lookup_elem(&notice_gates, &kind);
	struct sw_config *cfg = SW_THE(config);
	__u64 now_ns = bpf_ktime_get_ns();
	struct sw_policy *policy;
	struct sw_notice *n;

	if (!gate || !cfg || !sw_notice_may(gate, sw_notice_pause_ns(kind), now_ns))
		return 0;
	n = bpf_ringbuf_reserve(&events, sizeof(*n), 0);
	if (!n) {
		__sync_fetch_and_add(&gate->unsent, 1);
		return 0;
	}
	half = cfg->policy & 1;
	policy = bpf_map_lookup_elem(&services, &half);
	/* Each for itself: a whole one would be made on the stack first. */
	n->size = sizeof(*n);
	n->version = SW_NOTICE_VERSION;
	n->kind = (__u8)kind;
	n->unsent = (__u32)gate->unsent;
	n->time_ns = now_ns;
	n->detail = kind_detail >> 8;
	n->pad = 0;
	n->figure[0] = first;
	n->figure[1] = second;
	n->figure[2] = third;
	__builtin_memset(n->service, 0, sizeof(n->service));
	gate->unsent = 0;
	if (policy && slot < SW_SERVICES)
		__builtin_memcpy(n->service, policy->service[slot & SW_LS_SLOT].name, sizeof(n->service));
	bpf_ringbuf_submit(n, 0);
	return 1;
}

#endif
