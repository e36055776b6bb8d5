// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* TCP options and the data offset: hostile ones as well. */
#include <string.h>

#include "guard.h"

TestSuite(options, .init = guard_up, .timeout = 20);

/* What is left of a reply's options: which of them are there. */
struct agreed {
	bool sack, tstamp;
	int wscale; /* 1 if there */
	__u32 tsecr;
};

static struct agreed answer(struct bytes options)
{
	struct outcome o = ASSERT_VERDICT(FRAME(.flags = SYN, .options = options), SW_SYNACK_SENT);
	struct seen r = guard_reply(&o);
	__u32 length = 0;
	struct agreed a = { .sack = seen_option(&r, 4, &length) };
	const __u8 *ts = seen_option(&r, 8, &length);

	a.wscale = seen_option(&r, 3, &length) != NULL;
	a.tstamp = ts;
	a.tsecr = ts ? be32(ts + 4) : 0;
	return a;
}

static void assert_agreed(struct bytes options, bool sack, bool tstamp, bool wscale)
{
	struct agreed a = answer(options);
	char text[128] = "";

	for (__u32 i = 0; i < options.length; i++)
		sprintf(text + 3 * i, "%02x ", ((const __u8 *)options.at)[i]);
	cr_assert_eq(a.sack, sack, "SACK: %s", text);
	cr_assert_eq(a.tstamp, tstamp, "timestamps: %s", text);
	cr_assert_eq(a.wscale, wscale, "scale: %s", text);
}

Test(options, are_agreed_on_only_if_offered)
{
	assert_agreed(BYTES(OPT_MSS(1460)), false, false, false);
	assert_agreed(BYTES(OPT_MSS(1460), OPT_SACK), true, false, false);
	assert_agreed(BYTES(OPT_MSS(1460), OPT_TS), false, true, false);
	assert_agreed(BYTES(OPT_MSS(1460), OPT_WSCALE(0)), false, false, true);
	assert_agreed(BYTES(OPT_SACK, OPT_TS, OPT_WSCALE(14)), true, true, true);
	assert_agreed(BYTES(OPT_TS, OPT_SACK), true, true, false);
	assert_agreed(BYTES(OPT_WSCALE(255)), false, false, true);
}

Test(options, end_where_the_kernel_stops_reading)
{
	/* EOL */
	assert_agreed(BYTES(OPT_MSS(1460), 0, OPT_SACK, 1), false, false, false);
	/* a size of 0 or 1 */
	assert_agreed(BYTES(OPT_SACK, 3, 0, 7, OPT_TS), true, false, false);
	assert_agreed(BYTES(OPT_SACK, 99, 1, OPT_TS), true, false, false);
	/* a size over the end */
	assert_agreed(BYTES(OPT_SACK, 1, 1, 3, 4), true, false, false);
	assert_agreed(BYTES(OPT_SACK, 8, 40, 1, 2, 3, 4, 0, 0, 0, 0), true, false, false);
	/* a kind without a size at the very end */
	assert_agreed(BYTES(OPT_SACK, 1, 3), true, false, false);
	assert_agreed(BYTES(1, 1, 1, 8), false, false, false);
	/* the size of something else: passed over */
	assert_agreed(BYTES(3, 4, 7, 7, OPT_SACK), true, false, false);
	assert_agreed(BYTES(4, 3, 0, OPT_WSCALE(2), 1, 1), false, false, true);
	assert_agreed(BYTES(8, 9, 1, 2, 3, 4, 5, 6, 7, OPT_WSCALE(2)), false, false, true);
}

Test(options, unknown_and_padding_are_passed_over)
{
	assert_agreed(BYTES(1, 1, 1, 1, 1, 1, 1, 1, OPT_SACK, 1, 1), true, false, false);
	assert_agreed(BYTES(34, 2, OPT_SACK), true, false, false); /* Fast Open asks for a cookie */
	assert_agreed(BYTES(34, 10, 1, 2, 3, 4, 5, 6, 7, 8, OPT_SACK), true, false, false);
	assert_agreed(BYTES(30, 12, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, OPT_TS), false, true, false); /* MPTCP */
	assert_agreed(BYTES(253, 4, 0xf9, 0x89, OPT_WSCALE(3), 1), false, false, true);
	assert_agreed(BYTES(5, 10, 0, 0, 0, 1, 0, 0, 0, 2, OPT_SACK), true, false, false);
}

Test(options, given_twice_count_the_last_time)
{
	struct agreed a = answer(BYTES(OPT_TS, 8, 10, 9, 9, 9, 9, 0, 0, 0, 0));

	cr_assert_eq(a.tsecr, 0x09090909);
	/* MSS 100 would be the kernel's to answer */
	ASSERT_VERDICT(FRAME(.flags = SYN, .sport = 1001, .options = BYTES(OPT_MSS(100), OPT_MSS(1460))),
		       SW_SYNACK_SENT);
	ASSERT_VERDICT(FRAME(.flags = SYN, .sport = 1002, .options = BYTES(OPT_MSS(1460), OPT_MSS(100))),
		       SW_SYN_TO_KERNEL);
}

Test(options, mss_too_small_for_a_hand_over_is_the_kernels)
{
	struct {
		__u16 mss;
		bool v6;
		enum sw_reason reason;
	} all[] = {
		{ 0, false, SW_SYNACK_SENT },	     { 1, false, SW_SYN_TO_KERNEL },
		{ 535, false, SW_SYN_TO_KERNEL },    { 536, false, SW_SYNACK_SENT },
		{ 65535, false, SW_SYNACK_SENT },    { 0, true, SW_SYNACK_SENT },
		{ 536, true, SW_SYN_TO_KERNEL },     { 1219, true, SW_SYN_TO_KERNEL },
		{ 1220, true, SW_SYNACK_SENT },	     { 65535, true, SW_SYNACK_SENT },
	};

	for (unsigned int i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct outcome o = RUN(FRAME(.v6 = all[i].v6, .flags = SYN,
						    .sport = (__u16)(2000 + i),
						    .options = BYTES(OPT_MSS(all[i].mss))));

		cr_assert_eq(o.reason, all[i].reason, "MSS %u, IPv%d: %s", all[i].mss,
			     all[i].v6 ? 6 : 4, reason_name(o.reason));
	}
}

Test(options, of_every_random_kind_never_harm)
{
	__u64 state = 1;

	for (int round = 0; round < 20000; round++) {
		__u8 byte[40];
		struct outcome o;
		struct frame f;

		for (__u32 i = 0; i < sizeof(byte); i++) {
			state = state * 6364136223846793005ULL + 1442695040888963407ULL;
			/* kinds and sizes that mean something are what is most interesting */
			byte[i] = (__u8)(state >> 62 ? state >> 33 & 15 : state >> 40);
		}
		f = FRAME(.flags = SYN, .sport = (__u16)(1024 + round),
			  .options = { byte, (__u32)(state >> 50) % 41 });
		o = guard_run(&f);
		if (o.action == XDP_TX) {
			guard_reply(&o);
			cr_assert_leq(o.frame.length, f.length + 24);
		} else {
			cr_assert(o.reason == SW_SYN_TO_KERNEL || o.reason == SW_SYN_OVER_BUDGET, "%s",
				  reason_name(o.reason));
		}
	}
}

Test(options, begin_and_end_where_the_data_offset_says)
{
	static const __u8 data[40] = { 1, 1, 1, 1 };

	for (__u32 words = 0; words < 16; words++) {
		/* 24 bytes behind the fixed header: offset 11 is all of them */
		struct frame f = FRAME(.flags = SYN, .sport = (__u16)(5000 + words), .data = { data, 24 });
		struct frame changed = frame_with(&f, 12, (__u8)(words << 4));
		struct outcome o = guard_run(&changed);

		if (words < 5 || words > 11)
			ASSERT_OUTCOME(o, SW_HEADER_INVALID);
		else
			guard_reply(&o);
	}
	/* beyond the frame, though not beyond what the IP header claims */
	for (__u32 words = 6; words < 16; words++) {
		struct frame f = FRAME(.flags = SYN, .options = { data, 40 });
		struct frame changed = frame_with(&f, 12, (__u8)(words << 4));
		struct frame cut = frame_resized(&changed, 54);

		cr_assert_neq(guard_run(&cut).action, XDP_TX);
	}
}

Test(options, outside_the_header_are_not_options)
{
	struct frame f = FRAME(.flags = SYN, .data = BYTES(OPT_MSS(100), OPT_SACK, 1, 1));
	struct outcome o = ASSERT_VERDICT(f, SW_SYNACK_SENT);
	struct seen r = guard_reply(&o);

	cr_assert_eq(r.options_length, 4);
}

Test(options, ecn_is_agreed_on_only_if_offered_whole)
{
	struct {
		__u8 flags, tos, ae;
		__u8 reply;
	} all[] = {
		{ SYN | ECE | CWR, 0, 0, ECE }, { SYN | ECE, 0, 0, 0 },
		{ SYN | CWR, 0, 0, 0 },		{ SYN, 0, 0, 0 },
		{ SYN, 2, 0, 0 },
		{ SYN | ECE | CWR, 0, 1, ECE }, /* AccECN falls back */
	};

	for (unsigned int i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct frame f = FRAME(.flags = all[i].flags, .tos = all[i].tos,
				       .options = LINUX_OPTIONS(1460));
		struct frame changed = frame_with(&f, 12, f.byte[f.l4 + 12] | all[i].ae);
		struct outcome o = guard_run(&changed);

		cr_assert_eq(guard_reply(&o).flags, SYN | ACK | all[i].reply, "case %u", i);
	}
	set_sysctl("ipv4/tcp_ecn", "0");
	guard_configure();
	{
		struct outcome o = ASSERT_VERDICT(FRAME(.flags = SYN | ECE | CWR, .options = LINUX_OPTIONS(1460)),
						  SW_SYNACK_SENT);

		cr_assert_eq(guard_reply(&o).flags, SYN | ACK);
	}
}
