// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "clock.h"

#define STEP_NS (1ULL << 20)
#define YEAR_NS (365ULL * 86400 * 1000000000)

static __u64 true_ms(__u64 now_ns)
{
	return now_ns / 1000000;
}

/* Like sw_clock_ms() before it is cut to 32 bits; time since boot does not overflow it. */
static void check_at(__u64 now_ns)
{
	__u64 step = now_ns & ~(STEP_NS - 1), ms = true_ms(step);
	__u32 ahead = sw_clock_ms(now_ns) - (__u32)ms;

	/* Never slower: at a step it shows at least the true time. */
	cr_assert((__s32)ahead >= 0, "at %llu ns %d ms behind", now_ns, -(__s32)ahead);
	/* Less than 10 ppm fast, and what the true time's fraction of a ms rounds to. */
	cr_assert_leq(ahead, ms / 100000 + 1, "at %llu ns %u ms ahead", now_ns, ahead);
}

Test(clock, is_never_slower_than_milliseconds_and_less_than_10_ppm_fast)
{
	__u64 random = 4, step, i;

	for (step = 0; step < 1000000; step++)
		check_at(step * STEP_NS);
	for (i = 0; i < 1000000; i++)
		check_at(random_u64(&random) % (100 * YEAR_NS));
}

Test(clock, between_two_steps_stands_still)
{
	__u64 step;

	for (step = 0; step < 100000; step++)
		cr_assert_eq(sw_clock_ms(step * STEP_NS),
			     sw_clock_ms(step * STEP_NS + STEP_NS - 1));
}

Test(clock, goes_one_or_two_ms_a_step_and_never_back)
{
	__u64 step;

	for (step = 0; step < 2000000; step++) {
		__u32 went = sw_clock_ms((step + 1) * STEP_NS) - sw_clock_ms(step * STEP_NS);

		cr_assert(went == 1 || went == 2, "step %llu: %u", step, went);
	}
}

Test(clock, goes_on_over_the_wrap_of_32_bits)
{
	__u64 wrap_ns = (1ULL << 32) * 1000000, now;
	__u32 before = sw_clock_ms(wrap_ns - 3600000000000ULL);
	int wrapped = 0;

	cr_assert_gt(before, 0x80000000U);
	for (now = wrap_ns - 3600000000000ULL; now < wrap_ns + 3600000000000ULL; now += STEP_NS) {
		__u32 ms = sw_clock_ms(now);

		cr_assert((__s32)(ms - before) >= 0);
		cr_assert_leq(ms - before, 2);
		wrapped |= ms < before;
		before = ms;
	}
	cr_assert(wrapped);
}

Test(clock, does_not_overflow_before_64_bits_of_nanoseconds_do)
{
	cr_assert_eq(sw_clock_ms(~0ULL), (__u32)((__uint128_t)(~0ULL >> 20) * SW_MS_FACTOR >> 16));
}

static void check_tsval(__u32 clock_ms, __u32 mask, __u32 bits)
{
	__u32 tsval = sw_tsval_with(clock_ms, mask, bits);

	cr_assert_eq(tsval & mask, bits);
	cr_assert_leq(clock_ms - tsval, mask, "clock %u bits %u: %u", clock_ms, bits, tsval);
}

Test(clock, with_bits_in_it_is_never_ahead_and_at_most_the_mask_behind)
{
	__u32 at, bits;

	for (at = 0; at < 512; at++) {
		for (bits = 0; bits < 256; bits++) {
			check_tsval(at - 256, 255, bits); /* over the wrap */
			check_tsval(at - 256, 63, bits & 63);
			check_tsval(0x80000000 - 256 + at, 63, bits & 63);
		}
	}
}
