/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Machines that share keys: a cookie from more than one epoch ahead is refused, but looked
 * at, so that somebody learns whose clock is wrong. Of two machines that disagree the one
 * behind sees it: what is old may be just that.
 */
#ifndef SYNWARD_SKEW_H
#define SYNWARD_SKEW_H

#include "maps.h"
#include "verdict.h"

#define SW_BUDGET_SKEWS 16 /* ACKs looked at, a second and CPU: no flood pays for it */
#define SW_SKEW_STEPS	16 /* of the four epochs that a cookie can tell apart: 36 minutes */

/* Global: one copy of the MAC, verified once. acked: the client's ISN and the cookie. */
__noinline int sw_cookie_is_ahead(const struct sw_tuple *t, const struct sw_tcpopts *seen,
				  __u64 acked, __u32 epoch)
{
	struct sw_secrets *held = SW_THE(secrets);
	struct sw_tcpopts agreed;
	__u32 i;

	if (!t || !seen || !held)
		return 0;
	for (i = 1; i <= SW_SKEW_STEPS; i++) {
		if (sw_cookie_check(&held->cookie, t, acked >> 32, (__u32)acked, epoch + 4 * i,
				    seen, &agreed))
			return 1;
	}
	return 0;
}

#endif
