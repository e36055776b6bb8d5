/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The one place where a reason becomes an XDP action and is counted. */
#ifndef SYNWARD_BPF_VERDICT_H
#define SYNWARD_BPF_VERDICT_H

#include "maps.h"

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

static __always_inline int sw_verdict(enum sw_reason reason)
{
	struct sw_counters *c = SW_THE(counters);
	__u32 at = reason;

	/* clang drops the test where it knows what a global function returns; the verifier does
	 * not ("R0 unbounded memory access", clang 14, Linux 6.18). */
	barrier_var(at);
	if (c && at < SW_REASON_COUNT)
		c->verdict[at]++;
	return sw_action(reason);
}

#endif
