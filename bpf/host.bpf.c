// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Host mode: shields listeners of this machine. XDP answers SYNs with SYN cookies and
 * refuses what belongs to no connection; the ACK that brings a valid cookie goes on to
 * tc ingress, which gives it to the listener.
 */
#include "lib/guard.h"
#include "lib/start.h"
#include "lib/trace.h"
#include "lib/handoff.h"
#include "lib/nat.h"
#include "lib/skew.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void sw_mode_listener(struct sw_listener *l, struct bpf_sock *sk, struct net *net,
					     const struct sw_tuple *t, __u64 now_ns)
{
	struct sw_config *cfg = SW_THE(config);

	/* Left to the kernel: a hand-over would be lost, and the client with it. */
	if (cfg && !cfg->beside_nat && sw_nat_looks((__u64)net, t->family_v6)) {
		l->state = SW_LISTENER_NONE;
		sw_count_event(SW_EV_LISTENER_NAT);
		return;
	}
	sw_start_make(t, now_ns);
}

static __always_inline bool sw_mode_ready(struct sw_scene *scene)
{
	return sw_start_find(scene->at, scene->cfg, scene->now_ns, &scene->start);
}

static __always_inline bool sw_mode_make(struct xdp_md *ctx, const struct sw_packet *pkt,
					 const struct sw_scene *scene, const bool plain,
					 struct sw_tcpopts *agreed, __u32 *ret_seq, __u32 *ret_tsval)
{
	__u32 ts_bits;

	*ret_seq = sw_cookie_make(scene->start, &pkt->tuple, pkt->seq, agreed, &ts_bits);
	*ret_tsval = sw_cookie_tsval(scene->now_ms, ts_bits);
	return true;
}

/* True, now and then: one of a group of machines asks if the cookie is from its future. */
static __always_inline bool may_be_ahead(const struct sw_scene *scene)
{
	struct sw_local *mine = SW_THE(local);

	return scene->secret->cookie.source == SW_KEYS_SHARED && mine &&
	       sw_budget_spend(&mine->skews, SW_BUDGET_SKEWS, scene->now_ns);
}

static __always_inline enum sw_reason sw_mode_judge(struct xdp_md *ctx, const struct sw_packet *pkt,
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

SEC("xdp.frags")
int synward_xdp(struct xdp_md *ctx)
{
	return sw_verdict(sw_traced(ctx, sw_guard(ctx)));
}

/* TCX_NEXT and TC_ACT_UNSPEC are both -1: whatever comes after goes on. */
SEC("tc")
int synward_tc(struct __sk_buff *skb)
{
	struct sw_handoff *meta = (void *)(long)skb->data_meta;
	struct bpf_tcp_req_attrs attrs;

	if ((void *)(meta + 1) <= (void *)(long)skb->data && meta->magic == SW_HANDOFF_MAGIC)
		attrs = meta->attrs;
	else if (!sw_handoff_recall(skb, &attrs))
		return -1;
	sw_count_event(sw_handoff_give(skb, &attrs));
	return -1;
}
