// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "window.h"

/*
 * tcp_openreq_init_rwin() and tcp_select_initial_window() of Linux 6.18, in the order in
 * which they reckon. mss is less the timestamp's 12 bytes already.
 */
static void kernel_initial_window(const struct sw_window_in *in, __u32 mss, __u32 *ret_window,
				  int *ret_wscale)
{
	__u32 clamp = in->clamp, space = in->full_space;
	int bits = 0;

	if (in->rcvbuf_locked && (clamp > in->full_space || clamp == 0))
		clamp = in->full_space;
	if (clamp == 0)
		clamp = 65535U << 14;
	if (space > clamp)
		space = clamp;
	if (space > mss)
		space = space / mss * mss;
	*ret_window = space > (in->signed_windows ? 32767 : 65535)
			      ? (in->signed_windows ? 32767 : 65535)
			      : space;
	if (in->init_segments && *ret_window > in->init_segments * mss)
		*ret_window = in->init_segments * mss;

	if (space < in->rmem_max)
		space = in->rmem_max;
	if (space > clamp)
		space = clamp;
	while (space >> (bits + 1))
		bits++;
	*ret_wscale = bits < 15 ? 0 : bits > 29 ? 14 : bits - 15;
}

/* Sizes of all magnitudes, and now and then right at a power of two. */
static __u32 random_size(__u64 *random)
{
	__u32 size = (__u32)random_u64(random) >> random_below(random, 22) & 0x7fffffff;

	if (random_below(random, 4) == 0)
		size = (1U << (10 + random_below(random, 21))) + random_below(random, 3) - 1;
	return size;
}

static struct sw_window_in random_listener(__u64 *random)
{
	return (struct sw_window_in){
		.full_space = random_size(random),
		.clamp = random_below(random, 2) ? random_size(random) : 0,
		.rmem_max = random_size(random),
		.init_segments = random_below(random, 4) ? 0 : random_below(random, 100),
		.rcvbuf_locked = (__u8)random_below(random, 2),
		.signed_windows = random_below(random, 4) == 0,
	};
}

Test(window, is_the_kernels_for_any_listener)
{
	__u64 random = 11;
	int run;

	for (run = 0; run < 500000; run++) {
		struct sw_window_in in = random_listener(&random);
		__u32 mss = 76 + random_below(&random, 65420), window;
		int wscale;

		kernel_initial_window(&in, mss, &window, &wscale);
		cr_assert_eq(sw_initial_window(&in, mss), window,
			     "space %u clamp %u mss %u initrwnd %u", in.full_space, in.clamp, mss,
			     in.init_segments);
	}
}

Test(window, scale_is_the_kernels_for_any_listener)
{
	__u64 random = 12;
	int run;

	for (run = 0; run < 500000; run++) {
		struct sw_window_in in = random_listener(&random);
		__u32 mss = 76 + random_below(&random, 65420), window;
		int wscale;

		kernel_initial_window(&in, mss, &window, &wscale);
		cr_assert_eq(sw_initial_wscale(&in, mss), wscale, "space %u clamp %u rmem_max %u",
			     in.full_space, in.clamp, in.rmem_max);
	}
}

Test(window, scale_is_the_kernels_when_rounding_crosses_a_power_of_two)
{
	struct sw_window_in in = {.full_space = 65536, .rmem_max = 65000};

	cr_assert_eq(sw_initial_wscale(&in, 1448), 0); /* 65160 < 2^16 */
}

/* What this machine's own SYN-ACKs say with net.ipv4.tcp_rmem = 4096 131072 6291456. */
static const struct sw_window_in usual = {.full_space = 65536, .rmem_max = 6291456};

Test(window, of_a_usual_listener_is_65160_with_timestamps_and_64240_without)
{
	cr_assert_eq(sw_full_space(131072, 128), 65536);
	cr_assert_eq(sw_initial_window(&usual, 1460 - 12), 65160);
	cr_assert_eq(sw_initial_window(&usual, 1460), 64240);
}

Test(window, scale_of_a_usual_listener_is_7)
{
	cr_assert_eq(sw_initial_wscale(&usual, 1460), 7);
}

Test(window, of_a_usual_listener_over_ipv6_is_64260_with_timestamps_and_64800_without)
{
	cr_assert_eq(sw_initial_window(&usual, 1440 - 12), 64260);
	cr_assert_eq(sw_initial_window(&usual, 1440), 64800);
}

Test(window, over_loopback_is_65483_with_timestamps)
{
	cr_assert_eq(sw_initial_window(&usual, 65495 - 12), 65483);
}

Test(window, full_space_does_not_overflow)
{
	cr_assert_eq(sw_full_space(0xffffffff, 255), (__u32)((__uint128_t)0xffffffff * 255 / 256));
	cr_assert_eq(sw_full_space(0, 128), 0);
}

Test(window, never_exceeds_16_bits_whatever_the_buffer)
{
	__u64 random = 13;
	int run;

	for (run = 0; run < 100000; run++) {
		struct sw_window_in in = {.full_space = random_size(&random)};

		cr_assert_leq(sw_initial_window(&in, 1460), in.full_space);
	}
}

Test(window, scale_is_14_at_most_and_holds_the_largest_buffer)
{
	struct sw_window_in in = {.full_space = 65536};
	int bits;

	for (bits = 10; bits < 32; bits++) {
		in.rmem_max = 1U << bits;
		cr_assert_leq(sw_initial_wscale(&in, 1460), 14);
		if (bits < 30)
			cr_assert_geq((__u64)65536 << sw_initial_wscale(&in, 1460), in.rmem_max);
	}
}

Test(window, follows_SO_RCVBUF_when_it_is_set)
{
	struct sw_window_in in = {.full_space = 8192, .rmem_max = 6291456, .rcvbuf_locked = 1};

	cr_assert_eq(sw_initial_window(&in, 1460), 7300);
	cr_assert_eq(sw_initial_wscale(&in, 1460), 0);
}

Test(window, follows_TCP_WINDOW_CLAMP)
{
	struct sw_window_in in = usual;

	in.clamp = 10000;
	cr_assert_eq(sw_initial_window(&in, 1460), 8760);
	cr_assert_eq(sw_initial_wscale(&in, 1460), 0);
	in.clamp = 200000;
	cr_assert_eq(sw_initial_window(&in, 1460), 64240);
	cr_assert_eq(sw_initial_wscale(&in, 1460), 2);
}

Test(window, of_an_unknown_segment_size_divides_by_nothing)
{
	cr_assert_eq(sw_initial_window(&usual, 0), 65535);
}

/* tcp_win_from_space() before Linux 6.6: 1 is the default, half is overhead. */
Test(window, space_before_6_6_follows_tcp_adv_win_scale)
{
	cr_assert_eq(sw_full_space_before_6_6(131072, 1), 65536);
	cr_assert_eq(sw_full_space_before_6_6(131072, 2), 98304);
	cr_assert_eq(sw_full_space_before_6_6(131072, 0), 131072);
	cr_assert_eq(sw_full_space_before_6_6(131072, -2), 32768);
	cr_assert_eq(sw_full_space_before_6_6(131072, 31), 131072);
	cr_assert_eq(sw_full_space_before_6_6(131072, -31), 0);
}
