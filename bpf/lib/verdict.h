/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The one place where a reason becomes an XDP action and is counted. */
#ifndef SYNWARD_BPF_VERDICT_H
#define SYNWARD_BPF_VERDICT_H

#include "maps.h"

#define SW_TC_NEXT -1 /* of tc programs: TCX_NEXT and TC_ACT_UNSPEC, whatever comes after goes on */

static __always_inline int sw_action(enum sw_reason reason)
{
	switch (reason) {
#define SW_REASON(name, action, text) \
	case SW_##name:               \
		return XDP_##action;
#include "../../headers/reason.def"
#undef SW_REASON
	default:
		return XDP_ABORTED;
	}
}

/* What the state machine says of a frame: the reason, and the entry of `counters` it belongs to. */
#define SW_VERDICT(reason, entry) ((int)((entry) << 8 | (reason)))
#define SW_VERDICT_REASON	  0xff
_Static_assert(SW_REASON_COUNT < 256, "a reason has 8 bits of a verdict");

static __always_inline void sw_count_verdict(enum sw_reason reason, __u32 entry, __u32 frames)
{
	struct sw_counters *c = bpf_map_lookup_elem(&counters, &entry);
	__u32 at = reason;

	/* clang drops the test where it knows what a global function returns; the verifier does
	 * not ("R0 unbounded memory access", clang 14, Linux 6.18). */
	barrier_var(at);
	if (c && at < SW_REASON_COUNT)
		c->verdict[at] += frames;
}

static __always_inline int sw_verdict(int verdict)
{
	enum sw_reason reason = verdict & SW_VERDICT_REASON;

	sw_count_verdict(reason, (__u32)verdict >> 8, 1);
	return sw_action(reason);
}

#endif
