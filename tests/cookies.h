/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Cookies without a start kept from before. */
#ifndef SYNWARD_TESTS_COOKIES_H
#define SYNWARD_TESTS_COOKIES_H

#include "cookie.h"

static inline __u32 cookie_made(const struct sw_secret *secret, const struct sw_tuple *t, __u32 isn,
				__u32 epoch, const struct sw_tcpopts *agreed, __u32 *ret_ts_bits)
{
	struct sw_cookie_start start;

	sw_cookie_start(secret, t, epoch, &start);
	return sw_cookie_make(&start, t, isn, agreed, ret_ts_bits);
}

static inline int cookie_taken(const struct sw_secret *secret, const struct sw_tuple *t, __u32 isn,
			       __u32 cookie, __u32 now_epoch, const struct sw_tcpopts *seen,
			       struct sw_tcpopts *ret_agreed)
{
	struct sw_cookie_start start;

	sw_cookie_start(secret, t, now_epoch, &start);
	return sw_cookie_check(secret, &start, t, isn, cookie, seen, ret_agreed);
}

/* Under one key, whatever the epoch. */
static inline __u32 cookie_mac(const struct sw_key *key, const struct sw_tuple *t, __u32 isn,
			       __u32 epoch, __u32 option_bits)
{
	struct sw_siphash start = sw_cookie_mac_start(key, t, epoch);

	return sw_cookie_mac(&start, t, isn, epoch, option_bits);
}

#endif
