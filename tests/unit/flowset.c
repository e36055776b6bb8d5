// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "unit.h"
#include "flowset.h"

#define NOW_NS (1000 * SW_NS_PER_S)
#define AGO(s) sw_flow_time(NOW_NS - (s)*SW_NS_PER_S)

static struct sw_flow_set set;

static struct sw_tuple tuple_of(__u16 port)
{
	return (struct sw_tuple){.saddr_lo = 1, .daddr_lo = 2, .sport = port, .dport = 80};
}

/* A hash whose tag and home are these. */
static __u64 hash_of(__u32 tag, __u32 home)
{
	return (__u64)((home - 1) * 256 / SW_FLOW_WAYS + 1) << 56 | tag;
}

static void take(__u32 way, __u32 tag, struct sw_flow flow)
{
	set.tag[way] = tag;
	set.place[way] = (struct sw_flow_place){.tuple = tuple_of(tag), .flow = flow};
	set.place[way].tuple.pad[0] = 1;
}

static __u32 choose(__u64 hash)
{
	__u64 rank[1 + SW_FLOW_WAYS];

	return sw_flow_choose(&set, hash, NOW_NS, rank);
}

static struct sw_flow silent_for(__u32 seconds)
{
	return (struct sw_flow){.seen = AGO(seconds), .flags = SW_FF_ANSWERED};
}

/* All places taken, place w with tag w, silent for 100 + w seconds. */
static void fill(void)
{
	__u32 way;

	memset(&set, 0, sizeof(set));
	for (way = 1; way <= SW_FLOW_WAYS; way++)
		take(way, way, silent_for(100 + way));
}

Test(flowset, a_flow_takes_its_home_and_else_any_free_place)
{
	memset(&set, 0, sizeof(set));
	cr_assert_eq(choose(hash_of(77, 9)), 9);
	take(9, 1, silent_for(0));
	cr_assert_eq(set.tag[choose(hash_of(77, 9))], 0);
	fill();
	set.tag[4] = 0;
	cr_assert_eq(choose(hash_of(77, 9)), 4);
}

Test(flowset, a_flow_of_the_same_tag_is_replaced_whatever_is_free)
{
	fill();
	set.tag[4] = 0;
	cr_assert_eq(choose(hash_of(3, 4)), 3);
}

Test(flowset, a_full_set_gives_up_the_longest_silent)
{
	fill();
	cr_assert_eq(choose(hash_of(77, 1)), 15);
	cr_assert(sw_flow_is_missed(&set.place[15].flow, NOW_NS));
	set.place[6].flow.seen = AGO(1000);
	cr_assert_eq(choose(hash_of(77, 1)), 6);
}

Test(flowset, a_full_set_gives_up_what_is_over_before_what_waits_before_what_lives)
{
	fill();
	set.place[3].flow.flags = 0; /* its server has not answered */
	set.place[3].flow.seen = AGO(1);
	cr_assert_eq(choose(hash_of(77, 1)), 3);
	cr_assert(sw_flow_is_missed(&set.place[3].flow, NOW_NS));
	set.place[5].flow.bits[SW_SERVER] = SW_FLOW_RST;
	set.place[5].flow.seen = AGO(1);
	cr_assert_eq(choose(hash_of(77, 1)), 5);
	cr_assert(!sw_flow_is_missed(&set.place[5].flow, NOW_NS));
	set.place[7].flow.seen = AGO(1) - (6 * 86400 * SW_NS_PER_S >> SW_FLOW_TIME_BITS);
	cr_assert_eq(choose(hash_of(77, 1)), 7, "expired");
	cr_assert(!sw_flow_is_missed(&set.place[7].flow, NOW_NS));
}

Test(flowset, a_flow_is_found_by_its_tag)
{
	__u32 way;

	fill();
	for (way = 1; way <= SW_FLOW_WAYS; way++)
		cr_assert_eq(sw_flow_tagged(&set, hash_of(way, 1)), way);
	cr_assert_eq(sw_flow_tagged(&set, hash_of(77, 1)), 0);
	cr_assert_eq(sw_flow_tagged(&set, hash_of(0x80000001, 1)), 0);
	set.tag[2] = 0x80000003;
	cr_assert_eq(sw_flow_tagged(&set, hash_of(0x80000003, 1)), 2);
}

Test(flowset, no_hash_has_the_tag_of_a_free_place_or_a_home_beyond_the_set)
{
	__u64 top;

	memset(&set, 0, sizeof(set));
	cr_assert_eq(sw_flow_tagged(&set, 0), 0);
	cr_assert_neq(sw_flow_tag(0), 0);
	for (top = 0; top < 256; top++)
		cr_assert(sw_flow_home(top << 56) >= 1 && sw_flow_home(top << 56) <= SW_FLOW_WAYS);
	cr_assert_eq(sw_flow_home(0), 1);
	cr_assert_eq(sw_flow_home(255ULL << 56), SW_FLOW_WAYS);
}

/* Any other bit of the tuple, and a place that has been left, is none of it. */
Test(flowset, a_place_is_that_of_one_tuple)
{
	struct sw_tuple t = tuple_of(7), other;
	struct sw_flow_place p = {.tuple = t};
	size_t bit, bits = 8 * __builtin_offsetof(struct sw_tuple, pad);

	cr_assert(!sw_flow_place_is(&p, &t), "nobody has taken it");
	p.tuple.pad[0] = 1;
	cr_assert(sw_flow_place_is(&p, &t));
	for (bit = 0; bit < bits; bit++) {
		other = t;
		((__u8 *)&other)[bit / 8] ^= 1 << bit % 8;
		cr_assert(!sw_flow_place_is(&p, &other), "bit %zu", bit);
	}
}

Test(flowset, there_is_room_for_what_was_asked)
{
	cr_assert_eq(sw_flow_sets(1024), 128);
	cr_assert_eq(sw_flow_sets(1025), 256);
	cr_assert_eq(sw_flow_sets(SW_FLOWS_DEFAULT), SW_FLOW_SETS_DEFAULT);
	cr_assert_eq(sw_flow_sets(64U << 20), 1U << 23);
}

/* Whatever a set holds: what is asked of place 0 is answered no. */
Test(flowset, nobody_lives_where_what_has_no_place_is_looked_for)
{
	struct sw_tuple none = {};

	fill();
	set.busy = set.ordered = ~0U;
	cr_assert(!sw_flow_place_is(&set.place[0], &none));
	cr_assert_eq(&set.place[0].tuple, &set.nobody);
}
