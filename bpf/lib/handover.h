/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The ACK to a listener of this machine's own, with a cookie of ours: as sw_mode_judge(), it goes on
 * to tc ingress with all that the listener needs for its connection.
 */
#ifndef SYNWARD_BPF_HANDOVER_H
#define SYNWARD_BPF_HANDOVER_H

#include "guard.h"
#include "handoff.h"
#include "skew.h"
#include "start.h"

/* True, now and then: one of a group of machines asks if the cookie is from its future. */
static __always_inline bool may_be_ahead(const struct sw_scene *scene)
{
	struct sw_local *mine = SW_THE(local);

	return scene->secret->cookie.source == SW_KEYS_SHARED && mine &&
	       sw_budget_spend(&mine->skews, SW_BUDGET_SKEWS, scene->now_ns);
}

static __always_inline enum sw_reason judge_handover(struct xdp_md *ctx, const struct sw_packet *pkt,
						     const struct sw_scene *scene, const bool plain)
{
	struct sw_tcpopts seen, agreed;
	__u64 unused;

	if (!plain)
		sw_options(ctx, pkt, &seen);
	else if (!sw_options_common(ctx, pkt, &seen, &unused))
		return SW_UNFAMILIAR;
	if (!sw_cookie_check(&scene->secret->cookie, scene->start, &pkt->tuple, pkt->seq - 1, pkt->ack - 1,
			     &seen, &agreed)) {
		if (may_be_ahead(scene)) {
			if (plain)
				return SW_UNFAMILIAR;
			if (sw_cookie_is_ahead(pkt, &seen, scene->start->epoch))
				sw_count_event(SW_EV_COOKIE_AHEAD);
		}
		return SW_ACK_INVALID;
	}
	if (!sw_handoff_leave(ctx, pkt, &agreed, seen_by_client(pkt, scene)->wscale[agreed.flags & SW_OPT_TSTAMP ? 1 : 0]))
		return SW_NO_ROOM;
	return SW_ACK_VALID;
}

#endif
