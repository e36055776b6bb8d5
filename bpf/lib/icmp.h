/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Proxy mode: ICMP and ICMPv6 errors about a segment of a flow. They quote its headers,
 * and whoever gets them looks for the quoted numbers among his own: path-MTU discovery
 * depends on it.
 */
#ifndef SYNWARD_BPF_ICMP_H
#define SYNWARD_BPF_ICMP_H

#include "outward.h"

/* RFC 792, RFC 4443: <linux/icmp.h> wants headers of the C library. */
struct sw_icmphdr {
	__u8 type, code;
	__u16 checksum;
	__u32 rest;
};

enum { SW_ICMP_UNREACHABLE = 3, SW_ICMP_TIME_EXCEEDED = 11, SW_ICMP_PARAMETER = 12 };
#define SW_ICMP_TOO_BIG 4 /* code of UNREACHABLE */

enum { SW_ICMPV6_UNREACHABLE = 1, SW_ICMPV6_PARAMETER = 4 }; /* 2 too big, 3 time exceeded */

/* What is read of an error; offsets in bytes from the frame's start. */
struct sw_icmp {
	struct sw_tuple quoted; /* as the quoted segment carries it */
	__u32 icmp_offset, tcp_offset;
	__u8 unreachable; /* for good: not a question of size */
	__u8 pad[3];
};

static __always_inline bool sw_icmp_v4_error(const struct sw_icmphdr *icmp, struct sw_icmp *ret)
{
	ret->unreachable = icmp->type == SW_ICMP_UNREACHABLE && icmp->code != SW_ICMP_TOO_BIG;
	return icmp->type == SW_ICMP_UNREACHABLE || icmp->type == SW_ICMP_TIME_EXCEEDED ||
	       icmp->type == SW_ICMP_PARAMETER;
}

static __always_inline bool sw_icmp_v6_error(const struct sw_icmphdr *icmp, struct sw_icmp *ret)
{
	ret->unreachable = icmp->type == SW_ICMPV6_UNREACHABLE;
	return icmp->type >= SW_ICMPV6_UNREACHABLE && icmp->type <= SW_ICMPV6_PARAMETER;
}

/* The quoted packet: no IPv6 extension headers, because a flow's segments seldom have any. */
static __always_inline bool sw_icmp_quoted(struct sw_cursor *cur, void *data, bool v6,
					   struct sw_icmp *ret)
{
	__be32 *ports;

	if (v6) {
		struct ipv6hdr *ip6 = sw_pull(cur, struct ipv6hdr);

		if (!ip6 || ip6->nexthdr != IPPROTO_TCP)
			return false;
		__builtin_memcpy(&ret->quoted.saddr_hi, &ip6->saddr, 16);
		__builtin_memcpy(&ret->quoted.daddr_hi, &ip6->daddr, 16);
		ret->quoted.family_v6 = 1;
	} else {
		struct iphdr *ip = sw_pull(cur, struct iphdr);

		if (!ip || ip->protocol != IPPROTO_TCP || ip->ihl != 5)
			return false;
		ret->quoted.saddr_lo = ip->saddr;
		ret->quoted.daddr_lo = ip->daddr;
	}
	ret->tcp_offset = cur->pos - data;
	ports = sw_pull(cur, __be32);
	if (!ports || !sw_pull(cur, __be32))
		return false;
	ret->quoted.sport = bpf_ntohl(*ports) >> 16;
	ret->quoted.dport = (__u16)bpf_ntohl(*ports);
	return true;
}

/* True if the frame is an ICMP error that quotes the ports and number of a TCP segment. */
static __always_inline bool sw_icmp_parse(void *data, void *end, struct sw_icmp *ret)
{
	struct sw_cursor cur = {data, end};
	struct ethhdr *eth = sw_pull(&cur, struct ethhdr);
	struct sw_vlan *tag;
	__be16 proto;

	*ret = (struct sw_icmp){};
	if (!eth)
		return false;
	proto = eth->h_proto;
	if (proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD)) {
		tag = sw_pull(&cur, struct sw_vlan);
		if (!tag)
			return false;
		proto = tag->proto;
	}
	if (proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = sw_pull(&cur, struct iphdr);
		struct sw_icmphdr *icmp;

		/* At once: clang 14 and 16 merge tests, and the verifier then sees a NULL read. */
		if (!ip)
			return false;
		icmp = sw_pull(&cur, struct sw_icmphdr);
		if (!icmp)
			return false;
		if (ip->protocol != IPPROTO_ICMP || ip->ihl != 5 ||
		    ip->frag_off & bpf_htons(SW_IP_OFFSET) || !sw_icmp_v4_error(icmp, ret))
			return false;
		ret->icmp_offset = (void *)icmp - data;
		return sw_icmp_quoted(&cur, data, false, ret);
	}
	if (proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip6 = sw_pull(&cur, struct ipv6hdr);
		struct sw_icmphdr *icmp;

		/* At once: clang 14 and 16 merge tests, and the verifier then sees a NULL read. */
		if (!ip6)
			return false;
		icmp = sw_pull(&cur, struct sw_icmphdr);
		if (!icmp)
			return false;
		if (ip6->nexthdr != IPPROTO_ICMPV6 || !sw_icmp_v6_error(icmp, ret))
			return false;
		ret->icmp_offset = (void *)icmp - data;
		return sw_icmp_quoted(&cur, data, true, ret);
	}
	return false;
}

static __always_inline struct sw_tuple sw_tuple_turned(const struct sw_tuple *t)
{
	return (struct sw_tuple){
		.saddr_hi = t->daddr_hi,
		.saddr_lo = t->daddr_lo,
		.daddr_hi = t->saddr_hi,
		.daddr_lo = t->saddr_lo,
		.sport = t->dport,
		.dport = t->sport,
		.family_v6 = t->family_v6,
	};
}

/* From the client's side, about a segment of the server: its number back into the server's. */
__noinline int sw_icmp_in(struct xdp_md *ctx)
{
	struct sw_secrets *secret = SW_THE(secrets);
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct sw_tuple t;
	struct sw_icmp error;
	struct sw_flow *f;
	__u16 *check;
	__u32 *seq;

	if (!secret || !sw_icmp_parse(data, end, &error))
		return 0;
	t = sw_tuple_turned(&error.quoted);
	f = sw_flow_held(&t, sw_tuple_hash(&t, secret->hash_seed));
	if (!f || !(f->flags & SW_FF_ANSWERED))
		return 0;
	seq = data + (error.tcp_offset & 127) + offsetof(struct tcphdr, seq);
	check = data + (error.icmp_offset & 127) + offsetof(struct sw_icmphdr, checksum);
	if ((void *)(seq + 1) > end || (void *)(check + 1) > end)
		return 0;
	*check = sw_csum_change(*check, sw_add_to_word(seq, -f->seq_delta));
	sw_count_event(SW_EV_FLOW_ICMP);
	return 1;
}

/*
 * From the server's side, about a segment of the client: what it acknowledges back into the
 * client's numbers. Of the SYN made from the client's ACK, the number is the ACK's.
 */
__noinline int sw_icmp_out(struct __sk_buff *skb)
{
	struct sw_secrets *secret = SW_THE(secrets);
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct sw_icmp error;
	struct sw_flow *f;
	__u64 change;
	__u32 *word;

	if (!secret || !sw_icmp_parse(data, end, &error))
		return 0;
	f = sw_flow_held(&error.quoted, sw_tuple_hash(&error.quoted, secret->hash_seed));
	if (!f)
		return 0;
	word = data + (error.tcp_offset & 127);
	if ((void *)(word + 3) > end)
		return 0;
	if (f->flags & SW_FF_ANSWERED) {
		change = sw_add_to_word(&word[2], f->seq_delta);
	} else {
		change = sw_add_to_word(&word[1], 1);
		if (error.unreachable)
			f->bits[SW_SERVER] |= SW_FLOW_GONE;
	}
	sw_skb_csum(skb, error.icmp_offset + offsetof(struct sw_icmphdr, checksum), change);
	sw_count_event(SW_EV_FLOW_ICMP);
	return 1;
}

#endif
