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
 *
 * While all that comes in long frames is data of connections, XDP does not even read those: the first
 * load of a frame, which another CPU has written, costs more than all else that is done with it here.
 * tc ingress keeps that trust up from one translation to the next, judges what else has come, and
 * refuses what only XDP can judge. The first of those ends the trust, for long enough that whoever
 * sent it finds it read when he sends it again. So a flood of long frames reaches tc ingress for a
 * moment only. Frames may be under way from XDP to tc when trust ends: for that long tc ingress judges,
 * and counts, what XDP may have judged already.
 */
#ifndef SYNWARD_BPF_BEHIND_H
#define SYNWARD_BPF_BEHIND_H

#include "guard.h"
#include "inward.h"
#include "outward.h"
#include "trace.h"

#define SW_BEHIND (1 << 29) /* of a verdict: it is tc ingress that counts it */

/* Frames that may be let by unread: longer than any ICMPv6 error (RFC 4443 2.4), with two tags. */
#define SW_LONG_FRAME (1280 + sizeof(struct ethhdr) + SW_VLAN_TAGS * sizeof(struct sw_vlan) + 1)
#define SW_TRUST_NS (SW_NS_PER_S / 5) /* from a translation at tc ingress on */
#define SW_TRUST_LATE_NS (SW_NS_PER_S / 50) /* from XDP to tc ingress, at most */
#define SW_DISTRUST_NS (3 * SW_NS_PER_S) /* a SYN comes again after 1 s (RFC 6298 2.1), data sooner */

/* In jiffies: XDP then loads nothing but this. */
struct sw_trust {
	__u64 until;  /* XDP lets long frames by unread */
	__u64 broken; /* when what only XDP can judge came in one */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_trust);
} trust SEC(".maps");

#define SW_LARGE 512 /* bytes of data in a segment; least of what any IPv4 host takes (RFC 9293 3.7.1: 536) */

static __always_inline bool sw_is_large(const struct sw_packet *pkt, int bytes)
{
	return bytes >= SW_LARGE && classify(pkt->flags) == SW_SEG_ACK;
}

static __always_inline int sw_data_length(const struct sw_packet *pkt)
{
	return (int)pkt->l4_length - pkt->header_length;
}

static __always_inline bool sw_is_long(struct xdp_md *ctx)
{
	return (long)ctx->data_end - (long)ctx->data >= (long)SW_LONG_FRAME;
}

/* XDP: whether a long frame passes unread. */
static __always_inline bool sw_trusts(void)
{
	struct sw_trust *t = SW_THE(trust);

	return t && bpf_jiffies64() < t->until;
}

static __always_inline __u64 sw_jiffies_of(__u64 ns)
{
	return ns / sw_tick_ns;
}

/* tc ingress: whether a long frame may have passed unread. */
static __always_inline bool sw_trusted(void)
{
	struct sw_trust *t = SW_THE(trust);

	return t && bpf_jiffies64() < t->until + sw_jiffies_of(SW_TRUST_LATE_NS);
}

/* A verdict of XDP that tc ingress would have come to as well. */
static __always_inline bool sw_is_ordinary(__u32 reason)
{
	return (1ULL << SW_FLOW_SEGMENT | 1ULL << SW_DIRECT_SEGMENT | 1ULL << SW_KNOWN |
		1ULL << SW_ACK_BEHIND_VALID | 1ULL << SW_NOT_GUARDED | 1ULL << SW_OTHER_TRAFFIC | 1ULL << SW_LATER_FRAGMENT) >>
		       reason & 1;
}

/* Two CPUs, one that trusts and one that does not: until the next stray. Called, for it is seldom. */
__noinline int sw_distrust(void)
{
	struct sw_trust *t = SW_THE(trust);
	__u64 now = bpf_jiffies64();

	if (!t)
		return 0;
	if (now - t->broken > sw_jiffies_of(SW_DISTRUST_NS / 16)) /* of a flood's frames not each */
		t->broken = now;
	if (t->until > now)
		t->until = now;
	return 0;
}

/*
 * tc ingress has translated a long frame. While somebody traces XDP is to read them; and generic XDP is
 * itself behind GRO, where a long frame may be made of short ones.
 */
static __always_inline void sw_trust_on(const struct sw_proxy *p)
{
	struct sw_trust *t = SW_THE(trust);
	__u64 now = bpf_jiffies64();

	if (t && !p->generic && now - t->broken > sw_jiffies_of(SW_DISTRUST_NS) &&
	    now + sw_jiffies_of(SW_TRUST_NS / 2) > t->until && !sw_trace_is_on())
		t->until = now + sw_jiffies_of(SW_TRUST_NS);
}

/* Of a segment as XDP saw it, with a tag that was taken off since; headers: bytes in front of its data. */
static __always_inline bool sw_was_long(const struct __sk_buff *skb, __u32 headers)
{
	__u32 length = skb->gso_size ? headers + skb->gso_size : skb->len;

	return length + (skb->vlan_present ? sizeof(struct sw_vlan) : 0) >= SW_LONG_FRAME;
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
static __always_inline enum sw_reason sw_judge_stray(struct __sk_buff *skb,
						     const struct sw_packet *pkt,
						     const struct sw_walk *state, __u64 now_ns)
{
	bool socket = sw_known_maybe(state, pkt->hash) && sw_has_socket_skb(skb, &pkt->tuple);

	return sw_judge_direct(pkt->hash, socket, now_ns);
}

/*
 * A segment without a flow that nobody has looked at. What is proven passes, or was handed over a
 * moment ago; leave for more is XDP's to give, with the next one.
 */
static __always_inline enum sw_reason sw_judge_unread(struct __sk_buff *skb,
						      const struct sw_packet *pkt,
						      const struct sw_walk *state,
						      const struct sw_listener *l, bool large,
						      __u64 now_ns)
{
	bool known = large && sw_known_maybe(state, pkt->hash), fresh = false;
	enum sw_handed handed = SW_HANDED_NONE;

	if (known)
		handed = sw_handed_get(pkt->hash, sw_clock_ms(now_ns), &fresh);
	if (handed == SW_HANDED && fresh)
		return SW_ACK_BEHIND_VALID;
	if (known && handed == SW_HANDED_NONE && l->window_flags & SW_WF_HANDED)
		return SW_KNOWN;
	if (large && (sw_direct_known(pkt->hash) || (known && sw_has_socket_skb(skb, &pkt->tuple))))
		return SW_DIRECT_SEGMENT;
	sw_distrust();
	return SW_LARGE_STRAY;
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

/* A frame at tc ingress. */
struct sw_behind {
	__u32 headers;	/* bytes in front of the data */
	__u32 segments; /* that GRO has made it of */
	bool unread;	/* it may be: XDP has let it by */
};

/* What becomes of the TCP segment in it; SW_UNFAMILIAR: XDP has judged it. */
static __always_inline int sw_judge_behind(struct __sk_buff *skb, struct sw_packet *pkt,
					   const struct sw_behind *b)
{
	/* What GRO puts together may be longer than an IP header can say (BIG TCP). */
	int bytes = skb->gso_segs ? (int)(skb->len - b->headers) : sw_data_length(pkt);
	bool large = sw_is_large(pkt, bytes) && pkt->header_length >= sizeof(struct tcphdr);
	struct sw_secrets *secret = SW_THE(secrets);
	struct sw_walk_slot *slot = SW_THE(walk);
	struct sw_config *cfg = SW_THE(config);
	struct sw_proxy *p = SW_THE(proxy);
	const struct sw_cookie_start *unused;
	bool stale, guarded, unsettled;
	struct sw_flow *f = NULL;
	struct sw_listener *l;
	__u64 now_ns;
	__u32 entry;
	int reason;

	if (!secret || !slot || !cfg || !p || (!large && !b->unread))
		return SW_UNFAMILIAR;
	now_ns = sw_now_ns(&slot->walk);
	l = sw_target_find(&pkt->tuple, secret, cfg, now_ns, &unused, &stale);
	if (l && stale)
		sw_target_read(&pkt->tuple, l, skb->ifindex, now_ns);
	if (!l)
		return b->unread ? SW_NOT_GUARDED : SW_UNFAMILIAR;
	guarded = l->state != SW_LISTENER_NONE &&
		  sw_is_for_us((void *)(long)skb->data, (void *)(long)skb->data_end, l);
	pkt->hash = sw_tuple_hash(&pkt->tuple, secret->hash_seed);
	if (large && (guarded || p->changed))
		f = sw_flow_find(&pkt->tuple, pkt->hash, now_ns);
	if (!f && !b->unread && !sw_known_maybe(&slot->walk, ~pkt->hash))
		return SW_UNFAMILIAR;
	entry = SW_COUNTERS_SERVICE + (l->service & SW_LS_SLOT);
	if (f && f->flags & SW_FF_ANSWERED) {
		if (sw_was_long(skb, b->headers))
			sw_trust_on(p);
		reason = sw_translate_behind(skb, pkt, f, b->segments, bytes, now_ns);
		return SW_VERDICT(reason, entry);
	}
	if (f) {
		sw_distrust();
		return SW_VERDICT(SW_FLOW_HELD, entry);
	}
	/* It may be a listener of our own; XDP has to look. */
	unsettled = b->unread && l->window_flags & SW_WF_UNSETTLED;
	if (!unsettled && (!guarded || l->state == SW_LISTENER_UNSEEN))
		return SW_NOT_GUARDED;
	reason = b->unread ? sw_judge_unread(skb, pkt, &slot->walk, l, large, now_ns)
			   : sw_judge_stray(skb, pkt, &slot->walk, now_ns);
	return verdict_of(pkt, l->service, reason);
}

/* At tc ingress, a frame of SW_LARGE bytes at least. Returns what the program does: SW_TC_NEXT, or TC_ACT_SHOT. */
__noinline int sw_behind(struct __sk_buff *skb)
{
	struct sw_behind b = {.segments = skb->gso_segs ?: 1};
	int verdict = SW_UNFAMILIAR;
	struct sw_proxy *p = SW_THE(proxy);
	enum sw_parse parsed;
	struct sw_packet pkt;

	if (!p || !p->after_gro)
		return SW_TC_NEXT;
	sw_headers_linear(skb);
	parsed = sw_parse_frame((void *)(long)skb->data, (void *)(long)skb->data_end, &pkt);
	/* What GRO makes one of is TCP, or UDP. */
	b.headers = parsed == SW_PARSE_TCP ? pkt.l4_offset + pkt.header_length
					   : sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + 8;
	b.unread = sw_trusted() && sw_was_long(skb, b.headers);
	if (parsed == SW_PARSE_TCP)
		verdict = sw_judge_behind(skb, &pkt, &b);
	else if (b.unread)
		verdict = not_a_segment(parsed);
	if ((verdict & SW_VERDICT_REASON) == SW_UNFAMILIAR)
		return SW_TC_NEXT;
	sw_count_verdict(verdict & SW_VERDICT_REASON, (__u32)verdict >> 8, b.segments);
	return sw_action(verdict & SW_VERDICT_REASON) == XDP_DROP ? TC_ACT_SHOT : SW_TC_NEXT;
}

#endif
