// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "hysteresis.h"

#define MS 1000000ULL

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
	for (ticks = 0; unanswered && ticks < 1000; ticks++)
		unanswered = sw_unanswered(unanswered, 0, 0, 256);
	cr_assert_lt(ticks, 200);
}

Test(hysteresis, a_threshold_of_0_is_not_looked_at)
{
	struct sw_service by_rate = {.syn_start = 100, .syn_end = 50, .half_open_end = 1},
			  by_half_open = {.half_open_start = 64, .half_open_end = 16, .syn_end = 1};

	cr_assert_eq(sw_arms(&by_rate, 0, 1000), 0);
	cr_assert_eq(sw_arms(&by_half_open, 1000000, 0), 0);
	cr_assert(sw_calm(&by_rate, 49, 1000, 1 << 20));
	cr_assert(sw_calm(&by_half_open, 1000000, 15, 255));
}

Test(hysteresis, reckons_the_queue_from_what_stays_unanswered)
{
	__u64 unanswered = 0;
	int ticks;

	cr_assert_eq(sw_unanswered(3200, 0, 0, 1 << 20), 3100);
	cr_assert_eq(sw_unanswered(0, 5, 50, 1 << 20), 0, "more valid ACKs than SYNs");
	for (ticks = 0; ticks < 1000; ticks++)
		unanswered = sw_unanswered(unanswered, 15, 5, 1 << 20);
	cr_assert_leq(labs((long)unanswered - (100 << 8)), 64, "10 each tenth of a second");
}
