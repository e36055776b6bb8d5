// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "kcookie.h"

/* cookie_timestamp_decode() and cookie_ecn_ok() of Linux 6.1, with every sysctl on. */
static struct sw_tcpopts kernel_decode(__u32 tsecr)
{
	struct sw_tcpopts opts = {.wscale = SW_WSCALE_NONE, .flags = SW_OPT_TSTAMP};

	if (tsecr & 1 << 4)
		opts.flags |= SW_OPT_SACK;
	if (tsecr & 1 << 5)
		opts.flags |= SW_OPT_ECN;
	if ((tsecr & 0xf) != 0xf)
		opts.wscale = tsecr & 0xf;
	return opts;
}

static struct sw_tcpopts offered(int wscale, int flags)
{
	return (struct sw_tcpopts){.wscale = (__u8)wscale, .flags = (__u8)(flags | SW_OPT_TSTAMP)};
}

Test(kcookie, timestamp_says_to_the_kernel_what_was_agreed)
{
	__u64 random = 5;
	int wscale, i;

	for (wscale = 0; wscale <= SW_WSCALE_NONE; wscale++) {
		for (i = 0; i < 4000; i++) {
			struct sw_tcpopts o = offered(wscale, i & 1 ? SW_OPT_SACK : 0), got;

			o.flags |= i & 2 ? SW_OPT_ECN : 0;
			got = kernel_decode(sw_kcookie_tsval((__u32)random_u64(&random), &o));
			cr_assert_eq(got.wscale, o.wscale);
			cr_assert_eq(got.flags, o.flags);
		}
	}
}

/* cookie_init_timestamp() of Linux 6.1. */
static __u32 kernel_tsval(__u32 now, __u32 options)
{
	__u32 ts = now & ~63U;

	ts |= options;
	if (ts > now) {
		ts >>= 6;
		ts--;
		ts <<= 6;
		ts |= options;
	}
	return ts;
}

Test(kcookie, timestamp_is_the_kernels)
{
	__u64 random = 6;
	int i;

	for (i = 0; i < 100000; i++) {
		struct sw_tcpopts o = offered((int)random_below(&random, 16), 0);
		__u32 now = 64 + random_below(&random, 0xffffff00);

		o.flags |= random_below(&random, 2) ? SW_OPT_SACK : 0;
		o.flags |= random_below(&random, 2) ? SW_OPT_ECN : 0;
		cr_assert_eq(sw_kcookie_tsval(now, &o), kernel_tsval(now, sw_kcookie_bits(&o)));
	}
}

Test(kcookie, other_flags_do_not_show)
{
	struct sw_tcpopts o = offered(7, SW_OPT_SIGNED);

	cr_assert_eq(sw_kcookie_bits(&o), 7);
}
