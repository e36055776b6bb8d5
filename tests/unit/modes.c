// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Rates, hysteresis, buckets, and which service holds a listener. */
#include "unit.h"
#include "bucket.h"
#include "hysteresis.h"
#include "rate.h"
#include "service.h"

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

Test(hysteresis, arms_at_the_start_and_is_calm_below_the_end_only)
{
	struct sw_service s = {.syn_start = 100, .syn_end = 50, .half_open_start = 64, .half_open_end = 16};

	cr_assert_eq(sw_arms(&s, 99, 63), 0);
	cr_assert_eq(sw_arms(&s, 100, 0), SW_ARMED_BY_SYN_RATE);
	cr_assert_eq(sw_arms(&s, 0, 64), SW_ARMED_BY_HALF_OPEN);
	cr_assert(sw_calm(&s, 49, 15, 0));
	cr_assert_not(sw_calm(&s, 50, 0, 0));
	cr_assert_not(sw_calm(&s, 0, 16, 0));
	cr_assert_not(sw_calm(&s, 0, 0, 256), "one a second unanswered fills 64 places");
}

Test(hysteresis, holds_until_it_was_calm_all_the_time)
{
	__u64 since = 0;

	cr_assert_not(sw_calm_held(&since, 1, 1000, 5000 * MS));
	cr_assert_not(sw_calm_held(&since, 0, 1000, 5900 * MS));
	cr_assert_not(sw_calm_held(&since, 1, 1000, 6000 * MS));
	cr_assert_not(sw_calm_held(&since, 1, 1000, 6999 * MS));
	cr_assert(sw_calm_held(&since, 1, 1000, 7000 * MS));
}

Test(hysteresis, forgets_a_large_flood_as_soon_as_a_small_one)
{
	__u64 unanswered = 0;
	int ticks;

	for (ticks = 0; ticks < 100; ticks++)
		unanswered = sw_unanswered(unanswered, 100000, 0, 256);
	for (ticks = 0; unanswered; ticks++)
		unanswered = sw_unanswered(unanswered, 0, 0, 256);
	cr_assert_lt(ticks, 200);
}

Test(bucket, gives_a_seconds_worth_and_then_its_rate)
{
	__u64 word = 0, tag = 0xabcdef0000000000ULL, now = 77 * 1000 * MS;
	int taken = 0, ms;

	while (sw_bucket_take(word, tag, 10, now, &word) == SW_BUCKET_TAKEN)
		taken++;
	cr_assert_eq(taken, 10);
	for (ms = 0; ms < 2000; ms++)
		taken += sw_bucket_take(word, tag, 10, now + ms * MS, &word) == SW_BUCKET_TAKEN;
	cr_assert_geq(taken, 29);
	cr_assert_leq(taken, 30);
}

Test(bucket, of_another_is_overwritten_and_never_refuses)
{
	__u64 word = 0, now = 1000 * MS;

	cr_assert_eq(sw_bucket_take(word, 1ULL << 40, 1, now, &word), SW_BUCKET_TAKEN);
	cr_assert_eq(sw_bucket_take(word, 1ULL << 40, 1, now, &word), SW_BUCKET_EMPTY);
	cr_assert_eq(sw_bucket_take(word, 2ULL << 40, 1, now, &word), SW_BUCKET_OVERWRITTEN);
	cr_assert_eq(sw_bucket_take(word, 2ULL << 40, 1, now + 30000 * 1000 * MS, &word), SW_BUCKET_TAKEN);
}

Test(service, holds_its_prefix_and_ports)
{
	struct sw_service s = {.addr = {[10] = 0xff, 0xff, 192, 0, 2, 0}, .prefix_length = 96 + 24, .port_first = 80, .port_last = 81};
	struct sw_addr in = sw_addr_of(0, 0x090200c0, 0), out = sw_addr_of(0, 0x090300c0, 0);

	cr_assert(sw_service_holds(&s, in, 80));
	cr_assert_not(sw_service_holds(&s, in, 82));
	cr_assert_not(sw_service_holds(&s, out, 80));
	s.prefix_length = 0;
	cr_assert(sw_service_holds(&s, out, 81));
}

Test(rtt, bucket_is_the_logarithm)
{
	cr_assert_eq(sw_rtt_bucket(0), 0);
	cr_assert_eq(sw_rtt_bucket(1), 0);
	cr_assert_eq(sw_rtt_bucket(2), 1);
	cr_assert_eq(sw_rtt_bucket(1023), 9);
	cr_assert_eq(sw_rtt_bucket(~0U), SW_RTT_BUCKETS - 1);
}
