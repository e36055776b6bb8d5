// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The compat path: what differs where the cookie is the kernel's own. */
#include <time.h>

#include "guard.h"
#include "kcookie.h"

TestSuite(compat, .init = guard_up_compat, .timeout = 20);
TestSuite(older, .init = guard_up_older, .timeout = 20);

/* On this kernel's helpers, and as on Linux 5.15 without them. */
#define BOTH_WAYS(name)        \
	static void name(void);\
	Test(compat, name)     \
	{                      \
		name();        \
	}                      \
	Test(older, name)      \
	{                      \
		name();        \
	}                      \
	static void name(void)

#define LISTENERS_STALE_MS 300

static __u32 kernel_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (__u32)(t.tv_sec * 1000ULL + (__u64)t.tv_nsec / 1000000);
}

static struct seen answer(const struct segment *syn)
{
	struct frame f = frame_of(syn);
	struct outcome o = guard_run(&f);

	return guard_reply(&o);
}
#define ANSWER(...) answer(&(struct segment){ .flags = SYN, ##__VA_ARGS__ })

static __u32 tsval_of(const struct seen *r)
{
	__u32 length;
	const __u8 *ts = seen_option(r, 8, &length);

	cr_assert_not_null(ts);
	cr_assert_eq(be32(ts + 4), CLIENT_TSVAL, "echo");
	return be32(ts);
}

static bool has(const struct seen *r, __u8 kind)
{
	__u32 length;

	return seen_option(r, kind, &length);
}

BOTH_WAYS(timestamp_says_what_was_offered)
{
	struct seen r = ANSWER(.options = LINUX_OPTIONS(1460));

	cr_assert_eq(tsval_of(&r) & SW_KCOOKIE_TS_MASK, SW_KCOOKIE_SACK | 7);
	cr_assert(has(&r, 2) && has(&r, 3) && has(&r, 4));
	r = ANSWER(.v6 = true, .options = BYTES(OPT_MSS(1440), OPT_TS));
	cr_assert_eq(tsval_of(&r) & SW_KCOOKIE_TS_MASK, SW_WSCALE_NONE);
	cr_assert(!has(&r, 3) && !has(&r, 4));
	r = answer(&(struct segment){ .flags = SYN | ECE | CWR, .options = LINUX_OPTIONS(1460) });
	cr_assert_eq(tsval_of(&r) & SW_KCOOKIE_TS_MASK, SW_KCOOKIE_ECN | SW_KCOOKIE_SACK | 7);
	cr_assert(r.flags & ECE);
}

/* PAWS: the socket goes on with the kernel's clock. */
Test(compat, timestamp_is_never_ahead_of_the_kernels_clock)
{
	for (int i = 0; i < 300; i++) {
		struct seen r = ANSWER(.seq = (__u32)i + 1, .options = BYTES(OPT_MSS(1460), OPT_TS, OPT_NOP, OPT_WSCALE(i % 15)));
		__u32 behind = kernel_ms() - tsval_of(&r);

		cr_assert_leq(behind, 1000, "%d ms", (int)behind);
		if (i % 16 == 0)
			wait_ms(1);
	}
}

Test(compat, without_timestamps_only_the_mss_is_kept)
{
	struct seen r = ANSWER(.options = WINDOWS_OPTIONS(1460));

	cr_assert_eq(r.options_length, 4);
	cr_assert(has(&r, 2));
	r = answer(&(struct segment){ .flags = SYN | ECE | CWR, .options = WINDOWS_OPTIONS(1460) });
	cr_assert(!(r.flags & ECE));
}

/* The kernel would take an offset from what is echoed that nobody could add. */
Test(compat, with_timestamp_offsets_only_the_mss_is_kept)
{
	struct seen r;

	set_sysctl("ipv4/tcp_timestamps", "1");
	wait_ms(LISTENERS_STALE_MS);
	r = ANSWER(.options = LINUX_OPTIONS(1460));
	cr_assert_eq(r.options_length, 4);
	cr_assert(has(&r, 2));
}

BOTH_WAYS(cookie_is_accepted_and_any_other_number_refused)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct handshake h;

		SHAKE_HANDS(&h, .v6 = v6, .sport = 41000, .options = LINUX_OPTIONS(1440));
		/* The lowest two are the MSS: with another one the cookie is as good. */
		for (int bit = 2; bit < 32; bit++) {
			struct segment wrong = h.ack;

			wrong.ack ^= 1U << bit;
			ASSERT_VERDICT(frame_of(&wrong), SW_ACK_INVALID);
			wrong = h.ack;
			wrong.seq ^= 1U << bit;
			ASSERT_VERDICT(frame_of(&wrong), SW_ACK_INVALID);
		}
		h.ack.sport++;
		ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_INVALID);
		h.ack.sport--;
		ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
		h.ack.seq += 100;
		ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_BEHIND_VALID);
	}
}

/* __cookie_v4_init_sequence(): the kernel's own table, read back by its own hands. */
BOTH_WAYS(cookie_carries_the_mss_rounded_down)
{
	struct seen a = ANSWER(.options = BYTES(OPT_MSS(1460))), b = ANSWER(.options = BYTES(OPT_MSS(1500)));
	struct seen c = ANSWER(.options = BYTES(OPT_MSS(1459))), d = ANSWER(.options = BARE_OPTIONS);

	cr_assert_eq(a.seq, b.seq);
	cr_assert_neq(a.seq, c.seq);
	cr_assert_neq(c.seq, d.seq);
}

/* The kernel would take no cookie back: nobody is to be sent one. */
BOTH_WAYS(leaves_all_to_the_kernel_without_syncookies_2)
{
	for (int value = 0; value < 2; value++) {
		set_sysctl("ipv4/tcp_syncookies", value ? "1" : "0");
		wait_ms(LISTENERS_STALE_MS);
		ASSERT_VERDICT(FRAME(.flags = SYN), SW_NOT_GUARDED);
		ASSERT_VERDICT(FRAME(.flags = ACK, .ack = 7), SW_NOT_GUARDED);
	}
	set_sysctl("ipv4/tcp_syncookies", "2");
	wait_ms(LISTENERS_STALE_MS);
	ASSERT_VERDICT(FRAME(.flags = SYN), SW_SYNACK_SENT);
}

BOTH_WAYS(knows_connections_as_host_mode_does)
{
	struct connection c;

	connect_to(&c, guard.listener, false, 42000);
	guard_start();
	c.segment.flags = ACK;
	ASSERT_VERDICT(frame_of(&c.segment), SW_KNOWN);
	c.segment.flags = SYN;
	ASSERT_VERDICT(frame_of(&c.segment), SW_SYN_KNOWN);
}

/* Its checksum is over data that helpers copy out of the frame, or none do. */
BOTH_WAYS(data_of_a_syn_is_summed)
{
	static __u8 data[1400];

	for (__u32 i = 0; i < sizeof(data); i++)
		data[i] = (__u8)(i * 7 + 1);
	for (__u32 length = 0; length <= sizeof(data); length += length < 9 ? 1 : 97) {
		struct segment s = { .flags = SYN, .sport = 42001, .data = { data, length } };

		ASSERT_VERDICT(frame_of(&s), SW_SYNACK_SENT);
		s.tcp_checksum = CHECKSUM_WRONG;
		ASSERT_VERDICT(frame_of(&s), SW_CHECKSUM_INVALID);
	}
}
