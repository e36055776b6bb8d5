// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Services in mode auto: plain frames are judged on a shorter way than others, and to the same end. */
#include "guard.h"

TestSuite(modes, .init = guard_up, .timeout = 20);

#define BATCH 256 /* SYNs of a CPU that may not be added up yet */

static void start_auto(__u32 syn_start)
{
	guard.policy.service[0].mode = SW_MODE_AUTO;
	guard.policy.service[0].syn_start = syn_start;
	guard.policy.service[0].syn_end = 1;
	guard.policy.service[0].hold_ms = 60000;
	guard.policy.watched = 1;
	guard_configure();
}

/* A SYN: a plain one, one with options to be read the long way, one of a wrong checksum, one known. */
static struct frame syn(int number)
{
	__u16 port = (__u16)(2000 + number);

	switch (number % 3) {
	case 0:
		return FRAME(.flags = SYN, .sport = port, .options = LINUX_OPTIONS(1460));
	case 1:
		return FRAME(.flags = SYN, .sport = port, .options = BYTES(1, 1, 1, 1, 2, 4, 5, 180));
	default:
		return FRAME(.flags = SYN, .sport = port, .tcp_checksum = CHECKSUM_WRONG);
	}
}

Test(modes, of_an_armed_service_count_each_syn_once)
{
	const int sent = 3000;
	int i, answered = 0;

	start_auto(50);
	for (i = 0; i < sent; i++) {
		struct outcome o = RUN(syn(i));

		answered += o.reason == SW_SYNACK_SENT;
	}
	cr_assert(guard_state().armed);
	cr_assert_gt(answered, sent / 2, "%d of %d were answered", answered, sent);
	cr_assert_leq(guard_state().syns, (__u64)sent, "%llu counted", guard_state().syns);
	cr_assert_geq(guard_state().syns, (__u64)(sent - BATCH), "%llu counted", guard_state().syns);
}

Test(modes, of_a_service_that_is_not_armed_let_all_of_it_pass)
{
	struct outcome o;
	int i;

	start_auto(1000000);
	for (i = 0; i < 64; i++)
		cr_assert_eq(RUN(syn(i)).action, XDP_PASS);
	cr_assert_not(guard_state().armed);
	o = RUN(FRAME(.flags = ACK, .ack = 1));
	ASSERT_OUTCOME(o, SW_IDLE);
	o = RUN(FRAME(.flags = RST));
	cr_assert_eq(o.action, XDP_PASS, "%s", reason_name(o.reason));
	o = RUN(FRAME(.flags = SYN | FIN));
	cr_assert_eq(o.action, XDP_PASS, "%s", reason_name(o.reason));
}

/* Valid handshakes calm an armed service down again: they must be counted on either way. */
Test(modes, of_an_armed_service_count_valid_handshakes)
{
	struct handshake h;
	int i;

	start_auto(50);
	for (i = 0; i < 300; i++)
		RUN(syn(i));
	cr_assert(guard_state().armed);
	SHAKE_HANDS(&h, .options = LINUX_OPTIONS(1460), .sport = 1700);
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
	cr_assert_eq(guard_state().valid, 1);
}

/* The program's clock is to the tick: it can be behind the time that user space writes down. */
Test(modes, switched_off_this_tick_leave_cookies_valid)
{
	const __u64 tick_ns = 10000000, valid_ns = (__u64)SW_EPOCHS_VALID << SW_EPOCH_SHIFT;
	struct handshake h;

	SHAKE_HANDS(&h, .options = LINUX_OPTIONS(1460), .sport = 1701);
	guard.policy.service[0].mode = SW_MODE_OFF;
	guard.policy.off_since_ns[0] = clock_now_ns(CLOCK_MONOTONIC) + tick_ns;
	guard_configure();
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
	guard.policy.off_since_ns[0] -= valid_ns + 2 * tick_ns;
	guard_configure();
	ASSERT_VERDICT(frame_of(&h.ack), SW_NOT_GUARDED);
}
