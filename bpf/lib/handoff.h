/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * From XDP to tc: what the cookie said travels in front of the frame, as XDP metadata,
 * and tc ingress gives it to the listener. Nothing off the wire can put it there. Of drivers
 * that keep no metadata (vmxnet3) it waits in a map.
 */
#ifndef SYNWARD_BPF_HANDOFF_H
#define SYNWARD_BPF_HANDOFF_H

#include "maps.h"
#include "notice.h"
#include "packet.h"
#include "socket.h"
#include "../../headers/checksum.h"
#include "../../headers/tuple.h"
#include "../../headers/tcpopts.h"

#define SW_NOTES 4096

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SW_NOTES);
	__type(key, __u64); /* tuple hash */
	__type(value, struct bpf_tcp_req_attrs);
} notes SEC(".maps");

/* When XDP left the last note, in jiffies; 0: never, and tc need not look. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} noted SEC(".maps");

#define SW_HANDOFF_MAGIC 0x73796e77 /* "synw": other programs use metadata too */

struct sw_handoff {
	__u32 magic;
	struct bpf_tcp_req_attrs attrs;
};
_Static_assert(sizeof(struct sw_handoff) == 24, "a multiple of 4, 32 at most: net/core/filter.c");

/*
 * GRO keeps the first segment with data back to merge it, and one whose metadata differs does
 * not merge: the next that pushes would overtake it, find no socket, and the kernel answers
 * RST. With PSH it is not kept back. Where the checksum is only the pseudo-header's sum
 * nobody looks at what this makes of it: the segment stays on this machine.
 */
static __always_inline void sw_handoff_push(struct xdp_md *ctx, const struct sw_packet *pkt)
{
	struct tcphdr *tcp = sw_l4(ctx, pkt);

	if ((void *)(tcp + 1) > (void *)(long)ctx->data_end)
		return;
	tcp->check = sw_csum_change(tcp->check, sw_push(tcp));
}

/* For drivers that keep no metadata: the record by tuple hash, until tc ingress has it. */
static __always_inline bool sw_handoff_note(const struct sw_packet *pkt, const struct bpf_tcp_req_attrs *attrs)
{
	__u64 *last = SW_THE(noted), hash = pkt->hash;

	if (!last || bpf_map_update_elem(&notes, &hash, attrs, BPF_ANY))
		return false;
	*last = bpf_jiffies64();
	return true;
}

/* Leaves the record for tc ingress; false if there is no place for it. */
static __always_inline bool sw_handoff_leave(struct xdp_md *ctx, const struct sw_packet *pkt,
					     const struct sw_tcpopts *agreed, __u8 our_wscale)
{
	struct bpf_tcp_req_attrs attrs = {
		.rcv_tsval = agreed->tsval,
		.rcv_tsecr = agreed->tsecr,
		.mss = agreed->mss,
		.wscale_ok = agreed->wscale != SW_WSCALE_NONE,
		.snd_wscale = agreed->wscale != SW_WSCALE_NONE ? agreed->wscale : 0,
		.rcv_wscale = agreed->wscale != SW_WSCALE_NONE ? our_wscale : 0,
		.ecn_ok = !!(agreed->flags & SW_OPT_ECN),
		.sack_ok = !!(agreed->flags & SW_OPT_SACK),
		.tstamp_ok = !!(agreed->flags & SW_OPT_TSTAMP),
	};
	struct sw_handoff *meta;

	if (pkt->l4_length > pkt->header_length)
		sw_handoff_push(ctx, pkt);
	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return sw_handoff_note(pkt, &attrs);
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return false;
	meta->magic = SW_HANDOFF_MAGIC;
	meta->attrs = attrs;
	return true;
}

/* The tuple of the TCP segment in skb; false if it is none. */
__noinline int sw_skb_tuple(struct __sk_buff *skb, struct sw_tuple *ret)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct sw_cursor cur = { data + sizeof(struct ethhdr), end };
	struct sw_packet pkt = {};
	struct ethhdr *eth = data;
	struct tcphdr *tcp;
	__be16 proto;

	if (!ret || cur.pos > end)
		return false;
	proto = eth->h_proto;
	if (proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD)) {
		struct sw_vlan *tag = sw_pull(&cur, struct sw_vlan);

		if (!tag)
			return false;
		proto = tag->proto;
	}
	if (proto == bpf_htons(ETH_P_IP)) {
		if (sw_parse_ipv4(&cur, &pkt) != SW_PARSE_TCP)
			return false;
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		if (sw_parse_ipv6(&cur, &pkt) != SW_PARSE_TCP)
			return false;
	} else {
		return false;
	}
	tcp = sw_pull(&cur, struct tcphdr);
	if (!tcp)
		return false;
	pkt.tuple.sport = bpf_ntohs(tcp->source);
	pkt.tuple.dport = bpf_ntohs(tcp->dest);
	*ret = pkt.tuple;
	return true;
}

/* The listener for tuple, a reference to be released, or NULL; *ret_known: a connection has it. */
static __always_inline struct bpf_sock *sw_skb_listener(struct __sk_buff *skb, const struct sw_tuple *t,
							 bool *ret_known)
{
	struct bpf_sock_tuple tuple = {};
	__u32 length = sw_sock_tuple(t, bpf_htons(t->sport), &tuple);
	struct bpf_sock *sk;

	*ret_known = false;
	if (length == sizeof(tuple.ipv6))
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (sk && sk->state != SW_TCP_LISTEN) {
		bpf_sk_release(sk);
		*ret_known = true;
		return NULL;
	}
	return sk;
}

#define SW_HEADERS_MAX 256 /* bytes of a frame that are made linear: more than any we parse but IPv6 chains */

/* Some drivers leave headers in a page: direct access sees the linear part only. */
static __always_inline void sw_headers_linear(struct __sk_buff *skb)
{
	if (skb->data_end - skb->data < SW_HEADERS_MAX)
		bpf_skb_pull_data(skb, skb->len < SW_HEADERS_MAX ? skb->len : SW_HEADERS_MAX);
}

#define SW_NOTED_JIFFIES 250 /* a quarter of a second or more, and from XDP to tc it is less than a tenth */

/* The note XDP left for skb's tuple, if it did; a note serves once. */
static __always_inline bool sw_handoff_recall(struct __sk_buff *skb, struct bpf_tcp_req_attrs *ret)
{
	const struct sw_secrets *secret = SW_THE(secrets);
	__u64 *last = SW_THE(noted), hash;
	struct bpf_tcp_req_attrs *note;
	struct sw_tuple tuple;

	if (!last || !*last || bpf_jiffies64() - *last > SW_NOTED_JIFFIES || !secret)
		return false;
	sw_headers_linear(skb);
	if (!sw_skb_tuple(skb, &tuple))
		return false;
	hash = sw_tuple_hash(&tuple, secret->hash_seed);
	note = bpf_map_lookup_elem(&notes, &hash);
	if (!note)
		return false;
	*ret = *note;
	bpf_map_delete_elem(&notes, &hash);
	return true;
}

/* Gives skb to its listener as the ACK of a finished handshake; the event that says how it went. */
static __always_inline enum sw_event sw_handoff_give(struct __sk_buff *skb, struct bpf_tcp_req_attrs *attrs)
{
	struct tcp_sock *listener;
	struct sw_tuple tuple;
	struct bpf_sock *sk;
	bool known;
	int err = -1;

	sw_headers_linear(skb);
	if (!sw_skb_tuple(skb, &tuple))
		return SW_EV_HANDOFF_NO_LISTENER;
	sk = sw_skb_listener(skb, &tuple, &known);
	if (!sk)
		return known ? SW_EV_HANDOFF_KNOWN : SW_EV_HANDOFF_NO_LISTENER;
	listener = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
	if (listener)
		err = bpf_sk_assign_tcp_reqsk(skb, (struct sock *)listener, attrs, sizeof(*attrs));
	bpf_sk_release(sk);
	if (err)
		sw_notice_send(SW_NOTICE_HANDOFF_REFUSED, SW_SERVICES, -err, 0, 0);
	return err ? SW_EV_HANDOFF_REFUSED : SW_EV_HANDOFF_DONE;
}

/* tc ingress. True of a segment that XDP has validated: it is given to its listener. */
static __always_inline bool sw_handoff_take(struct __sk_buff *skb)
{
	struct sw_handoff *meta = (void *)(long)skb->data_meta;
	struct bpf_tcp_req_attrs attrs;

	if ((void *)(meta + 1) <= (void *)(long)skb->data && meta->magic == SW_HANDOFF_MAGIC) {
		attrs = meta->attrs;
		meta->magic = 0; /* while the guard changes its path, two of us look at it */
	} else if (!sw_handoff_recall(skb, &attrs)) {
		return false;
	}
	sw_count_event(sw_handoff_give(skb, &attrs));
	return true;
}

#endif
