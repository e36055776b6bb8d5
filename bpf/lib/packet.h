/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From bytes to a TCP segment: Ethernet, up to two tags, IPv4 or IPv6, TCP's fixed header. */
#ifndef SYNWARD_BPF_PACKET_H
#define SYNWARD_BPF_PACKET_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "loop.h"
#include "maps.h"
#include "../../headers/checksum.h"
#include "../../headers/tcpopts.h"
#include "../../headers/tuple.h"

struct sw_vlan {
	__be16 tci, proto;
};

#define SW_VLAN_TAGS	   2
#define SW_MAC_GROUP	   1 /* in the first byte: multicast or broadcast */
#define SW_IPV6_EXTENSIONS 6   /* headers walked; more: left to the kernel */
#define SW_IPV6_LENGTH_MAX 1024 /* bytes of them, the fixed header included */
#define SW_L4_OFFSET_MASK  0x7ff
#define SW_IP_MF	   0x2000
#define SW_IP_OFFSET	   0x1fff

enum sw_parse {
	SW_PARSE_TCP,
	SW_PARSE_OTHER,
	SW_PARSE_LATER_FRAGMENT,
	SW_PARSE_TRUNCATED,
};

struct sw_cursor {
	void *pos, *end;
};

#define sw_pull(cur, type)                                     \
	({                                                     \
		type *at_ = (cur)->pos;                        \
		if ((void *)(at_ + 1) > (cur)->end)            \
			at_ = NULL;                            \
		else                                           \
			(cur)->pos = at_ + 1;                  \
		at_;                                           \
	})

static __always_inline enum sw_parse sw_parse_ipv4(struct sw_cursor *cur, struct sw_packet *pkt)
{
	struct iphdr *ip = sw_pull(cur, struct iphdr);
	__u32 length;

	if (!ip)
		return SW_PARSE_TRUNCATED;
	if (ip->protocol != IPPROTO_TCP || ip->version != 4)
		return SW_PARSE_OTHER;
	if (ip->frag_off & bpf_htons(SW_IP_OFFSET))
		return SW_PARSE_LATER_FRAGMENT;
	pkt->first_fragment = !!(ip->frag_off & bpf_htons(SW_IP_MF));

	length = ip->ihl * 4;
	if (length < sizeof(*ip))
		return SW_PARSE_TRUNCATED;
	pkt->ip_options = length > sizeof(*ip);
	cur->pos = (void *)ip + length;
	pkt->l4_offset = pkt->l3_offset + length;
	pkt->l4_length = bpf_ntohs(ip->tot_len) - length;
	pkt->tos = ip->tos;
	pkt->tuple.family_v6 = 0;
	pkt->tuple.saddr_hi = 0;
	pkt->tuple.daddr_hi = 0;
	pkt->tuple.saddr_lo = ip->saddr;
	pkt->tuple.daddr_lo = ip->daddr;
	return SW_PARSE_TCP;
}

struct sw_ipv6_extension {
	__u8 next, length; /* length: in 8 bytes, the first not counted */
	__u8 type, segments_left;
	__u32 rest;
};

struct sw_ipv6_fragment {
	__u8 next, reserved;
	__be16 offset_more;
	__be32 id;
};

static __always_inline enum sw_parse sw_parse_ipv6(struct sw_cursor *cur, struct sw_packet *pkt)
{
	struct ipv6hdr *ip6 = sw_pull(cur, struct ipv6hdr);
	__u32 walked = sizeof(*ip6);
	__u8 next;
	int i;

	if (!ip6)
		return SW_PARSE_TRUNCATED;
	if (ip6->version != 6)
		return SW_PARSE_OTHER;
	next = ip6->nexthdr;

	for (i = 0; next != IPPROTO_TCP && i < SW_IPV6_EXTENSIONS; i++) {
		struct sw_ipv6_extension *ext;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
		    next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT)
			return SW_PARSE_OTHER;
		ext = sw_pull(cur, struct sw_ipv6_extension);
		if (!ext)
			return SW_PARSE_TRUNCATED;
		if (next == IPPROTO_FRAGMENT) {
			struct sw_ipv6_fragment *frag = (void *)ext;

			if (frag->offset_more & bpf_htons(0xfff8))
				return SW_PARSE_LATER_FRAGMENT;
			/* RFC 6946: offset 0 and no more to come is a whole packet. */
			pkt->first_fragment = !!(frag->offset_more & bpf_htons(1));
			walked += sizeof(*frag);
		} else {
			/* Segments left: the final destination is another address. */
			if (next == IPPROTO_ROUTING && ext->segments_left)
				return SW_PARSE_OTHER;
			walked += 8 + ext->length * 8;
			cur->pos = (void *)ext + 8 + ext->length * 8;
		}
		next = ext->next;
	}
	if (next != IPPROTO_TCP || walked > SW_IPV6_LENGTH_MAX)
		return SW_PARSE_OTHER;

	pkt->l4_offset = pkt->l3_offset + walked;
	pkt->l4_length = sizeof(*ip6) + bpf_ntohs(ip6->payload_len) - walked;
	pkt->tos = (__u8)(bpf_ntohs(*(__be16 *)ip6) >> 4);
	pkt->tuple.family_v6 = 1;
	__builtin_memcpy(&pkt->tuple.saddr_hi, &ip6->saddr, 16);
	__builtin_memcpy(&pkt->tuple.daddr_hi, &ip6->daddr, 16);
	return SW_PARSE_TCP;
}

static __always_inline void sw_parse_tcp(struct sw_packet *pkt, const struct tcphdr *tcp)
{
	__u32 ports = *(const __u32 *)tcp;

	pkt->tuple.sport = bpf_ntohl(ports) >> 16;
	pkt->tuple.dport = (__u16)bpf_ntohl(ports);
	pkt->seq = bpf_ntohl(tcp->seq);
	pkt->ack = bpf_ntohl(tcp->ack_seq);
	pkt->flags = ((__u8 *)tcp)[13];
	pkt->header_length = ((__u8 *)tcp)[12] >> 4 << 2;
}

/* Fills all of *pkt but its hash if the frame is a TCP segment (or its first fragment). */
static __always_inline enum sw_parse sw_parse_frame(void *data, void *end, struct sw_packet *pkt)
{
	struct sw_cursor cur = { data, end };
	struct ethhdr *eth = sw_pull(&cur, struct ethhdr);
	enum sw_parse parsed;
	struct tcphdr *tcp;
	__be16 proto;
	int i;

	if (!eth)
		return SW_PARSE_TRUNCATED;
	proto = eth->h_proto;
	pkt->l3_offset = sizeof(*eth);
#pragma unroll
	for (i = 0; i < SW_VLAN_TAGS; i++) {
		struct sw_vlan *tag;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		tag = sw_pull(&cur, struct sw_vlan);
		if (!tag)
			return SW_PARSE_TRUNCATED;
		proto = tag->proto;
		pkt->l3_offset += sizeof(*tag);
	}

	pkt->first_fragment = 0;
	pkt->ip_options = 0;
	if (proto == bpf_htons(ETH_P_IP))
		parsed = sw_parse_ipv4(&cur, pkt);
	else if (proto == bpf_htons(ETH_P_IPV6))
		parsed = sw_parse_ipv6(&cur, pkt);
	else
		return SW_PARSE_OTHER;
	if (parsed != SW_PARSE_TCP)
		return parsed;

	tcp = sw_pull(&cur, struct tcphdr);
	if (!tcp)
		return SW_PARSE_TRUNCATED;
	sw_parse_tcp(pkt, tcp);
	return SW_PARSE_TCP;
}

static __always_inline enum sw_parse sw_parse(struct xdp_md *ctx, struct sw_packet *pkt)
{
	return sw_parse_frame((void *)(long)ctx->data, (void *)(long)ctx->data_end, pkt);
}

#define SW_PLAIN_L3 sizeof(struct ethhdr)

/*
 * The frame nearly all of them are: no tag, no IP options or extension headers, no
 * fragment, TCP. Its offsets are constants. False: sw_parse() has to look.
 */
static __always_inline bool sw_parse_plain_ipv4(struct xdp_md *ctx, struct sw_packet *pkt)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip + 1);

	if ((void *)(tcp + 1) > (void *)(long)ctx->data_end ||
	    *(__u8 *)ip != 0x45 || ip->protocol != IPPROTO_TCP ||
	    ip->frag_off & bpf_htons(SW_IP_MF | SW_IP_OFFSET))
		return false;
	*pkt = (struct sw_packet){
		.l3_offset = SW_PLAIN_L3,
		.l4_offset = SW_PLAIN_L3 + sizeof(*ip),
		.l4_length = bpf_ntohs(ip->tot_len) - sizeof(*ip),
		.tos = ip->tos,
		.tuple = { .saddr_lo = ip->saddr, .daddr_lo = ip->daddr },
	};
	sw_parse_tcp(pkt, tcp);
	return true;
}

static __always_inline bool sw_parse_plain_ipv6(struct xdp_md *ctx, struct sw_packet *pkt)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip6 + 1);
	__u64 *addr = (void *)&ip6->saddr;
	__u32 first;

	if ((void *)(tcp + 1) > (void *)(long)ctx->data_end)
		return false;
	first = bpf_ntohl(*(__be32 *)ip6);
	if (first >> 28 != 6 || ip6->nexthdr != IPPROTO_TCP)
		return false;
	*pkt = (struct sw_packet){
		.l3_offset = SW_PLAIN_L3,
		.l4_offset = SW_PLAIN_L3 + sizeof(*ip6),
		.l4_length = bpf_ntohs(ip6->payload_len),
		.tos = (__u8)(first >> 20),
		.tuple = {
			.family_v6 = 1,
			.saddr_hi = addr[0],
			.saddr_lo = addr[1],
			.daddr_hi = addr[2],
			.daddr_lo = addr[3],
		},
	};
	sw_parse_tcp(pkt, tcp);
	return true;
}

/*
 * Sets PSH, with which GRO keeps a segment for nothing that comes behind it; returns what to add to
 * the sum the checksum is made from. All that the receiver does about it is to tell its process.
 */
static __always_inline __u64 sw_push(struct tcphdr *tcp)
{
	if (tcp->psh)
		return 0;
	tcp->psh = 1;
	return bpf_htons(SW_PSH);
}

/* The TCP header. The mask changes nothing; the verifier wants offsets well below 64 KiB. */
static __always_inline void *sw_l4(struct xdp_md *ctx, const struct sw_packet *pkt)
{
	return (void *)(long)ctx->data + (pkt->l4_offset & SW_L4_OFFSET_MASK);
}

static __always_inline void *sw_l3(struct xdp_md *ctx, const struct sw_packet *pkt)
{
	return (void *)(long)ctx->data + (pkt->l3_offset & 31);
}

/* True if the frame holds all that its IP header promises; the rest may lie in further buffers. */
static __always_inline bool sw_frame_complete(struct xdp_md *ctx, const struct sw_packet *pkt)
{
	__u32 end = (__u32)pkt->l4_offset + pkt->l4_length;

	return end <= (__u32)(ctx->data_end - ctx->data) || end <= sw_frame_length(ctx);
}

/*
 * Copies the segment's options, 4 bytes at a time, into buf and returns how many bytes
 * there are; the data offset may promise more than the frame holds, those stay unread.
 * ret_sum: of the words copied.
 */
static __always_inline __u32 sw_copy_words(struct xdp_md *ctx, __u32 l4_offset, __u32 header_length,
					   struct sw_optbuf *buf, __u64 *ret_sum)
{
	void *end = (void *)(long)ctx->data_end;
	__u32 *from = (void *)(long)ctx->data + (l4_offset & SW_L4_OFFSET_MASK) + sizeof(struct tcphdr);
	__u32 length = header_length - (__u32)sizeof(struct tcphdr);
	__u32 *to = (__u32 *)buf->byte;
	__u64 sum = 0;
	int i;

	*ret_sum = 0;
	if (header_length < sizeof(struct tcphdr))
		return 0;
#pragma unroll
	for (i = 0; i < SW_TCPOPT_MAX / 4; i++) {
		if (i * 4U >= length)
			break;
		if ((void *)(from + i + 1) > end) {
			length = i * 4;
			break;
		}
		to[i] = from[i];
		sum += from[i];
	}
	*ret_sum = sum;
	return length;
}

static __always_inline __u32 sw_copy_options(struct xdp_md *ctx, const struct sw_packet *pkt,
					     struct sw_optbuf *buf)
{
	__u64 unused;

	return sw_copy_words(ctx, pkt->l4_offset, pkt->header_length, buf, &unused);
}

/*
 * Any options, one by one, into local.read. Returns the sum of their words, for the checksum,
 * or SW_OPTIONS_CUT: the data offset promises more than the frame holds, what it holds is read.
 */
#define SW_OPTIONS_CUT (~0ULL)

__noinline __u64 sw_options_any(struct xdp_md *ctx, __u32 l4_offset, __u32 header_length)
{
	struct sw_local *mine = SW_THE(local);
	__u32 length;
	__u64 sum;

	if (!mine)
		return SW_OPTIONS_CUT;
	length = sw_copy_words(ctx, l4_offset, header_length, &mine->read.buf, &sum);
	sw_optread_all(&mine->read, length);
	return length + sizeof(struct tcphdr) == header_length ? sum : SW_OPTIONS_CUT;
}

/*
 * The layouts nearly every stack sends, compared as whole words; false if it is none of
 * them. They end on 32 bits, so an option never spans what is compared. ret_sum: of the
 * words, for the checksum.
 */
static __always_inline bool sw_options_common(struct xdp_md *ctx, const struct sw_packet *pkt,
					      struct sw_tcpopts *ret, __u64 *ret_sum)
{
	struct sw_optwords w;
	__u32 *word = sw_l4(ctx, pkt) + sizeof(struct tcphdr);
	void *end = (void *)(long)ctx->data_end;

#define SW_OPTIONS_OF(words)                               \
	case sizeof(struct tcphdr) + (words) * 4:          \
		if ((void *)(word + (words)) > end)        \
			return false;                      \
		__builtin_memcpy(w.word, word, (words) * 4); \
		*ret_sum = sw_csum_words(word, words);     \
		return sw_options_words(&w, words, ret)

	switch (pkt->header_length) {
	SW_OPTIONS_OF(0);
	SW_OPTIONS_OF(1);
	SW_OPTIONS_OF(2);
	SW_OPTIONS_OF(3);
	SW_OPTIONS_OF(5);
	SW_OPTIONS_OF(6);
	default:
		return false;
	}
#undef SW_OPTIONS_OF
}

/* A plain frame's options: as above, or all of them one by one. False: not there, or not a plain frame. */
static __always_inline bool sw_options_plain(struct xdp_md *ctx, const struct sw_packet *pkt,
					     struct sw_tcpopts *ret, __u64 *ret_sum)
{
	struct sw_local *mine;

	if (sw_options_common(ctx, pkt, ret, ret_sum))
		return true;
	*ret_sum = sw_options_any(ctx, pkt->l4_offset, pkt->header_length);
	mine = SW_THE(local);
	if (*ret_sum == SW_OPTIONS_CUT || !mine)
		return false;
	*ret = mine->read.opts;
	return true;
}

/*
 * The segment's options into *ret. A function of its own, like all that branches much:
 * the verifier walks it once and not for each way that leads to it.
 */
__noinline int sw_options(struct xdp_md *ctx, const struct sw_packet *pkt, struct sw_tcpopts *ret)
{
	struct sw_local *mine = SW_THE(local);
	__u64 unused;

	if (!pkt || !ret || !mine)
		return 0;
	if (!sw_options_common(ctx, pkt, ret, &unused)) {
		sw_options_any(ctx, pkt->l4_offset, pkt->header_length);
		*ret = mine->read.opts;
	}
	return 0;
}

#endif
