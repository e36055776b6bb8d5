/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Proxy mode, large data from the client: GRO puts its segments together behind XDP, and one
 * translation does for all of them. XDP lets such a segment by, uncounted, if its flow's server has
 * answered, and tc ingress, which is behind GRO, translates, notes and counts it.
 *
 * XDP and tc ingress each decide by the segment itself (sw_is_large()) and the flow, so that one of
 * them translates it and not both. What XDP translates must therefore not grow large in GRO:
 * sw_keep_apart(). The presence filter (known.h, ~hash) is to spare XDP the look at the flow; where
 * it is wrong tc ingress judges the segment as XDP would have.
 */
#ifndef SYNWARD_BPF_BEHIND_H
#define SYNWARD_BPF_BEHIND_H

#include "guard.h"
#include "inward.h"
#include "outward.h"
#include "trace.h"

#define SW_BEHIND (1 << 29) /* of a verdict: it is tc ingress that counts it */

#define SW_LARGE 512 /* bytes of data in a segment; least of what any IPv4 host takes (RFC 9293 3.7.1: 536) */

static __always_inline bool sw_is_large(const struct sw_packet *pkt, int bytes)
{
	return bytes >= SW_LARGE && classify(pkt->flags) == SW_SEG_ACK;
}

static __always_inline int sw_data_length(const struct sw_packet *pkt)
{
	return (int)pkt->l4_length - pkt->header_length;
}

/* XDP: whether tc ingress translates that segment of f; the next one passes by sw_passes_behind(). */
static __always_inline bool sw_leave_behind(const struct sw_packet *pkt, const struct sw_flow *f,
					    struct sw_walk *state)
{
	struct sw_proxy *p = SW_THE(proxy);

	if (!p || !p->after_gro || !(f->flags & SW_FF_ANSWERED) ||
	    !sw_is_large(pkt, sw_data_length(pkt)))
		return false;
	if (!sw_known_maybe(state, ~pkt->hash))
		sw_known_add(state, ~pkt->hash);
	return true;
}

/*
 * XDP, before anything is called: true of a large segment in a plain frame whose flow the filter
 * knows. Who traces sees it judged the long way, to the same end.
 */
static __always_inline bool sw_passes_behind(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct sw_secrets *secret;
	struct sw_walk_slot *slot;
	struct sw_packet pkt;
	struct sw_proxy *p;
	bool plain = false;

	if ((void *)eth + SW_LARGE > (void *)(long)ctx->data_end)
		return false;
	secret = SW_THE(secrets);
	slot = SW_THE(walk);
	p = SW_THE(proxy);
	if (!secret || !slot || !p || !p->after_gro)
		return false;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		plain = sw_parse_plain_ipv4(ctx, &pkt);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		plain = sw_parse_plain_ipv6(ctx, &pkt);
	return plain && sw_is_large(&pkt, sw_data_length(&pkt)) &&
	       sw_known_maybe(&slot->walk, ~sw_tuple_hash(&pkt.tuple, secret->hash_seed)) &&
	       !sw_trace_is_on();
}

/* True if a socket of this machine's own has the segment's tuple. */
__noinline int sw_has_socket_skb(struct __sk_buff *skb, const struct sw_tuple *t)
{
	return t && sw_socket_state(skb, t);
}

/* A large segment without a flow, which the filter took for one that has. */
static __always_inline int sw_stray(struct __sk_buff *skb, const struct sw_packet *pkt,
				    const struct sw_walk *state, const struct sw_listener *l,
				    __u64 now_ns)
{
	bool socket = sw_known_maybe(state, pkt->hash) && sw_has_socket_skb(skb, &pkt->tuple);

	return verdict_of(pkt, l->service, sw_judge_direct(pkt->hash, socket, now_ns));
}

static __always_inline int sw_translate_behind(struct __sk_buff *skb, const struct sw_packet *pkt,
						struct sw_flow *f, __u32 segments, int bytes,
						__u64 now_ns)
{
	struct sw_flow_event e = {
		.segments = segments,
		.seq = pkt->seq,
		.ack = pkt->ack,
		.bytes = bytes,
		.window = sw_skb_window(skb, pkt),
		.fin = !!(pkt->flags & SW_FIN),
		.has_ack = 1,
	};

	sw_flow_note(f, SW_CLIENT, &e, now_ns);
	return sw_translate_skb(skb, pkt, f, SW_TO_SERVER) ? SW_FLOW_SEGMENT : SW_NO_ROOM;
}

/* At tc ingress, a frame of SW_LARGE bytes at least. Returns what the program does: SW_TC_NEXT, or TC_ACT_SHOT. */
__noinline int sw_behind(struct __sk_buff *skb)
{
	struct sw_secrets *secret = SW_THE(secrets);
	__u32 segments = skb->gso_segs ?: 1;
	struct sw_walk_slot *slot = SW_THE(walk);
	struct sw_config *cfg = SW_THE(config);
	struct sw_proxy *p = SW_THE(proxy);
	const struct sw_cookie_start *unused;
	struct sw_listener *l;
	struct sw_packet pkt;
	struct sw_flow *f;
	int verdict, bytes;
	__u64 now_ns;
	__u32 entry;
	bool stale, guarded;

	if (!secret || !slot || !cfg || !p || !p->after_gro)
		return SW_TC_NEXT;
	sw_headers_linear(skb);
	if (sw_parse_frame((void *)(long)skb->data, (void *)(long)skb->data_end, &pkt) !=
	    SW_PARSE_TCP)
		return SW_TC_NEXT;
	/* What GRO puts together may be longer than an IP header can say (BIG TCP). */
	bytes = skb->gso_segs ? (int)(skb->len - pkt.l4_offset - pkt.header_length)
			      : sw_data_length(&pkt);
	if (!sw_is_large(&pkt, bytes) || pkt.header_length < sizeof(struct tcphdr))
		return SW_TC_NEXT;
	now_ns = sw_now_ns(&slot->walk);
	l = sw_target_find(&pkt.tuple, secret, cfg, now_ns, &unused, &stale);
	if (l && stale)
		sw_target_read(&pkt.tuple, l, skb->ifindex, now_ns);
	if (!l)
		return SW_TC_NEXT;
	guarded = l->state != SW_LISTENER_NONE &&
		  sw_is_for_us((void *)(long)skb->data, (void *)(long)skb->data_end, l);
	pkt.hash = sw_tuple_hash(&pkt.tuple, secret->hash_seed);
	f = guarded || p->changed ? sw_flow_find(&pkt.tuple, pkt.hash, now_ns) : NULL;
	if (!f && !sw_known_maybe(&slot->walk, ~pkt.hash))
		return SW_TC_NEXT; /* XDP has judged and counted it */
	entry = SW_COUNTERS_SERVICE + (l->service & SW_LS_SLOT);
	if (f && f->flags & SW_FF_ANSWERED)
		verdict = SW_VERDICT(sw_translate_behind(skb, &pkt, f, segments, bytes, now_ns), entry);
	else if (f)
		verdict = SW_VERDICT(SW_FLOW_HELD, entry);
	else if (guarded && l->state != SW_LISTENER_UNSEEN)
		verdict = sw_stray(skb, &pkt, &slot->walk, l, now_ns);
	else
		verdict = SW_NOT_GUARDED;
	sw_count_verdict(verdict & SW_VERDICT_REASON, (__u32)verdict >> 8, segments);
	return sw_action(verdict & SW_VERDICT_REASON) == XDP_DROP ? TC_ACT_SHOT : SW_TC_NEXT;
}

#endif
