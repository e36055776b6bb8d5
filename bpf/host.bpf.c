// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Host mode: shields listeners of this machine. XDP answers SYNs with SYN cookies and
 * refuses what belongs to no connection; the ACK that brings a valid cookie goes on to
 * tc ingress, which gives it to the listener.
 */
#include "lib/guard.h"
#include "lib/trace.h"
#include "lib/handover.h"
#include "lib/nat.h"

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

static __always_inline bool sw_mode_has_asked(const bool plain)
{
	return false;
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

static __always_inline enum sw_reason sw_mode_judge(struct xdp_md *ctx, const struct sw_packet *pkt,
						    const struct sw_scene *scene, const bool plain)
{
	return judge_handover(ctx, pkt, scene, plain);
}

SEC("xdp.frags")
int synward_xdp(struct xdp_md *ctx)
{
	return sw_verdict(sw_traced(ctx, sw_guard(ctx)));
}

SEC("tc")
int synward_tc(struct __sk_buff *skb)
{
	sw_handoff_take(skb);
	return SW_TC_NEXT;
}
