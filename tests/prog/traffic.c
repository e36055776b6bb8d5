// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Flags of every kind, frames of every length, and all that is not ours. */
#include <string.h>

#include "guard.h"

TestSuite(traffic, .init = guard_up, .timeout = 20);

static enum sw_reason expected(__u8 flags)
{
	bool syn = flags & SYN, ack = flags & ACK, rst = flags & RST, fin = flags & FIN;

	if (syn + rst + fin > 1 || (fin && !ack) || !(flags & (SYN | ACK | RST | FIN)))
		return SW_FLAGS_INVALID;
	if (syn)
		return ack ? SW_SYNACK_UNSOLICITED : SW_SYNACK_SENT;
	return rst ? SW_RST_UNKNOWN : SW_ACK_INVALID;
}

Test(traffic, of_each_of_256_flag_values_has_its_verdict)
{
	for (int flags = 0; flags < 256; flags++) {
		for (int v6 = 0; v6 < 2; v6++) {
			struct outcome o = RUN(FRAME(.v6 = v6, .flags = (__u8)flags, .ack = 77));

			cr_assert_eq(o.reason, expected((__u8)flags), "flags %02x: %s", flags,
				     reason_name(o.reason));
			o = RUN(FRAME(.v6 = v6, .flags = (__u8)flags, .ack = 77, .dport = CLOSED_PORT));
			cr_assert_eq(o.reason, SW_NOT_GUARDED, "flags %02x, closed port: %s", flags,
				     reason_name(o.reason));
		}
	}
}

Test(traffic, that_is_not_tcp_passes)
{
	static const __u8 protocols[] = { 1, 2, 17, 47, 50, 51, 58, 89, 132, 255 };
	static const __u16 types[] = { 0x0806, 0x88cc, 0x8847, 0x8863, 0x0000, 0x0040, 0xffff, 0x9100 };
	struct frame f = FRAME(.flags = SYN), f6 = FRAME(.v6 = true, .flags = SYN);

	for (unsigned int i = 0; i < sizeof(protocols); i++) {
		f.byte[f.l3 + 9] = protocols[i];
		f6.byte[f6.l3 + 6] = protocols[i];
		ASSERT_VERDICT(f, SW_OTHER_TRAFFIC);
		ASSERT_VERDICT(f6, SW_OTHER_TRAFFIC);
	}
	f = FRAME(.flags = SYN);
	for (unsigned int i = 0; i < sizeof(types) / sizeof(*types); i++) {
		f.byte[12] = (__u8)(types[i] >> 8);
		f.byte[13] = (__u8)types[i];
		ASSERT_VERDICT(f, SW_OTHER_TRAFFIC);
	}
	/* A header of the other version */
	f = FRAME(.flags = SYN);
	f.byte[12] = 0x86, f.byte[13] = 0xdd;
	ASSERT_VERDICT(f, SW_OTHER_TRAFFIC);
	f6 = FRAME(.v6 = true, .flags = SYN);
	f6.byte[12] = 0x08, f6.byte[13] = 0x00;
	cr_assert_eq(RUN(f6).action, XDP_PASS);
	/* Behind an extension header as well */
	f6 = FRAME(.v6 = true, .flags = SYN, .extensions = 1, .extension = { 60 });
	f6.byte[f6.l3 + 40] = 58;
	ASSERT_VERDICT(f6, SW_OTHER_TRAFFIC);
}

Test(traffic, with_an_ip_header_that_is_too_short_is_left_alone)
{
	struct frame f = FRAME(.flags = SYN);

	for (__u8 ihl = 0; ihl < 5; ihl++) {
		f.byte[f.l3] = 0x40 | ihl;
		ASSERT_VERDICT(f, SW_TRUNCATED);
	}
}

Test(traffic, of_each_short_length_is_no_syn)
{
	for (__u32 length = 14; length <= 60; length++) {
		static const __u16 types[] = { 0, 0x0800, 0x86dd, 0x8100, 0x88a8 };

		for (unsigned int i = 0; i < 5; i++) {
			for (int fill = 0; fill < 3; fill++) {
				struct frame f = { .l3 = 14, .l4 = 34, .length = length };

				memset(f.byte, (const __u8[]){ 0, 0x45, 0xff }[fill], length);
				f.byte[12] = (__u8)(types[i] >> 8);
				f.byte[13] = (__u8)types[i];
				cr_assert_eq(guard_run(&f).action, XDP_PASS);
			}
		}
	}
}

Test(traffic, whose_headers_are_cut_is_left_to_the_kernel)
{
	struct segment all[] = {
		{ .flags = SYN },
		{ .v6 = true, .flags = SYN },
		{ .flags = SYN, .tag = { { 0x8100, 1 } } },
		{ .flags = SYN, .tag = { { 0x88a8, 1 }, { 0x8100, 2 } } },
		{ .v6 = true, .flags = SYN, .extensions = 2, .extension = { 0, 60 } },
	};

	for (unsigned int i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct frame f = frame_of(&all[i]);

		for (__u32 length = 14; length < f.length; length++)
			ASSERT_VERDICT(frame_resized(&f, length), SW_TRUNCATED);
	}
}

/*
 * What is known of a listener ends four times a second, at a tick of the clock: also when
 * that tick comes while a frame is judged it is judged by what is known, not let by.
 */
Test(traffic, none_is_let_by_when_its_listener_is_read_anew)
{
	struct frame ack = FRAME(.flags = ACK, .ack = 7, .tag = { { 0x8100, 5 } });
	int i;

	for (i = 0; i < 60; i++)
		guard_repeat(&ack, 200000);
	cr_assert_eq(guard_verdicts(SW_NOT_GUARDED), 0, "%llu", guard_verdicts(SW_NOT_GUARDED));
	cr_assert_geq(guard_verdicts(SW_ACK_INVALID), 12000000ULL);
}
