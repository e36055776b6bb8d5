// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Proxy mode: shields servers this machine routes, NATs or just delivers to, from the one
 * interface that faces the clients. XDP answers SYNs with SYN cookies and a window of 0;
 * an ACK with a valid cookie goes up the stack as the SYN the server never saw; from the
 * server's SYN-ACK on, XDP and tc egress translate between what the two ends count.
 * Where a service allows it, listeners of this machine's own are shielded as in host mode,
 * and need none of that: SW_WF_HANDED.
 */
#include "lib/guard.h"
#include "lib/handover.h"
#include "lib/nat.h"
#include "lib/flow.h"
#include "lib/server.h"
#include "lib/inward.h"
#include "lib/outward.h"
#include "lib/behind.h"
#include "lib/icmp.h"
#include "lib/forward.h"
#include "lib/trace.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* No verdict either: a plain frame, now in local.packet, whose segment has no flow. */
#define SW_FLOWLESS (SW_UNFAMILIAR + 1)
/* Nor this: the segment in local.packet has no flow and is for a listener of our own, which is fresh. */
#define SW_HOSTED (SW_UNFAMILIAR + 2)
/* Nor this: what the segment in local.packet is for may be a listener of our own, and is to be read. */
#define SW_UNREAD (SW_UNFAMILIAR + 3)
_Static_assert(SW_UNREAD <= SW_VERDICT_REASON, "they stand where reasons do");

/* Of listeners of our own: NONE leaves them to be translated. */
static __always_inline void sw_mode_listener(struct sw_listener *l, struct bpf_sock *sk,
					     struct net *net, const struct sw_tuple *t,
					     __u64 now_ns)
{
	struct sw_proxy *p = SW_THE(proxy);

	if (!p || !sw_target_hands_over(l) || sw_nat_looks((__u64)net, t->family_v6)) {
		l->state = SW_LISTENER_NONE;
		return;
	}
	l->window_flags |= SW_WF_HANDED | (p->draining ? SW_WF_DRAINING : 0);
	sw_start_make(t, now_ns);
}

static __always_inline bool sw_mode_ready(struct sw_scene *scene)
{
	return sw_start_find(scene->at, scene->cfg, scene->now_ns, &scene->start);
}

/* True if the server's answer to this SYN can tell something that is not known yet. */
static __always_inline bool may_teach(const struct sw_packet *pkt, const struct sw_listener *l)
{
	return !(l->window_flags & SW_WF_HANDED) &&
	       l->learn & (ecn_offered(pkt) ? SW_LEARN_ALL : SW_LEARN_ALL & ~SW_LF_ECN);
}

static __always_inline bool sw_mode_has_asked(const bool plain)
{
	return plain;
}

static __always_inline bool sw_mode_make(struct xdp_md *ctx, const struct sw_packet *pkt,
					 const struct sw_scene *scene, const bool plain,
					 struct sw_tcpopts *agreed, __u32 *ret_seq,
					 __u32 *ret_tsval)
{
	struct sw_tcpopts offered;
	__u32 ts_bits;

	/* Of a plain frame answer_plain() has looked. */
	if (!plain && may_teach(pkt, scene->listener)) {
		sw_options(ctx, pkt, &offered);
		if (sw_learn_from(&pkt->tuple, pkt->hash, sw_learn_bits(&offered, ecn_offered(pkt)),
				  scene->now_ns))
			return false;
	}
	*ret_seq = sw_cookie_make(scene->start, &pkt->tuple, pkt->seq, agreed, &ts_bits);
	*ret_tsval = sw_cookie_tsval(scene->now_ms, ts_bits);
	return true;
}

/*
 * 1 if the segment brings the cookie that was made for the SYN numbered ret->isn. A function of
 * its own: the verifier walks it once for all callers.
 */
__noinline int sw_cookie_try(const struct sw_packet *pkt, const struct sw_cookie_start *start,
			     struct sw_found *ret)
{
	struct sw_secrets *secret = SW_THE(secrets);

	return secret && pkt && start && ret &&
	       sw_cookie_check(&secret->cookie, start, &pkt->tuple, ret->isn, pkt->ack - 1,
			       &ret->seen, &ret->agreed);
}

/*
 * Looks for the cookie of the segment's own number, and of the one before: a window probe
 * is behind by one. Not a loop in the function above: it needs 32 bytes more of stack, and calls
 * add theirs up.
 */
static __always_inline bool find_cookie(struct xdp_md *ctx, const struct sw_packet *pkt,
					const struct sw_scene *scene, struct sw_found *ret)
{
	if (pkt->header_length < sizeof(struct tcphdr))
		return false;
	sw_options(ctx, pkt, &ret->seen);
	ret->isn = pkt->seq - 1;
	if (sw_cookie_try(pkt, scene->start, ret))
		return true;
	ret->isn++;
	return pkt->l4_length == pkt->header_length && sw_cookie_try(pkt, scene->start, ret);
}

/* State of the socket of this machine's own that has the segment's tuple; 0: there is none. */
static __always_inline int own_socket(struct xdp_md *ctx, const struct sw_packet *pkt,
				      const struct sw_scene *scene)
{
	return sw_known_maybe(scene->state, pkt->hash)
		       ? sw_socket_lookup(ctx, sw_tuple_kept(&pkt->tuple))
		       : 0;
}

/* A connection without a flow: its server spoke, or its socket is here. */
static __always_inline bool is_direct(struct xdp_md *ctx, const struct sw_packet *pkt,
				      const struct sw_scene *scene)
{
	return sw_direct_known(pkt->hash) || own_socket(ctx, pkt, scene);
}

static __always_inline enum sw_reason open_flow(struct xdp_md *ctx, const struct sw_packet *pkt,
						const struct sw_scene *scene,
						const struct sw_tcpopts *agreed, __u32 isn)
{
	struct sw_flow_scratch *mine = SW_THE(flow_scratch);

	if (!mine || !sw_checksums_right(ctx, pkt))
		return SW_CHECKSUM_INVALID;
	mine->flow = (struct sw_flow){
		.opened = sw_flow_time(scene->now_ns),
		.seen = sw_flow_time(scene->now_ns),
		.side[SW_CLIENT] = {.packets = 1, .acked = pkt->ack},
		.window[SW_CLIENT] = sw_window_of(ctx, pkt),
		.side[SW_SERVER] = {.acked = isn + 1},
		.client_isn = isn,
		.cookie = pkt->ack - 1,
		.ts_told = agreed->tsecr,
		.syn_ms = scene->now_ms,
		.mss = agreed->mss,
		.client_wscale = agreed->wscale,
		.told_wscale = sw_told_wscale(scene->listener, agreed),
		.server_wscale = SW_WSCALE_NONE,
		.flags = (agreed->flags & SW_OPT_SACK ? SW_FF_SACK : 0) |
			 (agreed->flags & SW_OPT_TSTAMP ? SW_FF_TSTAMP : 0) |
			 (agreed->flags & SW_OPT_ECN ? SW_FF_ECN : 0),
		.syns = 1,
	};
	if (!sw_make_syn(ctx, pkt, &mine->flow, agreed->tsval) ||
	    !sw_flow_put(&pkt->tuple, pkt->hash, scene->now_ns))
		return SW_NO_ROOM;
	sw_rtt_answered(pkt->hash, scene->listener->service);
	sw_known_add(scene->state, pkt->hash);
	return SW_FLOW_OPENED;
}

static __always_inline enum sw_reason sw_mode_judge(struct xdp_md *ctx, const struct sw_packet *pkt,
						    const struct sw_scene *scene, const bool plain)
{
	return judge_handover(ctx, pkt, scene, plain);
}

/* An ACK of no flow. */
static __always_inline enum sw_reason judge_ack(struct xdp_md *ctx, const struct sw_packet *pkt,
						const struct sw_scene *scene)
{
	struct sw_flow_scratch *mine = SW_THE(flow_scratch);
	int socket = own_socket(ctx, pkt, scene);

	/*
	 * Before the cookie: where the guard was on another path when the connection was made, and
	 * nobody has said anything on it yet, the client's first segment brings the cookie again.
	 */
	if (socket && socket != SW_TCP_TIME_WAIT && socket != SW_TCP_NEW_SYN_RECV)
		return SW_DIRECT_SEGMENT;
	if (!mine || !find_cookie(ctx, pkt, scene, &mine->found))
		return sw_judge_direct(pkt->hash, socket, scene->now_ns);
	return open_flow(ctx, pkt, scene, &mine->found.agreed, mine->found.isn);
}

/*
 * The flow that decides on a segment, or NULL. A SYN asks only where the tuple may be
 * known, and is the flow's only while the server is to judge it.
 */
static __always_inline struct sw_flow *flow_of(const struct sw_packet *pkt,
					       const struct sw_scene *scene)
{
	bool syn = classify(pkt->flags) == SW_SEG_SYN;
	struct sw_flow *f;

	if (syn && !sw_known_maybe(scene->state, pkt->hash))
		return NULL;
	f = sw_flow_find(&pkt->tuple, pkt->hash, scene->now_ns);
	return f && syn && sw_flow_replaceable(f) ? NULL : f;
}

/* An ACK on a flow that is over, or never began: it may bring the cookie of a new one. */
static __always_inline bool begins_anew(struct xdp_md *ctx, const struct sw_packet *pkt,
					const struct sw_scene *scene, const struct sw_flow *f)
{
	struct sw_flow_scratch *mine = SW_THE(flow_scratch);

	return mine && sw_flow_replaceable(f) && classify(pkt->flags) == SW_SEG_ACK &&
	       find_cookie(ctx, pkt, scene, &mine->found) &&
	       (mine->found.isn != f->client_isn || pkt->ack - 1 != f->cookie);
}

/* A new connection while the guard is about to go. */
static __always_inline bool is_left_out(const struct sw_packet *pkt, const struct sw_scene *scene)
{
	return scene->listener->window_flags & SW_WF_DRAINING && classify(pkt->flags) == SW_SEG_SYN;
}

static __always_inline enum sw_reason
judge_flowless(struct xdp_md *ctx, const struct sw_packet *pkt, const struct sw_scene *scene)
{
	switch (classify(pkt->flags)) {
	case SW_SEG_SYN:
		if (sw_known_maybe(scene->state, pkt->hash) && sw_direct_known(pkt->hash))
			return SW_DIRECT_SEGMENT;
		if (is_left_out(pkt, scene))
			return SW_NOT_GUARDED;
		return answer_syn(ctx, pkt, scene, false);
	case SW_SEG_ACK:
		return judge_ack(ctx, pkt, scene);
	case SW_SEG_SYNACK:
		return is_direct(ctx, pkt, scene) ? SW_DIRECT_SEGMENT : SW_SYNACK_UNSOLICITED;
	case SW_SEG_RST:
		return is_direct(ctx, pkt, scene) ? SW_DIRECT_SEGMENT : SW_RST_UNKNOWN;
	default:
		return SW_FLAGS_INVALID;
	}
}

/* The filter is made anew twice a minute, of sockets alone; a SYN asks it for this flow. */
static __always_inline void know_flow(const struct sw_packet *pkt, const struct sw_scene *scene)
{
	if (!sw_known_maybe(scene->state, pkt->hash))
		sw_known_add(scene->state, pkt->hash);
}

/*
 * A SYN in a plain frame, on a tuple that nobody knows, to a service of which all is known:
 * what a flood is made of. SW_UNFAMILIAR of everything else.
 */
static __always_inline int answer_plain(struct xdp_md *ctx, const struct sw_packet *pkt,
					struct sw_scene *scene)
{
	const struct sw_listener *l = scene->listener;

	if (!sw_start_find(scene->at, scene->cfg, scene->now_ns, &scene->start) ||
	    l->service & SW_LS_ASK || may_teach(pkt, l) || sw_known_maybe(scene->state, pkt->hash))
		return SW_UNFAMILIAR;
	return answer_syn(ctx, pkt, scene, true);
}

/* A segment to a listener of our own that has nothing special about it: check_ack() says the same. */
static __always_inline bool is_settled(const struct sw_packet *pkt, const struct sw_scene *scene)
{
	bool ignored;

	return sw_known_maybe(scene->state, pkt->hash) &&
	       sw_handed_get(pkt->hash, scene->now_ms, &ignored) == SW_HANDED_NONE;
}

/*
 * A client's segment in a plain frame, of a flow on which both ends talk: what established
 * traffic is made of. SW_FLOWLESS if there is no flow, SW_UNFAMILIAR of everything else.
 */
static __always_inline int pass_plain(struct xdp_md *ctx, const struct sw_packet *pkt,
				      const struct sw_scene *scene)
{
	struct sw_local *kept = SW_THE(local);
	struct sw_flow *f;
	int forwarded = 0;

	if (!kept)
		return SW_UNFAMILIAR;
	f = sw_flow_find(&pkt->tuple, pkt->hash, scene->now_ns);
	if (!f && scene->listener->window_flags & SW_WF_HANDED && is_settled(pkt, scene))
		return SW_KNOWN;
	if (!f || f->flags & SW_FF_ROUTED)
		kept->packet = *pkt;
	if (!f)
		return SW_FLOWLESS;
	if (sw_leave_behind(pkt, f, scene->state))
		return SW_BEHIND | SW_FLOW_SEGMENT;
	if (!sw_flow_in_plain(ctx, pkt, f, scene->now_ns))
		return SW_UNFAMILIAR;
	know_flow(pkt, scene);
	if (f->flags & SW_FF_ROUTED)
		forwarded = sw_forward_in(ctx, &kept->packet, f);
	return forwarded | SW_FLOW_SEGMENT;
}

/* A plain frame, whose packet stays in registers, as in judge(). SW_UNFAMILIAR: sw_parse() has to
 * look. */
static __always_inline int proxy_plain(struct xdp_md *ctx, struct sw_packet *pkt)
{
	struct sw_scene scene = {.secret = SW_THE(secrets), .cfg = SW_THE(config)};
	struct sw_walk_slot *slot = SW_THE(walk);
	enum sw_segment segment = classify(pkt->flags);
	struct sw_listener *l;
	int reason;

	if (!scene.secret || !scene.cfg || !slot ||
	    (segment != SW_SEG_SYN && segment != SW_SEG_ACK))
		return SW_UNFAMILIAR;
	scene.state = &slot->walk;
	scene.now_ns = sw_now_ns(scene.state);
	scene.now_ms = sw_clock_ms(scene.now_ns);
	scene.at = sw_listener_at(&pkt->tuple, scene.secret->hash_seed[0]);
	l = sw_listener_slot(scene.at);
	if (!l || !sw_listener_is_fresh(l, &pkt->tuple, scene.cfg, scene.now_ns) ||
	    l->state != SW_LISTENER_OPEN || !frame_is_for_us(ctx, l) ||
	    l->window_flags & (SW_WF_DRAINING | SW_WF_UNSETTLED))
		return SW_UNFAMILIAR;
	scene.listener = l;
	pkt->hash = sw_tuple_hash(&pkt->tuple, scene.secret->hash_seed);
	reason = segment == SW_SEG_SYN ? answer_plain(ctx, pkt, &scene)
				       : pass_plain(ctx, pkt, &scene);
	return SW_VERDICT(reason, SW_COUNTERS_SERVICE + (l->service & SW_LS_SLOT));
}

__noinline int proxy_plain_ipv4(struct xdp_md *ctx)
{
	struct sw_packet pkt;

	return sw_parse_plain_ipv4(ctx, &pkt) ? proxy_plain(ctx, &pkt) : SW_UNFAMILIAR;
}

__noinline int proxy_plain_ipv6(struct xdp_md *ctx)
{
	struct sw_packet pkt;

	return sw_parse_plain_ipv6(ctx, &pkt) ? proxy_plain(ctx, &pkt) : SW_UNFAMILIAR;
}

/* Reads what local.packet is for: a listener of our own that is handed its connections, or a server. */
__noinline int proxy_read_target(struct xdp_md *ctx)
{
	struct sw_secrets *secret = SW_THE(secrets);
	struct sw_walk_slot *slot = SW_THE(walk);
	struct sw_local *mine = SW_THE(local);
	struct sw_proxy *p = SW_THE(proxy);
	const struct sw_tuple *t;
	struct sw_listener *l;
	__u64 now_ns;

	if (!secret || !slot || !mine || !p)
		return 0;
	t = &mine->packet.tuple;
	l = sw_listener_slot(sw_listener_at(t, secret->hash_seed[0]));
	if (!l)
		return 0;
	now_ns = sw_now_ns(&slot->walk);
	sw_listener_read(ctx, t, l, now_ns);
	if (l->service & SW_LS_ASK)
		sw_service_half_open(l, now_ns);
	if (l->state != SW_LISTENER_NONE &&
	    (!p->targets || sw_target_in_scope(p, &slot->walk, l, t->family_v6)))
		return 0;
	sw_target_read(t, l, ctx->ingress_ifindex, now_ns);
	l->window_flags &= ~SW_WF_UNSETTLED;
	return 0;
}

/*
 * True if this CPU is to look again: another one has seen the server since, if the ACK is for a
 * SYN-ACK of its making.
 */
static __always_inline bool may_be_seen_by_now(const struct sw_packet *pkt,
					       const struct sw_scene *scene)
{
	struct sw_local *mine = SW_THE(local);

	return mine && classify(pkt->flags) == SW_SEG_ACK &&
	       !sw_known_maybe(scene->state, pkt->hash) &&
	       sw_budget_spend(&mine->lookups, SW_BUDGET_UNPROVEN, scene->now_ns);
}

/* The segment in local.packet; has_flow: whether it may have one. */
__noinline int proxy_kept(struct xdp_md *ctx, int has_flow)
{
	struct sw_scene scene = {.secret = SW_THE(secrets), .cfg = SW_THE(config)};
	struct sw_walk_slot *slot = SW_THE(walk);
	struct sw_local *mine = SW_THE(local);
	struct sw_proxy *p = SW_THE(proxy);
	struct sw_flow *f = NULL;
	struct sw_packet *pkt;
	int reason, forwarded = 0;
	struct sw_listener *l;
	bool guarded, stale;

	if (!scene.secret || !scene.cfg || !slot || !mine || !p)
		return SW_NOT_GUARDED;
	pkt = &mine->packet; /* the stack has no room for it */
	scene.state = &slot->walk;
	scene.now_ns = sw_now_ns(scene.state);
	scene.now_ms = sw_clock_ms(scene.now_ns);
	l = sw_target_find(&pkt->tuple, scene.secret, scene.cfg, scene.now_ns, &scene.start, &stale);
	if (!l)
		return SW_NOT_GUARDED;
	if (stale || l->window_flags & SW_WF_UNSETTLED) {
		if (p->hands_over &&
		    sw_own_maybe(scene.state, pkt->tuple.daddr_hi, pkt->tuple.daddr_lo))
			return SW_UNREAD;
		sw_target_read(&pkt->tuple, l, ctx->ingress_ifindex, scene.now_ns);
	}
	scene.listener = l;
	guarded = scene.listener->state != SW_LISTENER_NONE && frame_is_for_us(ctx, scene.listener);
	if (!guarded && !p->changed)
		return SW_NOT_GUARDED;
	pkt->hash = sw_tuple_hash(&pkt->tuple, scene.secret->hash_seed);
	if (has_flow)
		f = flow_of(pkt, &scene);
	if (f && (!guarded || !begins_anew(ctx, pkt, &scene, f))) {
		know_flow(pkt, &scene);
		if (sw_leave_behind(pkt, f, scene.state))
			return SW_BEHIND | SW_FLOW_SEGMENT;
		reason = sw_flow_in(ctx, pkt, f, scene.now_ns, scene.now_ms);
		if (reason == SW_FLOW_SEGMENT && f->flags & SW_FF_ROUTED)
			forwarded = sw_forward_in(ctx, pkt, f);
		return forwarded |
		       SW_VERDICT(reason,
				  SW_COUNTERS_SERVICE + (scene.listener->service & SW_LS_SLOT));
	}
	if (!guarded)
		return SW_NOT_GUARDED;
	if (scene.listener->state == SW_LISTENER_UNSEEN)
		return may_be_seen_by_now(pkt, &scene) ? SW_UNREAD : SW_NOT_GUARDED;
	if (scene.listener->window_flags & SW_WF_HANDED && !is_left_out(pkt, &scene)) {
		if (f) /* of a connection that is over, whose successor is handed over */
			sw_flow_drop(&pkt->tuple, pkt->hash);
		return SW_HOSTED;
	}
	return verdict_of(pkt, scene.listener->service, judge_flowless(ctx, pkt, &scene));
}

/* SW_HOSTED: as in host mode. It was read a moment ago; should that be over by now, it is read again. */
__noinline int proxy_hosted(struct xdp_md *ctx)
{
	struct sw_local *mine = SW_THE(local);
	int verdict;

	if (!mine)
		return SW_NOT_GUARDED;
	verdict = judge(ctx, &mine->packet, false);
	return (verdict & SW_VERDICT_REASON) == SW_UNFAMILIAR ? SW_NOT_GUARDED : verdict;
}

/* Any frame, into local.packet; enum sw_parse. */
__noinline int proxy_read(struct xdp_md *ctx)
{
	struct sw_local *mine = SW_THE(local);

	return mine ? sw_parse(ctx, &mine->packet) : SW_PARSE_OTHER;
}

static __always_inline int proxy_any(struct xdp_md *ctx)
{
	switch (proxy_read(ctx)) {
	case SW_PARSE_TCP:
		return proxy_kept(ctx, true);
	case SW_PARSE_LATER_FRAGMENT:
		return SW_LATER_FRAGMENT;
	case SW_PARSE_TRUNCATED:
		return SW_TRUNCATED;
	default:
		sw_icmp_in(ctx);
		return SW_OTHER_TRAFFIC;
	}
}

static __always_inline int sw_proxy(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	int verdict = SW_UNFAMILIAR;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return SW_TRUNCATED;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		verdict = proxy_plain_ipv4(ctx);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		verdict = proxy_plain_ipv6(ctx);
	if ((verdict & SW_VERDICT_REASON) < SW_UNFAMILIAR)
		return verdict;
	if ((verdict & SW_VERDICT_REASON) == SW_UNFAMILIAR)
		verdict = proxy_any(ctx);
	else if ((verdict & SW_VERDICT_REASON) == SW_FLOWLESS)
		verdict = proxy_kept(ctx, false);
	/* Not by it: calls add up their stacks. */
	if (verdict == SW_UNREAD) {
		proxy_read_target(ctx);
		verdict = proxy_kept(ctx, true);
	}
	if (verdict == SW_HOSTED)
		return proxy_hosted(ctx);
	return verdict == SW_UNREAD ? SW_NOT_GUARDED : verdict;
}

SEC("xdp.frags")
int synward_xdp(struct xdp_md *ctx)
{
	bool long_frame = sw_is_long(ctx);
	int verdict, action;

	if ((long_frame && sw_trusts()) || sw_passes_behind(ctx))
		return XDP_PASS;
	verdict = sw_traced(ctx, sw_proxy(ctx));
	if (verdict & SW_BEHIND)
		return XDP_PASS;
	if (long_frame && !sw_is_ordinary(verdict & SW_VERDICT_REASON))
		sw_distrust();
	action = sw_verdict(verdict & ~SW_FORWARDED);
	return verdict & SW_FORWARDED ? XDP_REDIRECT : action;
}

/* With --forward, XDP on the interface of the servers. */
SEC("xdp.frags")
int synward_forward(struct xdp_md *ctx)
{
	return sw_forward(ctx);
}

/* tc egress of the same interface. */
SEC("tc")
int synward_tc(struct __sk_buff *skb)
{
	struct sw_secrets *secret = SW_THE(secrets);
	struct sw_walk_slot *slot = SW_THE(walk);
	struct sw_config *cfg = SW_THE(config);
	struct sw_proxy *p = SW_THE(proxy);
	const struct sw_cookie_start *unused;
	struct sw_listener *l;
	struct sw_packet pkt;
	struct sw_flow *f;
	__u64 now_ns;
	bool stale;

	if (!secret || !slot || !cfg || !p)
		return SW_TC_NEXT;
	if (skb->data_end - skb->data < SW_PULL_MAX)
		bpf_skb_pull_data(skb, skb->len < SW_PULL_MAX ? skb->len : SW_PULL_MAX);
	switch (sw_parse_skb(skb, &pkt)) {
	case SW_PARSE_TCP:
		break;
	case SW_PARSE_OTHER:
		sw_icmp_out(skb);
		return SW_TC_NEXT;
	default:
		return SW_TC_NEXT;
	}
	now_ns = sw_now_ns(&slot->walk);
	l = sw_target_find(&pkt.tuple, secret, cfg, now_ns, &unused, &stale);
	if (l && stale)
		sw_target_read(&pkt.tuple, l, skb->ifindex, now_ns);
	if (!l || pkt.header_length < sizeof(struct tcphdr) ||
	    (l->state == SW_LISTENER_NONE && !p->changed))
		return SW_TC_NEXT;
	pkt.hash = sw_tuple_hash(&pkt.tuple, secret->hash_seed);
	f = sw_flow_find(&pkt.tuple, pkt.hash, now_ns);
	if (!f)
		return l->state == SW_LISTENER_NONE || l->window_flags & SW_WF_HANDED
			       ? SW_TC_NEXT
			       : sw_direct_out(skb, &pkt, &slot->walk, now_ns);
	if ((pkt.flags & (SW_SYN | SW_ACK)) == (SW_SYN | SW_ACK))
		return sw_flow_synack(skb, &pkt, f, now_ns);
	return sw_flow_out(skb, &pkt, f, now_ns);
}

/* tc ingress of the same interface: what is handed over, and what is translated behind GRO. */
SEC("tc")
int synward_hand(struct __sk_buff *skb)
{
	return sw_handoff_take(skb) || skb->len < SW_LARGE ? SW_TC_NEXT : sw_behind(skb);
}
