// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "bucket.h"

#define MS 1000000ULL

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

Test(bucket, holds_no_more_than_a_seconds_worth)
{
	__u64 word = 0, tag = 2ULL << 40, now = 100000 * 1000 * MS;
	int taken = 0, tries;

	cr_assert_eq(sw_bucket_take(word, tag, 10, now, &word), SW_BUCKET_TAKEN);
	now += 60 * 1000 * MS;
	for (tries = 0; tries < 100; tries++)
		taken += sw_bucket_take(word, tag, 10, now, &word) == SW_BUCKET_TAKEN;
	cr_assert_eq(taken, 10, "and the time stays out of the tag");
}

Test(bucket, of_a_time_that_came_round_again_has_run_out)
{
	__u64 word = 0, tag = 1ULL << 40, now = 1000 * MS;

	cr_assert_eq(sw_bucket_take(word, tag, 1, now, &word), SW_BUCKET_TAKEN);
	cr_assert_eq(sw_bucket_take(word, tag, 1, now + 40000 * 1000 * MS, &word), SW_BUCKET_TAKEN);
}
