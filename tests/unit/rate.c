// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "rate.h"

#define MS 1000000ULL

Test(rate, is_right_two_windows_after_a_step)
{
	__u64 now = 1000 * MS, running = 0, before = 0, step = now;

	for (; now < step + 500 * MS; now += MS) {
		sw_rate_add(&running, &before, now, SW_RATE_FAST, 10);
		if (now > step + 136 * MS)
			cr_assert_leq(labs((long)sw_rate_per_s(sw_rate_count(running, before, now, SW_RATE_FAST),
							       SW_RATE_FAST) - 10000), 400);
	}
	cr_assert_eq(sw_rate_count(running, before, now + 200 * MS, SW_RATE_FAST), 0);
}

Test(rate, of_a_late_cpu_counts_in_the_window_that_runs)
{
	__u64 running = 0, before = 0, late = 1000 * MS, now = late + 70 * MS;

	sw_rate_add(&running, &before, now, SW_RATE_FAST, 5);
	sw_rate_add(&running, &before, late, SW_RATE_FAST, 7);
	cr_assert_eq((__u32)running, 12);
}

Test(rate, of_the_window_before_fades)
{
	__u64 window = 1ULL << SW_RATE_FAST, running = 0, before = 0;

	sw_rate_add(&running, &before, 100 * window, SW_RATE_FAST, 100);
	cr_assert_eq(sw_rate_count(running, before, 101 * window, SW_RATE_FAST), 100);
	cr_assert_eq(sw_rate_count(running, before, 101 * window + window / 2, SW_RATE_FAST), 50);
	cr_assert_eq(sw_rate_count(running, before, 102 * window, SW_RATE_FAST), 0);
	sw_rate_add(&running, &before, 101 * window + window / 2, SW_RATE_FAST, 7);
	cr_assert_eq(sw_rate_count(running, before, 101 * window + window / 2, SW_RATE_FAST), 57);
}

Test(rate, per_second_needs_more_than_32_bits)
{
	cr_assert_eq(sw_rate_per_s(1U << 31, SW_RATE_FAST), 32000000000ULL);
}

Test(peak, is_the_largest_of_two_windows)
{
	__u64 window = 1ULL << SW_PEAK, running = 0, before = 0;

	sw_peak_note(&running, &before, 100 * window, 5);
	sw_peak_note(&running, &before, 100 * window, 10);
	sw_peak_note(&running, &before, 100 * window, 3);
	cr_assert_eq(sw_peak(running, before, 100 * window), 10);
	sw_peak_note(&running, &before, 101 * window, 4);
	cr_assert_eq(sw_peak(running, before, 101 * window), 10);
	cr_assert_eq(sw_peak(running, before, 102 * window), 4);
	sw_peak_note(&running, &before, 102 * window, 6);
	cr_assert_eq(sw_peak(running, before, 102 * window), 6);
}

Test(peak, of_a_window_that_nobody_followed_lasts_as_long_as_half_open_sockets_do)
{
	__u64 window = 1ULL << SW_PEAK, running = 0, before = 0;

	sw_peak_note(&running, &before, 100 * window, 5);
	cr_assert_eq(sw_peak(running, before, 227 * window), 5);
	cr_assert_eq(sw_peak(running, before, 228 * window), 0);
	cr_assert_geq(127 * window, 63 * 1000 * MS);
}
