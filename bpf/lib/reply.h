/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A SYN checked, and turned in place into its SYN-ACK. */
#ifndef SYNWARD_BPF_REPLY_H
#define SYNWARD_BPF_REPLY_H

#include "packet.h"
#include "../../headers/checksum.h"
#include "../../headers/cookie.h"

#define SW_FRAME_MIN 60 /* bytes, Ethernet without its checksum */

/*
 * RFC 1122 3.2.1.3, RFC 4291 2.5: a source or destination no SYN-ACK may go to or come
 * from. The kernel drops these as martians or before a request is made.
 */
static __always_inline bool sw_address_unanswerable(const struct sw_packet *pkt)
{
	const struct sw_tuple *t = &pkt->tuple;
	__u8 first;

	if (t->saddr_lo == t->daddr_lo && t->saddr_hi == t->daddr_hi)
		return true;
	if (t->family_v6) /* ::/64 holds ::, ::1 and the IPv4-mapped ones; ff00::/8 multicast */
		return t->saddr_hi == 0 || (t->saddr_hi & 0xff) == 0xff;
	first = t->saddr_lo & 0xff;
	return first == 0 || first == 127 || (first >= 224 && first < 240) ||
	       (__u32)t->saddr_lo == 0xffffffff;
}

/* The TCP pseudo-header's sum; the same in both directions. */
static __always_inline __u64 sw_csum_tuple(const struct sw_tuple *t, __u32 l4_length)
{
	__u64 sum = sw_csum_pseudo(l4_length);

	if (!t->family_v6)
		return sum + t->saddr_lo + t->daddr_lo;
	return sum + sw_csum_word64(t->saddr_hi) + sw_csum_word64(t->saddr_lo) +
	       sw_csum_word64(t->daddr_hi) + sw_csum_word64(t->daddr_lo);
}

struct sw_sum_walk {
	struct xdp_md *ctx;
	struct sw_local *mine;
	__u64 sum;
	__u32 at, end; /* bytes from the frame's start */
	__u32 odd;     /* bytes behind the last whole word */
};

/* Sums up to SW_CHUNK bytes of a SYN's data, wherever the driver put them. */
static long sw_sum_chunk(__u32 step, void *arg)
{
	struct sw_sum_walk *w = arg;
	__u32 size = w->end - w->at - 1; /* one less, see below */
	__u8 *chunk = w->mine->chunk;

	if (w->at >= w->end)
		return 1;
	if (size > SW_CHUNK - 1)
		size = SW_CHUNK - 1;
	/*
	 * The verifier must see that it is not 0 ("R4 invalid zero-sized read"). Linux 6.1 learns
	 * nothing from a test for 0, and clang drops one it can prove.
	 */
	barrier_var(size);
	size++;
	/* bpf_csum_diff() takes whole words: what stands behind an odd end must be 0. */
	*(__u32 *)(chunk + (size & (SW_CHUNK - 4))) = 0;
	if (bpf_xdp_load_bytes(w->ctx, w->at, chunk, size)) {
		w->sum = 0; /* not there: no checksum is right then */
		return 1;
	}
	w->sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)chunk, (size + 3) & (2 * SW_CHUNK - 4), 0);
	w->at += size;
	return 0;
}

#ifdef SW_BEFORE_5_18
/* A word of it, where nothing copies bytes out of a frame: all of that is in one buffer. */
static long sw_sum_word(__u32 step, void *arg)
{
	struct sw_sum_walk *w = arg;
	__u8 *byte = (void *)(long)w->ctx->data + (w->at & 0x3fff); /* a page holds it */
	void *end = (void *)(long)w->ctx->data_end;
	__u32 left = w->end - w->at;

	if (w->at >= w->end)
		return 1;
	if (left >= 4) {
		if ((void *)(byte + 4) > end) {
			w->sum = 0; /* not there: no checksum is right then */
			return 1;
		}
		w->sum += *(__u32 *)byte;
		w->at += 4;
		return 0;
	}
	if ((void *)(byte + 1) > end) {
		w->sum = 0;
		return 1;
	}
	w->sum += (__u32)*byte << (w->odd & 1) * 8;
	w->odd++;
	w->at++;
	return 0;
}
SW_LOOP_BODY(sw_sum_word)

static __always_inline bool sw_sum_words(struct sw_sum_walk *w)
{
	if (sw_has_helper(xdp_load_bytes))
		return false;
	sw_loop(65536 / 4, sw_sum_word, w);
	return true;
}
#else
static __always_inline bool sw_sum_words(struct sw_sum_walk *w)
{
	return false;
}
#endif

__noinline __u64 sw_sum_data(struct xdp_md *ctx, __u32 at, __u32 end)
{
	struct sw_sum_walk w = { .ctx = ctx, .mine = SW_THE(local), .at = at, .end = end };

	if (w.mine && !sw_sum_words(&w))
		bpf_loop(65536 / SW_CHUNK + 1, sw_sum_chunk, &w, 0);
	return w.sum;
}

enum sw_syn_read {
	SW_SYN_READ,	  /* options are read, checksums right */
	SW_SYN_WRONG,	  /* a checksum is wrong */
	SW_SYN_UNFAMILIAR, /* not a common layout: to be read the long way */
};

/*
 * Checks a plain SYN without data and reads its options, both from one load of each
 * word. What sw_checksums_right() and sw_options() say, for the frames that floods are
 * made of.
 */
static __always_inline enum sw_syn_read sw_syn_read_plain(struct xdp_md *ctx, const struct sw_packet *pkt,
							  struct sw_tcpopts *ret)
{
	void *end = (void *)(long)ctx->data_end;
	struct tcphdr *tcp = sw_l4(ctx, pkt);
	__u64 sum, pseudo, options;

	if (pkt->l4_length != pkt->header_length || !sw_options_plain(ctx, pkt, ret, &options))
		return SW_SYN_UNFAMILIAR;
	if (!pkt->tuple.family_v6) {
		struct iphdr *ip = sw_l3(ctx, pkt);

		if ((void *)(ip + 1) > end)
			return SW_SYN_UNFAMILIAR;
		if (sw_csum_fold(sw_csum_words((__u32 *)ip, 5)) != 0xffff)
			return SW_SYN_WRONG;
	}
	if ((void *)(tcp + 1) > end)
		return SW_SYN_UNFAMILIAR;
	pseudo = sw_csum_tuple(&pkt->tuple, pkt->l4_length);
	sum = pseudo + options + sw_csum_words((__u32 *)tcp, 5);
	return sw_csum_fold(sum) == 0xffff || tcp->check == sw_csum_fold(pseudo) ? SW_SYN_READ : SW_SYN_WRONG;
}

/*
 * True if IP's and TCP's checksums are right. A TCP checksum that is just the sum of the
 * pseudo-header is the unfinished one of a frame no wire has seen (CHECKSUM_PARTIAL of
 * veth and virtio) and counts as right.
 */
__noinline int sw_checksums_right(struct xdp_md *ctx, const struct sw_packet *pkt)
{
	void *end = (void *)(long)ctx->data_end;
	const struct sw_tuple *t;
	struct tcphdr *tcp;
	__u64 sum, pseudo;
	__u32 *word;
	int i;

	if (!pkt)
		return false;
	t = &pkt->tuple;
	word = sw_l4(ctx, pkt);
	tcp = (void *)word;

	if (!t->family_v6) {
		struct iphdr *ip = sw_l3(ctx, pkt);
		__u32 *w = (void *)ip;

		if ((void *)(ip + 1) > end)
			return false;
		/* A header with options was left to the kernel before. */
		sum = (__u64)w[0] + w[1] + w[2] + w[3] + w[4];
		if (sw_csum_fold(sum) != 0xffff)
			return false;
	}
	pseudo = sw_csum_tuple(t, pkt->l4_length);
	if ((void *)(tcp + 1) > end)
		return false;
	sum = pseudo + word[0] + word[1] + word[2] + word[3] + word[4];
#pragma unroll
	for (i = 5; i < 15; i++) {
		if (i * 4 < pkt->header_length) {
			if ((void *)(word + i + 1) > end)
				return false;
			sum += word[i];
		}
	}
	if (pkt->l4_length > pkt->header_length)
		sum += sw_sum_data(ctx, pkt->l4_offset + pkt->header_length,
				   pkt->l4_offset + pkt->l4_length);
	return sw_csum_fold(sum) == 0xffff || tcp->check == sw_csum_fold(pseudo);
}

/* What the SYN-ACK says; numbers in host order. */
struct sw_synack {
	__u32 seq, ack;
	__u16 window;
	__u8 ecn; /* ECE */
	__u8 ttl, tos;
	__u32 words; /* of options */
	__u32 option[5];
};

/* Two words in, two words out: clang copies the bytes of a packed struct one by one. */
static __always_inline void sw_swap_mac(struct ethhdr *eth)
{
	__u64 first = *(__u64 *)eth;		/* destination, 2 bytes of source */
	__u32 last = *((__u32 *)eth + 2);	/* 4 bytes of source */

	*(__u64 *)eth = first >> 48 | (__u64)last << 16 | first << 48;
	*((__u32 *)eth + 2) = (__u32)(first >> 16);
}

/* Made in registers: reading back what was just written in smaller pieces stalls the CPU. */
static __always_inline void sw_write_ipv4(struct iphdr *ip, const struct sw_packet *pkt,
					  const struct sw_synack *sa, __u32 l4_length)
{
	__u32 length = sizeof(*ip) + l4_length;
	__u32 first = bpf_htonl(0x45000000 | (__u32)sa->tos << 16 | length);
	/* ip_build_and_send_pkt(): DF and id 0 on anything as small, whatever IP_MTU_DISCOVER says. */
	__u32 id_df = bpf_htonl(0x4000);
	__u32 ttl_tcp = bpf_htonl((__u32)sa->ttl << 24 | IPPROTO_TCP << 16);
	__u32 source = (__u32)pkt->tuple.daddr_lo, dest = (__u32)pkt->tuple.saddr_lo;
	__u16 check = ~sw_csum_fold((__u64)first + id_df + ttl_tcp + source + dest);
	__u32 *word = (void *)ip;

	word[0] = first;
	word[1] = id_df;
	word[2] = ttl_tcp | bpf_htonl(bpf_ntohs(check));
	word[3] = source;
	word[4] = dest;
}

static __always_inline void sw_write_ipv6(struct ipv6hdr *ip6, const struct sw_packet *pkt,
					  const struct sw_synack *sa, __u32 l4_length)
{
	/* RFC 6437: a label that is the same for the flow; the top bit marks a stateless one. */
	__u32 label = (__u32)(pkt->hash >> 44) | 0x80000;

	*(__be32 *)ip6 = bpf_htonl(6U << 28 | (__u32)sa->tos << 20 | label);
	ip6->payload_len = bpf_htons(l4_length);
	ip6->nexthdr = IPPROTO_TCP;
	ip6->hop_limit = sa->ttl;
	__builtin_memcpy(&ip6->saddr, &pkt->tuple.daddr_hi, 16);
	__builtin_memcpy(&ip6->daddr, &pkt->tuple.saddr_hi, 16);
}

/*
 * Room in front of the frame, where there was none behind it (veth: up to the next 64
 * bytes). What follows the Ethernet header and tags is written anew anyway.
 */
__noinline int sw_grow_front(struct xdp_md *ctx, __u32 bytes)
{
	__u8 l2[sizeof(struct ethhdr) + SW_VLAN_TAGS * sizeof(struct sw_vlan)];

	void *data = (void *)(long)ctx->data;

	if (data + sizeof(l2) > (void *)(long)ctx->data_end)
		return -1;
	__builtin_memcpy(l2, data, sizeof(l2));
	if (bpf_xdp_adjust_head(ctx, -(int)bytes))
		return -1;
	data = (void *)(long)ctx->data;
	if (data + sizeof(l2) > (void *)(long)ctx->data_end)
		return -1;
	__builtin_memcpy(data, l2, sizeof(l2));
	return 0;
}

/* A frame that was padded stays so. */
static __always_inline __u32 sw_want_padded(__u32 want, __u32 had)
{
	return want < SW_FRAME_MIN && had >= SW_FRAME_MIN ? SW_FRAME_MIN : want;
}

/*
 * Rewrites the frame into the SYN-ACK; tags stay. IPv6 extension headers and data of the
 * SYN are gone: the frame is cut or grown at its end. False if the driver has no room.
 */
static __always_inline bool sw_reply(struct xdp_md *ctx, const struct sw_packet *pkt,
				     const struct sw_synack *sa)
{
	const struct sw_tuple *t = &pkt->tuple;
	__u32 l4_offset = pkt->l3_offset + (t->family_v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	__u32 l4_length = sizeof(struct tcphdr) + sa->words * 4;
	__u32 had = (__u32)(ctx->data_end - ctx->data), want = l4_offset + l4_length;
	void *data, *end;
	__u32 ports, seq, ack, flags, *word;
	struct tcphdr *tcp;
	__u64 sum;

	want = sw_want_padded(want, had);
	/* Data may lie in further buffers. */
	if (had != want || pkt->l4_length != pkt->header_length) {
		had = sw_frame_length(ctx);
		want = sw_want_padded(want, had);
	}
	if (want != had && bpf_xdp_adjust_tail(ctx, (int)want - (int)had) &&
	    (want < had || sw_grow_front(ctx, want - had)))
		return false;

	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + sizeof(struct ethhdr) > end)
		return false;
	sw_swap_mac(data);
	if (t->family_v6) {
		struct ipv6hdr *ip6 = sw_l3(ctx, pkt);

		if ((void *)(ip6 + 1) > end)
			return false;
		sw_write_ipv6(ip6, pkt, sa, l4_length);
		tcp = (void *)(ip6 + 1);
	} else {
		struct iphdr *ip = sw_l3(ctx, pkt);

		if ((void *)(ip + 1) > end)
			return false;
		sw_write_ipv4(ip, pkt, sa, l4_length);
		tcp = (void *)(ip + 1);
	}

	word = (void *)tcp;
	if ((void *)(tcp + 1) > end)
		return false;
	ports = bpf_htonl((__u32)t->dport << 16 | t->sport);
	seq = bpf_htonl(sa->seq);
	ack = bpf_htonl(sa->ack);
	flags = bpf_htonl((5 + sa->words) << 28 |
			  (__u32)(SW_SYN | SW_ACK | (sa->ecn ? SW_ECE : 0)) << 16 | sa->window);
	word[0] = ports;
	word[1] = seq;
	word[2] = ack;
	word[3] = flags;
	sum = sw_csum_tuple(t, l4_length) + ports + seq + ack + flags;
#define SW_PUT_OPTIONS(count)                                   \
	case count:                                             \
		if ((void *)(word + 5 + (count)) > end)         \
			return false;                           \
		__builtin_memcpy(word + 5, sa->option, (count) * 4); \
		sum += sw_csum_words(sa->option, count);        \
		break

	switch (sa->words) {
	SW_PUT_OPTIONS(1);
	SW_PUT_OPTIONS(2);
	SW_PUT_OPTIONS(3);
	SW_PUT_OPTIONS(4);
	SW_PUT_OPTIONS(5);
	default:
		return false;
	}
#undef SW_PUT_OPTIONS
	word[4] = bpf_htonl((__u32)bpf_ntohs((__u16)~sw_csum_fold(sum)) << 16);

	/* The padding of a short frame held the end of the SYN. */
	if (want > l4_offset + l4_length) {
		__u8 *pad = (void *)(tcp + 1) + sa->words * 4;
		int i;

#pragma unroll
		for (i = 0; i < 6; i++) {
			if ((void *)(pad + i + 1) > end)
				break;
			pad[i] = 0;
		}
	}
	return true;
}

#endif
