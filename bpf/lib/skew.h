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
__noinline int sw_cookie_is_good_in(const struct sw_tuple *t, const struct sw_tcpopts *seen,
				    __u64 acked, __u32 epoch)
{
	struct sw_secrets *held = SW_THE(secrets);
	struct sw_cookie_start start;
	struct sw_tcpopts agreed;

	if (!t || !seen || !held)
		return 0;
	sw_cookie_start(&held->cookie, t, epoch, &start);
	return sw_cookie_check(&held->cookie, &start, t, acked >> 32, (__u32)acked, seen, &agreed);
}

static __always_inline bool sw_cookie_is_ahead(const struct sw_packet *pkt, const struct sw_tcpopts *seen,
					       __u32 epoch)
{
	__u64 acked = (__u64)(pkt->seq - 1) << 32 | (pkt->ack - 1);
	int i;

	for (i = 1; i <= SW_SKEW_STEPS; i++) {
		if (sw_cookie_is_good_in(&pkt->tuple, seen, acked, epoch + 4 * i))
			return true;
	}
	return false;
}

#endif
