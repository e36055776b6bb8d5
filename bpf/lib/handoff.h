/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * From XDP to tc: what the cookie said travels in front of the frame, as XDP metadata,
 * and tc ingress gives it to the listener. Nothing off the wire can put it there.
 */
#ifndef SYNWARD_BPF_HANDOFF_H
#define SYNWARD_BPF_HANDOFF_H

#include "socket.h"
#include "../../headers/tcpopts.h"

#define SW_HANDOFF_MAGIC 0x73796e77 /* "synw": other programs use metadata too */

struct sw_handoff {
	__u32 magic;
	struct bpf_tcp_req_attrs attrs;
};
_Static_assert(sizeof(struct sw_handoff) == 24, "a multiple of 4, 32 at most: net/core/filter.c");

/* Leaves the record for tc ingress; false if the driver has no room in front of the frame. */
static __always_inline bool sw_handoff_leave(struct xdp_md *ctx, const struct sw_tcpopts *agreed,
					     __u8 our_wscale)
{
	struct sw_handoff *meta;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return false;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return false;
	meta->magic = SW_HANDOFF_MAGIC;
	meta->attrs = (struct bpf_tcp_req_attrs){
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
	return true;
}

/* The listener for the segment in skb, a reference to be released, or NULL; *ret_known: a connection has it. */
static __always_inline struct bpf_sock *sw_skb_listener(struct __sk_buff *skb, bool *ret_known)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct sw_cursor cur = { data, end };
	struct sw_packet pkt = {};
	struct bpf_sock_tuple tuple = {};
	struct ethhdr *eth = sw_pull(&cur, struct ethhdr);
	struct bpf_sock *sk;
	struct tcphdr *tcp;
	__u32 length;
	__be16 proto;

	*ret_known = false;
	if (!eth)
		return NULL;
	proto = eth->h_proto;
	if (proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD)) {
		struct sw_vlan *tag = sw_pull(&cur, struct sw_vlan);

		if (!tag)
			return NULL;
		proto = tag->proto;
	}
	if (proto == bpf_htons(ETH_P_IP)) {
		if (sw_parse_ipv4(&cur, &pkt) != SW_PARSE_TCP)
			return NULL;
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		if (sw_parse_ipv6(&cur, &pkt) != SW_PARSE_TCP)
			return NULL;
	} else {
		return NULL;
	}
	tcp = sw_pull(&cur, struct tcphdr);
	if (!tcp)
		return NULL;
	pkt.tuple.dport = bpf_ntohs(tcp->dest);
	length = sw_sock_tuple(&pkt.tuple, tcp->source, &tuple);
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

/* Gives skb to its listener as the ACK of a finished handshake; the event that says how it went. */
static __always_inline enum sw_event sw_handoff_give(struct __sk_buff *skb, struct bpf_tcp_req_attrs *attrs)
{
	struct tcp_sock *listener;
	struct bpf_sock *sk;
	bool known;
	int err = -1;

	/* Some drivers leave headers in a page: direct access sees the linear part only. */
	if (skb->data_end - skb->data < SW_HEADERS_MAX)
		bpf_skb_pull_data(skb, skb->len < SW_HEADERS_MAX ? skb->len : SW_HEADERS_MAX);
	sk = sw_skb_listener(skb, &known);
	if (!sk)
		return known ? SW_EV_HANDOFF_KNOWN : SW_EV_HANDOFF_NO_LISTENER;
	listener = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
	if (listener)
		err = bpf_sk_assign_tcp_reqsk(skb, (struct sock *)listener, attrs, sizeof(*attrs));
	bpf_sk_release(sk);
	return err ? SW_EV_HANDOFF_REFUSED : SW_EV_HANDOFF_DONE;
}

#endif
