// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Round trips: the SYN-ACK the program made is answered, as clients answer and as liars do. */
#include <string.h>
#include <time.h>

#include "guard.h"

TestSuite(cookie, .init = guard_up, .timeout = 20);

#define EPOCH_NS (1ULL << 35)

static void assert_handed(const struct outcome *o, const struct handshake *h, const struct handoff *want)
{
	__u32 length;
	const __u8 *ours = seen_option(&h->synack, 3, &length);

	ASSERT_OUTCOME(*o, SW_ACK_VALID);
	cr_assert_eq(o->handoff.magic, HANDOFF_MAGIC);
	cr_assert_eq(o->handoff.mss, want->mss, "mss %u", o->handoff.mss);
	cr_assert_eq(o->handoff.wscale_ok, want->wscale_ok);
	cr_assert_eq(o->handoff.snd_wscale, want->snd_wscale, "the client's scale");
	cr_assert_eq(o->handoff.rcv_wscale, ours ? *ours : 0, "ours, as the SYN-ACK said");
	cr_assert_eq(o->handoff.sack_ok, want->sack_ok);
	cr_assert_eq(o->handoff.ecn_ok, want->ecn_ok);
	cr_assert_eq(o->handoff.tstamp_ok, want->tstamp_ok);
	cr_assert_eq(o->handoff.usec_ts_ok, 0);
	cr_assert_eq(o->handoff.rcv_tsval, want->tstamp_ok ? 0x01020309 : 0);
	cr_assert_eq(o->handoff.rcv_tsecr, want->tstamp_ok ? be32(h->ts + 8) : 0);
	cr_assert_eq(o->handoff.reserved[0] | o->handoff.reserved[1] | o->handoff.reserved[2], 0);
}

Test(cookie, brings_back_what_each_stack_offered)
{
	struct {
		struct segment syn;
		struct handoff want;
	} all[] = {
		{ { .flags = SYN, .options = LINUX_OPTIONS(1460) },
		  { .mss = 1460, .wscale_ok = 1, .snd_wscale = 7, .sack_ok = 1, .tstamp_ok = 1 } },
		{ { .flags = SYN | ECE | CWR, .options = LINUX_OPTIONS(1400) },
		  { .mss = 1400, .wscale_ok = 1, .snd_wscale = 7, .sack_ok = 1, .tstamp_ok = 1, .ecn_ok = 1 } },
		{ { .flags = SYN, .options = WINDOWS_OPTIONS(1460) },
		  { .mss = 1460, .wscale_ok = 1, .snd_wscale = 8, .sack_ok = 1 } },
		{ { .flags = SYN, .options = MACOS_OPTIONS(1460) },
		  { .mss = 1460, .wscale_ok = 1, .snd_wscale = 6, .sack_ok = 1, .tstamp_ok = 1 } },
		{ { .flags = SYN, .options = FREEBSD_OPTIONS(1460) },
		  { .mss = 1460, .wscale_ok = 1, .snd_wscale = 6, .sack_ok = 1, .tstamp_ok = 1 } },
		{ { .flags = SYN }, { .mss = 536 } },
		{ { .flags = SYN, .options = BYTES(OPT_MSS(1460)) }, { .mss = 1460 } },
		{ { .flags = SYN, .options = BYTES(OPT_SACK, OPT_MSS(1300)) }, { .mss = 1300, .sack_ok = 1 } },
		{ { .flags = SYN, .options = BYTES(OPT_TS) }, { .mss = 536, .tstamp_ok = 1 } },
		{ { .v6 = true, .flags = SYN, .options = LINUX_OPTIONS(1440) },
		  { .mss = 1440, .wscale_ok = 1, .snd_wscale = 7, .sack_ok = 1, .tstamp_ok = 1 } },
		{ { .v6 = true, .flags = SYN, .options = WINDOWS_OPTIONS(1440) },
		  { .mss = 1440, .wscale_ok = 1, .snd_wscale = 8, .sack_ok = 1 } },
		{ { .v6 = true, .flags = SYN }, { .mss = 1220 } },
		{ { .v6 = true, .flags = SYN, .options = MACOS_OPTIONS(1440),
		    .tag = { { 0x88a8, 7 }, { 0x8100, 8 } }, .extensions = 1, .extension = { 60 } },
		  { .mss = 1440, .wscale_ok = 1, .snd_wscale = 6, .sack_ok = 1, .tstamp_ok = 1 } },
	};

	for (unsigned int i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct handshake h;
		struct outcome o;

		all[i].syn.sport = (__u16)(6000 + i);
		shake_hands(&h, &all[i].syn);
		o = RUN(frame_of(&h.ack));
		assert_handed(&o, &h, &all[i].want);
	}
}

Test(cookie, keeps_every_window_scale)
{
	for (int ts = 0; ts < 2; ts++) {
		for (__u32 w = 0; w < 18; w++) {
			__u8 with_ts[] = { OPT_WSCALE((__u8)w), OPT_TS, 1, 1, 1 };
			struct handshake h;
			struct outcome o;

			SHAKE_HANDS(&h, .sport = (__u16)(6000 + ts * 100 + w), .options = { with_ts, ts ? 16 : 3 });
			o = RUN(frame_of(&h.ack));
			ASSERT_OUTCOME(o, SW_ACK_VALID);
			cr_assert_eq(o.handoff.wscale_ok, 1);
			cr_assert_eq(o.handoff.snd_wscale, w > 14 ? 14 : w);
		}
	}
}

Test(cookie, never_hands_on_a_larger_mss_than_was_offered)
{
	for (int kind = 0; kind < 4; kind++) {
		bool v6 = kind & 1, ts = kind & 2;
		__u32 last = 0;

		for (__u32 mss = v6 ? 1220 : 536; mss < 9100; mss += mss < 1500 ? 1 + mss % 7 : 401) {
			__u8 options[] = { 2, 4, 0, (__u8)mss, OPT_TS, 1, 1 };
			struct handshake h;
			struct outcome o;

			options[2] = (__u8)(mss >> 8);
			SHAKE_HANDS(&h, .v6 = v6, .sport = (__u16)(mss + kind), .options = { options, ts ? 16 : 4 });
			o = RUN(frame_of(&h.ack));
			ASSERT_OUTCOME(o, SW_ACK_VALID);
			cr_assert_leq(o.handoff.mss, mss);
			cr_assert_geq(o.handoff.mss, v6 ? 1220 : 536);
			cr_assert_geq(o.handoff.mss, last, "a larger offer gets no less");
			last = o.handoff.mss;
		}
		cr_assert_geq(last, v6 ? 1440 : 1460);
	}
}

/* Each bit that the cookie binds, in the ACK's bytes from the IP header on. */
static void assert_every_bit_counts(const struct handshake *h)
{
	struct frame f = frame_of(&h->ack);
	__u32 from = f.l3 + (h->ack.v6 ? 8 : 12), bits = 0;

	for (__u32 at = from; at < f.length; at++) {
		__u32 tcp = at - f.l4;
		bool address = at < from + (h->ack.v6 ? 32 : 8);
		bool bound = address || tcp < 12 || tcp == 31; /* ports, seq, ack, low byte of TSecr */

		for (int bit = 0; bound && bit < 8; bit++) {
			struct frame changed = f;
			struct outcome o;

			changed.byte[at] ^= (__u8)(1 << bit);
			frame_fix(&changed);
			o = guard_run(&changed);
			/* Another port or address of ours may not be guarded at all. */
			if (o.reason == SW_NOT_GUARDED && (address || (tcp >= 2 && tcp < 4)))
				continue;
			ASSERT_OUTCOME(o, SW_ACK_INVALID);
			bits++;
		}
	}
	cr_assert_geq(bits, h->ack.v6 ? 16 * 8 + 12 * 8 - 4 : 4 * 8 + 12 * 8 - 4, "only %u bits tried", bits);
	ASSERT_VERDICT(f, SW_ACK_VALID);
}

static void be_at_neighbouring_ports_and_addresses(void)
{
	char command[128];

	for (int bit = 0; bit < 16; bit++) {
		listen_on(AF_INET, SERVER_PORT ^ (1 << bit), 8);
		listen_on(AF_INET6, SERVER_PORT ^ (1 << bit), 8);
	}
	for (int bit = 0; bit < 32; bit++) {
		__u32 other = 0xc0000201 ^ (1U << bit);

		if (other >> 28 < 14) {
			snprintf(command, sizeof(command), "ip addr add %u.%u.%u.%u/32 dev v0", other >> 24,
				 other >> 16 & 255, other >> 8 & 255, other & 255);
			on_server(command);
		}
	}
	for (int bit = 0; bit < 128; bit += 5) {
		struct in6_addr other = address(SERVER6);
		__u8 *b = other.s6_addr;

		b[bit / 8] ^= (__u8)(1 << bit % 8);
		snprintf(command, sizeof(command),
			 "ip addr add %x:%x:%x:%x:%x:%x:%x:%x/128 dev v0 nodad", be16(b), be16(b + 2),
			 be16(b + 4), be16(b + 6), be16(b + 8), be16(b + 10), be16(b + 12), be16(b + 14));
		on_server(command);
	}
	guard_configure();
}

Test(cookie, with_any_bound_bit_flipped_is_refused)
{
	struct bytes layouts[] = { LINUX_OPTIONS(1440), WINDOWS_OPTIONS(1440), MACOS_OPTIONS(1440),
				   FREEBSD_OPTIONS(1440), BARE_OPTIONS };

	be_at_neighbouring_ports_and_addresses();
	for (__u16 i = 0; i < 10; i++) {
		struct handshake h;

		/* Ports two bits apart: none is another's flipped. */
		SHAKE_HANDS(&h, .v6 = i & 1, .options = layouts[i / 2], .sport = (__u16)(0x8000 + i * 3),
			    .seq = 0x80000000U + i);
		assert_every_bit_counts(&h);
	}
}

Test(cookie, with_timestamps_is_worth_nothing_without_them_and_the_other_way_round)
{
	struct handshake h;
	struct segment s;

	SHAKE_HANDS(&h, .options = LINUX_OPTIONS(1460));
	s = h.ack;
	s.options = (struct bytes){};
	ASSERT_VERDICT(frame_of(&s), SW_ACK_INVALID);
	SHAKE_HANDS(&h, .options = WINDOWS_OPTIONS(1460));
	s = h.ack;
	s.options = BYTES(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8);
	ASSERT_VERDICT(frame_of(&s), SW_ACK_INVALID);
}

Test(cookie, is_found_however_the_acks_options_are_laid_out)
{
	struct handshake h;
	struct segment s;
	__u8 late[24] = { 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 8, 10, 1, 2, 3, 9 };

	SHAKE_HANDS(&h, .options = LINUX_OPTIONS(1460));
	memcpy(late + 19, h.ts + 8, 4);
	s = h.ack;
	s.options = (struct bytes){ late, 23 };
	ASSERT_VERDICT(frame_of(&s), SW_ACK_VALID);
}

Test(cookie, comes_back_with_the_first_data_or_a_fin_as_well)
{
	static const __u8 request[] = "GET / HTTP/1.0\r\n\r\n";
	static const __u8 flags[] = { ACK, ACK | PSH, ACK | FIN, ACK | FIN | PSH, ACK | URG, ACK | ECE | CWR };

	for (__u16 i = 0; i < sizeof(flags); i++) {
		struct handshake h;

		SHAKE_HANDS(&h, .options = LINUX_OPTIONS(1460), .sport = (__u16)(6000 + i));
		h.ack.flags = flags[i];
		h.ack.data = (struct bytes){ request, sizeof(request) - 1 };
		ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
	}
}

static void move_clock(__s64 epochs)
{
	guard.config.epoch_offset_ns += (__u64)(epochs * (__s64)EPOCH_NS);
	guard_configure();
}

Test(cookie, is_good_for_two_epochs_more_and_one_ahead)
{
	struct {
		__s64 later;
		enum sw_reason reason;
	} all[] = {
		{ 0, SW_ACK_VALID }, { 1, SW_ACK_VALID },     { 2, SW_ACK_VALID },    { 3, SW_ACK_INVALID },
		{ 4, SW_ACK_INVALID }, { 5, SW_ACK_INVALID }, { 8, SW_ACK_INVALID },  { -1, SW_ACK_VALID },
		{ -2, SW_ACK_INVALID }, { -4, SW_ACK_INVALID },
	};
	struct bytes layouts[] = { LINUX_OPTIONS(1460), WINDOWS_OPTIONS(1460) };

	for (unsigned int i = 0; i < 2 * sizeof(all) / sizeof(*all); i++) {
		struct handshake h;
		struct outcome o;

		SHAKE_HANDS(&h, .options = layouts[i & 1], .sport = (__u16)(6000 + i));
		move_clock(all[i / 2].later);
		o = RUN(frame_of(&h.ack));
		cr_assert_eq(o.reason, all[i / 2].reason, "%lld epochs later: %s", (long long)all[i / 2].later,
			     reason_name(o.reason));
		move_clock(-all[i / 2].later);
	}
}

Test(cookie, lives_68_seconds_at_least_and_103_at_most)
{
	/* The clock stands one second into an epoch. */
	struct handshake h;

	guard.config.epoch_offset_ns += EPOCH_NS - 2000000000ULL; /* made at the very end of one */
	guard_configure();
	SHAKE_HANDS(&h, .options = WINDOWS_OPTIONS(1460), .sport = 6001);
	guard.config.epoch_offset_ns += 68000000000ULL;
	guard_configure();
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
	guard.config.epoch_offset_ns += 3000000000ULL;
	guard_configure();
	h.ack.sport = 6001;
	wait_ms(150); /* no longer right behind */
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_INVALID);
}

Test(cookie, survives_a_rotation_of_keys)
{
	struct handshake before, at_the_end, after;

	SHAKE_HANDS(&before, .options = LINUX_OPTIONS(1460), .sport = 6001);
	/* A new key, from the next epoch on. */
	guard.secrets.cookie.key[0] = guard.secrets.cookie.key[1];
	memset(&guard.secrets.cookie.key[1], 0x5a, sizeof(struct sw_key));
	guard.secrets.cookie.switch_epoch = sw_epoch(guard.clock_ns) + 1;
	guard_configure();
	SHAKE_HANDS(&at_the_end, .options = LINUX_OPTIONS(1460), .sport = 6002);
	move_clock(1);
	SHAKE_HANDS(&after, .options = LINUX_OPTIONS(1460), .sport = 6003);
	ASSERT_VERDICT(frame_of(&before.ack), SW_ACK_VALID);
	ASSERT_VERDICT(frame_of(&at_the_end.ack), SW_ACK_VALID);
	ASSERT_VERDICT(frame_of(&after.ack), SW_ACK_VALID);
}

Test(cookie, of_a_key_that_is_gone_is_refused)
{
	struct handshake h;

	SHAKE_HANDS(&h, .options = LINUX_OPTIONS(1460));
	guard.secrets.cookie.key[1].k1 ^= 1ULL << 63;
	guard_configure();
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_INVALID);
}

Test(cookie, of_another_box_with_the_same_keys_is_good)
{
	struct handshake h;

	SHAKE_HANDS(&h, .options = MACOS_OPTIONS(1460));
	/* Same keys, another tuple hash: that seed is each box's own. */
	guard.secrets.hash_seed[0] ^= 0x1234567890abcdefULL;
	guard_configure();
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
}

Test(cookie, of_a_repeated_syn_is_the_same_and_of_another_isn_is_not)
{
	struct handshake first, again, other;

	SHAKE_HANDS(&first, .options = WINDOWS_OPTIONS(1460));
	SHAKE_HANDS(&again, .options = WINDOWS_OPTIONS(1460));
	cr_assert_eq(first.synack.seq, again.synack.seq);
	SHAKE_HANDS(&other, .options = WINDOWS_OPTIONS(1460), .seq = CLIENT_ISN + 1);
	cr_assert_neq(first.synack.seq & 0xfffffe00, other.synack.seq & 0xfffffe00);
	/* Two SYN-ACKs are out: either completes. */
	ASSERT_VERDICT(frame_of(&other.ack), SW_ACK_VALID);
	wait_ms(150);
	ASSERT_VERDICT(frame_of(&first.ack), SW_ACK_VALID);
}

Test(cookie, differs_from_tuple_to_tuple)
{
	static __u32 seen[512];

	for (__u32 i = 0; i < 512; i++) {
		struct handshake h;

		SHAKE_HANDS(&h, .sport = (__u16)(1024 + i), .options = LINUX_OPTIONS(1460));
		seen[i] = h.synack.seq;
		for (__u32 j = 0; j < i; j++)
			cr_assert_neq(seen[j], seen[i]);
	}
}

Test(cookie, timestamp_never_runs_ahead_of_the_clock_nor_backwards)
{
	__u32 last = 0;

	for (int round = 0; round < 200; round++) {
		struct handshake h;
		struct timespec t;
		__u64 ms;
		__u32 tsval;

		SHAKE_HANDS(&h, .sport = (__u16)(1024 + round), .options = LINUX_OPTIONS(1460));
		clock_gettime(CLOCK_MONOTONIC, &t);
		ms = t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
		ms += ms / 100000 + 1; /* it may gain 8 ppm on the kernel's */
		tsval = be32(h.ts + 8);
		cr_assert_leq((__s32)(tsval - (__u32)ms), 0, "%d ms ahead", (__s32)(tsval - (__u32)ms));
		cr_assert_geq((__s32)(tsval - (__u32)ms), -600 - (__s32)(ms / 100000));
		cr_assert_geq((__s32)(tsval - last), last ? 0 : (__s32)(tsval - last));
		last = tsval;
		wait_ms(2);
	}
}

Test(cookie, record_goes_in_front_of_other_metadata)
{
	struct handshake h;
	struct frame f;

	SHAKE_HANDS(&h, .options = LINUX_OPTIONS(1460));
	f = frame_of(&h.ack);
	f.meta = 8;
	cr_assert_eq(ASSERT_VERDICT(f, SW_ACK_VALID).handoff.magic, HANDOFF_MAGIC);
}

Test(cookie, without_room_for_its_record_leaves_a_note)
{
	struct handshake h;
	struct frame f;

	SHAKE_HANDS(&h, .options = LINUX_OPTIONS(1460));
	f = frame_of(&h.ack);
	f.meta = META_MOST;
	cr_assert_not(guard_notes(), "a note before there was an ACK");
	cr_assert_not(ASSERT_VERDICT(f, SW_ACK_VALID).handed);
	cr_assert(guard_notes());
}

Test(cookie, guessed_is_refused)
{
	__u64 state = 7;

	for (int i = 0; i < 20000; i++) {
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		ASSERT_VERDICT(FRAME(.flags = ACK, .seq = (__u32)(state >> 32), .ack = (__u32)(state >> 16),
				     .sport = (__u16)(1024 + i)),
			       SW_ACK_INVALID);
	}
}
