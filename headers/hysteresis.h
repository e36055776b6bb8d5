/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* When a service in mode auto is under attack, and when it no longer is. */
#ifndef SYNWARD_HYSTERESIS_H
#define SYNWARD_HYSTERESIS_H

#include "abi.h"

/*
 * A half-open socket lives 63 s with tcp_synack_retries=5, the default (1+2+4+8+16+32).
 * So many SYNs a second unanswered by their clients, times this, stand in the queue.
 */
#define SW_HALF_OPEN_LIFE_SHIFT 6

/* enum sw_armed_by, or 0: nothing arms. */
static __always_inline __u32 sw_arms(const struct sw_service *s, __u64 syns_per_s, __u32 half_open)
{
	if (s->half_open_start && half_open >= s->half_open_start)
		return SW_ARMED_BY_HALF_OPEN;
	if (s->syn_start && syns_per_s >= s->syn_start)
		return SW_ARMED_BY_SYN_RATE;
	return 0;
}

/*
 * 1: below both ends. unanswered is a rate per second in 1/256ths. While cookies are
 * answered the kernel's queue runs empty though the attack goes on; what would stand in it
 * is reckoned from the SYNs whose clients never came back, or a slow flood would disarm
 * and arm without end.
 */
static __always_inline int sw_calm(const struct sw_service *s, __u64 syns_per_s, __u32 half_open,
				   __u64 unanswered)
{
	if (s->syn_start && syns_per_s >= s->syn_end)
		return 0;
	if (!s->half_open_start)
		return 1;
	return half_open < s->half_open_end &&
	       (unanswered << SW_HALF_OPEN_LIFE_SHIFT >> 8) < s->half_open_start;
}

/* 1: it was calm for all of hold_ms. *since_ns is the caller's to keep; 0: is not calm. */
static __always_inline int sw_calm_held(__u64 *since_ns, int calm, __u32 hold_ms, __u64 now_ns)
{
	if (!calm) {
		*since_ns = 0;
		return 0;
	}
	if (!*since_ns)
		*since_ns = now_ns;
	return now_ns - *since_ns >= (__u64)hold_ms * 1000000;
}

/*
 * The smoothed rate of unanswered SYNs after another tenth of a second, in which so many
 * SYNs and valid ACKs came. It remembers some 3 s, and never more than four times what
 * keeps a service armed: a large flood is not remembered for longer than a small one.
 */
static __always_inline __u64 sw_unanswered(__u64 before, __u32 syns, __u32 valid, __u32 half_open_start)
{
	__u64 most = (__u64)half_open_start << (8 + 2 - SW_HALF_OPEN_LIFE_SHIFT);
	__u64 now = syns > valid ? (__u64)(syns - valid) * 10 << 8 : 0;
	__u64 next = before - before / 32 + now / 32;

	/* Less than 32/256ths never gets smaller by a 32nd. */
	if (!now && before < 32)
		next = 0;
	return next < most ? next : most;
}

#endif
