/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The table of flows: sets of 15 places, each set 2 KiB of its own. A tuple's hash names its set
 * and the place it is at home in. Whoever looks for it looks there first, at the flow itself, so
 * that of a table no cache holds one page and two adjacent cache lines are touched; elsewhere in
 * its set a flow is found by its tag. Pure: the clock is an argument.
 *
 *   set:    | nobody, busy | tags of places 1 to 15 | place 1 | ... | place 15 |
 *            0              64                       128                  2047
 *   place:  | tuple, live | flow |
 *            0          39     127
 *   hash:   | 63 home 56 |     | 32 + sets' bits  set  32 | 31  tag  0 |
 */
#ifndef SYNWARD_FLOWSET_H
#define SYNWARD_FLOWSET_H

#include "flow.h"
#include "tuple.h"

#define SW_FLOW_WAYS 15 /* places 1 to 15: the low four bits of any number are one, or none, 0 */

/*
 * Flows for each set: half of the places. With as many flows as there is room for, one in 600 finds
 * all 15 places of its set taken; with half as many, one in a million.
 */
#define SW_FLOWS_A_SET 8
#define SW_FLOWS_DEFAULT (1U << 20) /* flows; all memory is taken at attach */
#define SW_FLOW_SETS_DEFAULT (SW_FLOWS_DEFAULT / SW_FLOWS_A_SET)

struct sw_flow_place {
	struct sw_tuple tuple; /* as the client's segments carry it; pad[0]: live */
	struct sw_flow flow;
};
_Static_assert(sizeof(struct sw_flow_place) == 128, "two cache lines");

/*
 * map `flows`, an array of a power of two of them. A place is taken and left by who has set busy,
 * and only then; its flow is written by XDP and tc without that. Full: what is over gives its place
 * up first, then what the server has yet to answer, then what was silent for longest, and a
 * connection so forgotten ends in a reset or times out. Pinned: programs are replaced over it. User
 * space maps it.
 */
struct sw_flow_set {
	union {
		struct {
			struct sw_tuple nobody; /* 0: as a place, never live */
			__u32 busy;
			__u32 ordered; /* 0; what orders writes is done to it */
			__u32 reserved[4];
			__u32 tag[1 +
				  SW_FLOW_WAYS]; /* of each place; 0: free. No two are the same */
		};
		struct sw_flow_place place[1 + SW_FLOW_WAYS];
	};
};
_Static_assert(sizeof(struct sw_flow_set) == 2048, "never across a page");
_Static_assert(__builtin_offsetof(struct sw_flow_set, tag) == 64, "tags share one cache line");

/* Sets for so many flows: a power of two. */
static __always_inline __u32 sw_flow_sets(__u32 flows)
{
	__u32 sets = 1;

	while ((__u64)sets * SW_FLOWS_A_SET < flows)
		sets *= 2;
	return sets;
}

static __always_inline __u32 sw_flow_set_number(__u64 hash, __u32 mask)
{
	return (__u32)(hash >> 32) & mask;
}

static __always_inline __u32 sw_flow_tag(__u64 hash)
{
	return (__u32)hash ?: 1;
}

static __always_inline __u32 sw_flow_home(__u64 hash)
{
	return 1 + ((__u32)(hash >> 56) * SW_FLOW_WAYS >> 8);
}

/* True of the live place of a tuple. One branch: the verifier walks all that follows for each. */
static __always_inline int sw_flow_place_is(const struct sw_flow_place *p, const struct sw_tuple *t)
{
	__u64 differs = (p->tuple.saddr_hi ^ t->saddr_hi) | (p->tuple.saddr_lo ^ t->saddr_lo) |
			(p->tuple.daddr_hi ^ t->daddr_hi) | (p->tuple.daddr_lo ^ t->daddr_lo) |
			(__u64)(p->tuple.sport ^ t->sport) | (__u64)(p->tuple.dport ^ t->dport) |
			(__u64)(p->tuple.family_v6 ^ t->family_v6) | (__u64)(p->tuple.pad[0] ^ 1);

	return !differs;
}

/*
 * The place that has a hash's tag; none: 0, where nobody lives. By arithmetic: the verifier would
 * walk all that follows for each place there can be. From Linux 6.18 on it does so for a sign
 * shifted over a mask as well, so the mask is what is borrowed from the upper half; until 6.8 it
 * knows nothing of a product or of two numbers ORed, so it is a sum whose low bits are taken.
 */
static __always_inline __u32 sw_flow_tagged(const struct sw_flow_set *set, __u64 hash)
{
	__u32 tag = sw_flow_tag(hash), found = 0, i;
	__u64 differs;

#pragma GCC unroll 15
	for (i = 1; i <= SW_FLOW_WAYS; i++) {
		differs = set->tag[i] ^ tag;
		asm volatile("" : "+r"(differs)); /* or it becomes a branch */
		found += (__u32)((differs - 1) >> 32) & i;
	}
	return found & SW_FLOW_WAYS;
}

/* How readily a place is given up: what is over, what has not begun, what was silent for long. */
static __always_inline __u64 sw_flow_spare(const struct sw_flow *f, __u64 now_ns)
{
	enum sw_flow_state state = sw_flow_state(f);
	__u64 silent = sw_flow_since_ns(f->seen, now_ns) >> SW_FLOW_TIME_BITS;

	if (sw_flow_expired(f, now_ns))
		return 3ULL << 32;
	if (state == SW_FLOW_TIME_WAIT || state == SW_FLOW_RESET)
		return 2ULL << 32 | silent;
	return (__u64)(state == SW_FLOW_SYN_SENT) << 32 | silent;
}

/* True if a connection is lost that might have gone on. */
static __always_inline int sw_flow_is_missed(const struct sw_flow *f, __u64 now_ns)
{
	return sw_flow_spare(f, now_ns) < 2ULL << 32;
}

/*
 * The place a new flow is to take: its tag's own, its home, a free one, or the one to be given up.
 * rank: scratch, in memory that the verifier does not follow, or it would walk each order of places
 * there is.
 */
static __always_inline __u32 sw_flow_choose(const struct sw_flow_set *set, __u64 hash, __u64 now_ns,
					    __u64 rank[1 + SW_FLOW_WAYS])
{
	__u32 tag = sw_flow_tag(hash), home = sw_flow_home(hash), i;
	__u64 best = 0, spare;

	for (i = 1; i <= SW_FLOW_WAYS; i++) {
		if (set->tag[i] == tag)
			spare = 6ULL << 32;
		else if (!set->tag[i])
			spare = (i == home ? 5ULL : 4ULL) << 32;
		else
			spare = sw_flow_spare(&set->place[i].flow, now_ns);
		rank[i] = spare << 4 | i;
	}
	for (i = 1; i <= SW_FLOW_WAYS; i++) {
		spare = *(volatile __u64 *)&rank[i];
		if (spare >= best)
			best = spare;
	}
	return best & SW_FLOW_WAYS;
}

#endif
