// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "flow.h"

#define TICK_NS (1ULL << SW_FLOW_TIME_BITS)

/* A flow with both ends' numbers known: the client's next is 1000, the server's 5000. */
static struct sw_flow open_flow(void)
{
	struct sw_flow f = {.flags = SW_FF_ANSWERED};

	f.side[SW_SERVER].acked = 1000;
	f.side[SW_CLIENT].acked = 5000;
	return f;
}

static void fin(struct sw_flow *f, enum sw_flow_end end, __u32 seq, __u32 ack)
{
	struct sw_flow_event e = {.seq = seq, .ack = ack, .fin = 1, .has_ack = 1};

	sw_flow_note(f, end, &e, 1);
}

static void ack(struct sw_flow *f, enum sw_flow_end end, __u32 number)
{
	struct sw_flow_event e = {.ack = number, .has_ack = 1};

	sw_flow_note(f, end, &e, 1);
}

static void rst(struct sw_flow *f, enum sw_flow_end end, __u32 seq)
{
	struct sw_flow_event e = {.seq = seq, .rst = 1};

	sw_flow_note(f, end, &e, 1);
}

Test(flow, closes_from_either_side)
{
	int first;

	for (first = SW_CLIENT; first <= SW_SERVER; first++) {
		struct sw_flow f = open_flow();
		__u32 mine = first == SW_CLIENT ? 1000 : 5000,
		      other = first == SW_CLIENT ? 5000 : 1000;

		fin(&f, first, mine, other);
		cr_assert_eq(sw_flow_state(&f),
			     first == SW_CLIENT ? SW_FLOW_CLIENT_DONE : SW_FLOW_SERVER_DONE);
		ack(&f, !first, mine + 1);
		cr_assert(!sw_flow_replaceable(&f), "half-closed");
		fin(&f, !first, other, mine + 1);
		cr_assert_eq(sw_flow_state(&f), SW_FLOW_CLOSING);
		ack(&f, first, other + 1);
		cr_assert_eq(sw_flow_state(&f), SW_FLOW_TIME_WAIT);
		cr_assert(sw_flow_replaceable(&f));
	}
}

Test(flow, closes_from_both_sides_at_once)
{
	struct sw_flow f = open_flow();

	fin(&f, SW_CLIENT, 1000, 5000);
	fin(&f, SW_SERVER, 5000, 1000);
	cr_assert_eq(sw_flow_state(&f), SW_FLOW_CLOSING);
	ack(&f, SW_SERVER, 1001);
	cr_assert_eq(sw_flow_state(&f), SW_FLOW_CLOSING);
	ack(&f, SW_CLIENT, 5001);
	cr_assert_eq(sw_flow_state(&f), SW_FLOW_TIME_WAIT);
}

Test(flow, a_fin_with_data_ends_behind_them)
{
	struct sw_flow f = open_flow();
	struct sw_flow_event e = {.seq = 1000, .ack = 5000, .bytes = 500, .fin = 1, .has_ack = 1};

	sw_flow_note(&f, SW_CLIENT, &e, 1);
	ack(&f, SW_SERVER, 1500);
	cr_assert(!(f.bits[SW_SERVER] & SW_FLOW_FIN_ACKED));
	ack(&f, SW_SERVER, 1501);
	cr_assert(f.bits[SW_SERVER] & SW_FLOW_FIN_ACKED);
}

Test(flow, only_the_exact_rst_of_a_client_ends_it)
{
	struct sw_flow f = open_flow();

	rst(&f, SW_CLIENT, 1001);
	cr_assert_eq(sw_flow_state(&f), SW_FLOW_ESTABLISHED);
	rst(&f, SW_CLIENT, 1000);
	cr_assert_eq(sw_flow_state(&f), SW_FLOW_RESET);
	f = open_flow();
	rst(&f, SW_SERVER, 77);
	cr_assert_eq(sw_flow_state(&f), SW_FLOW_RESET, "the server is believed");
}

Test(flow, a_fin_far_from_the_window_is_not_believed)
{
	struct sw_flow f = open_flow();

	fin(&f, SW_CLIENT, 1000 + (1U << 31), 5000);
	cr_assert_eq(sw_flow_state(&f), SW_FLOW_ESTABLISHED);
}

Test(flow, numbers_wrap)
{
	struct sw_flow f = open_flow();

	f.side[SW_SERVER].acked = 0xffffffff;
	fin(&f, SW_CLIENT, 0xffffffff, 5000);
	ack(&f, SW_SERVER, 0xffffffff);
	cr_assert(!(f.bits[SW_SERVER] & SW_FLOW_FIN_ACKED));
	ack(&f, SW_SERVER, 0);
	cr_assert(f.bits[SW_SERVER] & SW_FLOW_FIN_ACKED);
}

Test(flow, expires_by_state)
{
	struct sw_flow f = open_flow();

	cr_assert(!sw_flow_expired(&f, 5 * 86400 * SW_NS_PER_S));
	cr_assert(sw_flow_expired(&f, 5 * 86400 * SW_NS_PER_S + TICK_NS));
	rst(&f, SW_SERVER, 0);
	cr_assert(!sw_flow_expired(&f, 10 * SW_NS_PER_S));
	cr_assert(sw_flow_expired(&f, 10 * SW_NS_PER_S + TICK_NS));
	f.seen = 1;
	cr_assert(!sw_flow_expired(&f, 0), "a clock that is a tick behind");
	f.seen = 0;
	f.flags = 0;
	f.bits[SW_SERVER] = 0;
	cr_assert_eq(sw_flow_state(&f), SW_FLOW_SYN_SENT);
	cr_assert(sw_flow_expired(&f, 241 * SW_NS_PER_S));
}

Test(flow, a_fin_said_again_is_where_it_was)
{
	struct sw_flow f = open_flow();

	fin(&f, SW_CLIENT, 1000, 5000);
	fin(&f, SW_CLIENT, 2000, 5000);
	cr_assert_eq(f.side[SW_CLIENT].fin_end, 1001);
}

Test(flow, that_has_not_begun_can_be_replaced)
{
	struct sw_flow f = {};

	cr_assert(sw_flow_replaceable(&f));
	f = open_flow();
	cr_assert(!sw_flow_replaceable(&f));
	rst(&f, SW_SERVER, 0);
	cr_assert(sw_flow_replaceable(&f));
}

Test(flow, times_wrap)
{
	__u32 before = 0xffffffff;

	cr_assert_eq(sw_flow_since_ns(before, (1ULL << 32) * TICK_NS), TICK_NS);
	cr_assert_eq(sw_flow_since_ns(before, 0xffffffffULL * TICK_NS), 0);
}
