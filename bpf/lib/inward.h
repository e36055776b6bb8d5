/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Proxy mode, from the client: the ACK that brings a cookie becomes the SYN that the
 * server never saw; what follows is put into the server's numbers.
 */
#ifndef SYNWARD_BPF_INWARD_H
#define SYNWARD_BPF_INWARD_H

#include "flow.h"
#include "reply.h"
#include "size.h"
#include "../../headers/checksum.h"
#include "../../headers/translate.h"

/* A server that does not answer gets so many SYNs, each made of a segment of the client's. */
#define SW_SYNS_MAX 12
#define SW_ANSWER_NS (60 * SW_NS_PER_S) /* then the client's next segment gets a RST */
#define SW_SYN_AGAIN_MS 150 /* below the client's first probe, above what comes in one batch */

/*
 * True if the TCP checksum is the unfinished one of a frame no wire has seen: just the
 * pseudo-header's sum. One finished checksum in 65,536 looks the same; only then, and on
 * veth, the segment is summed.
 */
__noinline int sw_checksum_partial(struct xdp_md *ctx, const struct sw_packet *pkt)
{
	void *end = (void *)(long)ctx->data_end;
	struct tcphdr *tcp;
	__u64 pseudo;

	if (!pkt)
		return 0;
	tcp = sw_l4(ctx, pkt);
	if ((void *)(tcp + 1) > end)
		return 0;
	pseudo = sw_csum_tuple(&pkt->tuple, pkt->l4_length);
	if (tcp->check != sw_csum_fold(pseudo))
		return 0;
	return sw_csum_fold(pseudo + sw_sum_data(ctx, pkt->l4_offset,
						 pkt->l4_offset + pkt->l4_length)) != 0xffff;
}

/* False: nobody has finished the segment's checksum, or it looks so. */
static __always_inline bool sw_checksum_finished(struct xdp_md *ctx, const struct sw_packet *pkt)
{
	struct tcphdr *tcp = sw_l4(ctx, pkt);

	return (void *)(tcp + 1) <= (void *)(long)ctx->data_end &&
	       tcp->check != sw_csum_fold(sw_csum_tuple(&pkt->tuple, pkt->l4_length));
}

/*
 * Room for bytes more of TCP header where there is none behind the frame (veth: up to
 * the next 64 bytes): all in front of the TCP header moves up.
 */
__noinline int sw_grow_before_l4(struct xdp_md *ctx, __u32 l4_offset, __u32 bytes)
{
	struct sw_local *mine = SW_THE(local);

	if (!mine || l4_offset == 0 || l4_offset > SW_CHUNK)
		return -1;
	l4_offset = sw_size_seen(l4_offset, SW_CHUNK);
	if (bpf_xdp_load_bytes(ctx, 0, mine->chunk, l4_offset))
		return -1;
	if (bpf_xdp_adjust_head(ctx, -(int)bytes))
		return -1;
	return bpf_xdp_store_bytes(ctx, 0, mine->chunk, l4_offset);
}

/* The frame as long as it is with a TCP segment of length bytes, by its end alone. */
static __always_inline bool sw_resize(struct xdp_md *ctx, const struct sw_packet *pkt, __u32 length)
{
	__u32 had = (__u32)bpf_xdp_get_buff_len(ctx), want = pkt->l4_offset + length;

	return want == had || !bpf_xdp_adjust_tail(ctx, (int)want - (int)had);
}

static __always_inline bool sw_grow(struct xdp_md *ctx, const struct sw_packet *pkt, __u32 length)
{
	__u32 had = (__u32)bpf_xdp_get_buff_len(ctx), want = pkt->l4_offset + length;

	return want > had && !sw_grow_before_l4(ctx, pkt->l4_offset, want - had);
}

/* The IP header's length field, and its checksum. */
static __always_inline bool sw_set_l3_length(struct xdp_md *ctx, const struct sw_packet *pkt,
					     __u32 l4_length)
{
	void *end = (void *)(long)ctx->data_end;
	__be16 from, to;

	if (pkt->tuple.family_v6) {
		struct ipv6hdr *ip6 = sw_l3(ctx, pkt);

		if ((void *)(ip6 + 1) > end)
			return false;
		ip6->payload_len =
			bpf_htons(pkt->l4_offset - pkt->l3_offset - sizeof(*ip6) + l4_length);
	} else {
		struct iphdr *ip = sw_l3(ctx, pkt);

		if ((void *)(ip + 1) > end)
			return false;
		from = ip->tot_len;
		to = bpf_htons(pkt->l4_offset - pkt->l3_offset + l4_length);
		ip->tot_len = to;
		ip->check = sw_csum_change(ip->check, (__u64)(__u16)~from + to);
	}
	return true;
}

/* RFC 7323 2.2: the window of a SYN is not scaled. */
static __always_inline __u32 sw_syn_window(const struct sw_flow *f)
{
	return sw_rescale(f->window[SW_CLIENT], sw_scale_of_client(f), 0);
}

/* The SYN's options into memory, and back its length: in registers each would be a way of its own
 * for the verifier. */
static __always_inline __u32 sw_syn_options(struct sw_syn *syn, const struct sw_flow *f,
					    __u32 tsval)
{
	struct sw_tcpopts opts = {
		.tsval = tsval,
		.mss = f->mss,
		.wscale = f->client_wscale,
		.flags = (f->flags & SW_FF_SACK ? SW_OPT_SACK : 0) |
			 (f->flags & SW_FF_TSTAMP ? SW_OPT_TSTAMP : 0),
	};

	syn->words = sw_tcpopts_write(syn->option, &opts);
	return sizeof(struct tcphdr) + *(volatile __u32 *)&syn->words * 4;
}

/*
 * Room for the SYN, whose options are in most cases longer than the ACK's. An unfinished
 * checksum's place is noted in the skb, so such a frame must not grow at its front (veth,
 * client without timestamps): SACK stays away then. Returns the SYN's length, 0 if there
 * is no room.
 */
__noinline int sw_syn_room(struct xdp_md *ctx, const struct sw_packet *pkt, struct sw_flow *f,
			   __u32 tsval, int partial)
{
	struct sw_flow_scratch *mine = SW_THE(flow_scratch);
	__u32 length;

	if (!mine || !pkt || !f)
		return 0;
	length = sw_syn_options(&mine->syn, f, tsval);
	if (sw_resize(ctx, pkt, length))
		return length;
	if (!partial)
		return sw_grow(ctx, pkt, length) ? length : 0;
	f->flags &= ~SW_FF_SACK;
	length = sw_syn_options(&mine->syn, f, tsval);
	return sw_resize(ctx, pkt, length) ? length : 0;
}

/*
 * Rewrites the client's segment in place into its SYN, with the options its first one
 * offered and the cookie kept. tsval: of this segment. 0 if the driver has no room.
 */
__noinline int sw_make_syn(struct xdp_md *ctx, const struct sw_packet *pkt, struct sw_flow *f,
			   __u32 tsval)
{
	struct sw_flow_scratch *mine = SW_THE(flow_scratch);
	__u32 i, length, *word;
	struct tcphdr *tcp;
	__u64 pseudo, sum;
	int partial;

	if (!mine || !pkt || !f)
		return 0;
	partial = sw_checksum_partial(ctx, pkt);
	length = sw_syn_room(ctx, pkt, f, tsval, partial);
	if (!length || !sw_set_l3_length(ctx, pkt, length))
		return 0;

	word = sw_l4(ctx, pkt);
	tcp = (void *)word;
	if ((void *)(tcp + 1) > (void *)(long)ctx->data_end)
		return 0;
	word[0] = bpf_htonl((__u32)pkt->tuple.sport << 16 | pkt->tuple.dport);
	word[1] = bpf_htonl(f->client_isn);
	word[2] = 0;
	word[3] = bpf_htonl(length / 4 << 28 | sw_syn_window(f) |
			    (__u32)(SW_SYN | (f->flags & SW_FF_ECN ? SW_ECE | SW_CWR : 0)) << 16);
	word[4] = 0;
	pseudo = sw_csum_tuple(&pkt->tuple, length);
	sum = pseudo + word[0] + word[1] + word[3];
	for (i = 0; i < 5 && i < mine->syn.words; i++) {
		if ((void *)(word + 6 + i) > (void *)(long)ctx->data_end)
			return 0;
		word[5 + i] = mine->syn.option[i];
		sum += mine->syn.option[i];
	}
	tcp->check = partial ? sw_csum_fold(pseudo) : (__u16)~sw_csum_fold(sum);
	return 1;
}

/* Options that are not just a timestamp, byte by byte; returns the change of their sum. */
__noinline __u64 sw_translate_options_in(struct xdp_md *ctx, const struct sw_packet *pkt,
					 const struct sw_flow *f)
{
	struct sw_flow_scratch *mine = SW_THE(flow_scratch);
	void *end = (void *)(long)ctx->data_end;
	__u32 *word, *from, length;
	__u64 change = 0;
	int i;

	if (!mine || !pkt || !f)
		return 0;
	sw_optwrite_start(&mine->options, sw_copy_options(ctx, pkt, &mine->options.buf));
	/* Read back: the verifier would walk all that follows for each length there can be. */
	length = mine->options.length;
	for (i = 0; i < SW_OPTWRITE_STEPS; i++) {
		if (sw_optwrite_step(f, SW_TO_SERVER, &mine->options))
			break;
	}
	word = sw_l4(ctx, pkt) + sizeof(struct tcphdr);
	from = (__u32 *)mine->options.buf.byte;
	for (i = 0; i < SW_TCPOPT_MAX / 4; i++) {
		if (i * 4U >= length || (void *)(word + i + 1) > end)
			break;
		change += sw_sum_change(word[i], from[i]);
		word[i] = from[i];
	}
	return change;
}

/* True of a header without options, or with a timestamp as every stack lays it out. */
static __always_inline bool sw_header_common(struct xdp_md *ctx, const struct sw_packet *pkt)
{
	__u32 *word = sw_l4(ctx, pkt);

	if (pkt->header_length == sizeof(struct tcphdr))
		return true;
	return pkt->header_length == 32 && (void *)(word + 8) <= (void *)(long)ctx->data_end &&
	       word[5] == bpf_htonl(SW_OPTWORD_NOPS_TS);
}

/*
 * What XDP has translated is not to be put together by GRO: where a frame is as large as what is
 * translated behind it, behind.h would do it again. Returns what to add to the checksum's sum.
 */
static __always_inline __u64 sw_keep_apart(const struct sw_packet *pkt, struct tcphdr *tcp)
{
	struct sw_proxy *p = SW_THE(proxy);

	return p && p->after_gro && pkt->l4_length > pkt->header_length ? sw_push(tcp) : 0;
}

/* A segment with ACK, such a header and a finished checksum, in place. False: it is cut off. */
static __always_inline bool sw_translate_common(struct xdp_md *ctx, const struct sw_packet *pkt,
						const struct sw_flow *f, enum sw_way way)
{
	/* Volatile: merged with another reading of it, clang copies half a register, and the
	 * verifier says "invalid access to packet" (clang 16 and 19, Linux 6.18). */
	void *end = (void *)(long)*(volatile __u32 *)&ctx->data_end;
	struct tcphdr *tcp = sw_l4(ctx, pkt);
	__u32 *word = (void *)tcp;
	__u64 change = 0;

	if (pkt->header_length == 32) {
		if ((void *)(word + 8) > end)
			return false;
		change = sw_translate_tstamp(f, way, word + 6);
	}
	if ((void *)(tcp + 1) > end)
		return false;
	if (way == SW_TO_SERVER)
		change += sw_keep_apart(pkt, tcp);
	change += sw_translate_header(f, way, word);
	tcp->check = sw_csum_change(tcp->check, change);
	return true;
}

/* A segment with ACK, in place. 0 if its header is cut off. */
__noinline int sw_translate_in(struct xdp_md *ctx, const struct sw_packet *pkt,
			       const struct sw_flow *f)
{
	struct tcphdr *tcp;
	__u64 change = 0;
	__u32 *word;
	int partial;

	if (!pkt || !f)
		return 0;
	partial = sw_checksum_partial(ctx, pkt);
	word = sw_l4(ctx, pkt);
	if ((void *)(word + 8) <= (void *)(long)ctx->data_end && pkt->header_length == 32 &&
	    word[5] == bpf_htonl(SW_OPTWORD_NOPS_TS) && f->flags & SW_FF_SERVER_TSTAMP)
		change = sw_translate_tstamp(f, SW_TO_SERVER, word + 6);
	else if (pkt->header_length > sizeof(*tcp))
		change = sw_translate_options_in(ctx, pkt, f);

	word = sw_l4(ctx, pkt);
	tcp = (void *)word;
	if ((void *)(tcp + 1) > (void *)(long)ctx->data_end)
		return 0;
	change += sw_keep_apart(pkt, tcp) + sw_translate_header(f, SW_TO_SERVER, word);
	if (!partial)
		tcp->check = sw_csum_change(tcp->check, change);
	return 1;
}

static __always_inline void sw_note_in(struct sw_flow *f, const struct sw_packet *pkt, __u16 window,
				       __u64 now_ns)
{
	struct sw_flow_event e = {
		.segments = 1,
		.seq = pkt->seq,
		.ack = pkt->ack,
		.bytes = pkt->l4_length > pkt->header_length ? pkt->l4_length - pkt->header_length
							     : 0,
		.window = window,
		.fin = !!(pkt->flags & SW_FIN),
		.rst = !!(pkt->flags & SW_RST),
		.has_ack = !!(pkt->flags & SW_ACK),
	};

	sw_flow_note(f, SW_CLIENT, &e, now_ns);
}

static __always_inline __u16 sw_window_of(struct xdp_md *ctx, const struct sw_packet *pkt)
{
	struct tcphdr *tcp = sw_l4(ctx, pkt);

	return (void *)(tcp + 1) > (void *)(long)ctx->data_end ? 0 : bpf_ntohs(tcp->window);
}

#define SW_RST_TTL 64

/* As sw_swap_mac(), of the IP addresses; IPv4's checksum covers a new TTL. */
static __always_inline bool sw_turn_l3(struct xdp_md *ctx, const struct sw_packet *pkt)
{
	void *end = (void *)(long)ctx->data_end;
	__be16 from, to;

	if (pkt->tuple.family_v6) {
		struct ipv6hdr *ip6 = sw_l3(ctx, pkt);

		if ((void *)(ip6 + 1) > end)
			return false;
		__builtin_memcpy(&ip6->saddr, &pkt->tuple.daddr_hi, 16);
		__builtin_memcpy(&ip6->daddr, &pkt->tuple.saddr_hi, 16);
		ip6->hop_limit = SW_RST_TTL;
	} else {
		struct iphdr *ip = sw_l3(ctx, pkt);

		if ((void *)(ip + 1) > end)
			return false;
		ip->saddr = (__u32)pkt->tuple.daddr_lo;
		ip->daddr = (__u32)pkt->tuple.saddr_lo;
		from = *(__be16 *)&ip->ttl; /* with the protocol behind it */
		ip->ttl = SW_RST_TTL;
		to = *(__be16 *)&ip->ttl;
		ip->check = sw_csum_change(ip->check, (__u64)(__u16)~from + to);
	}
	return true;
}

/* Rewrites the client's segment in place into the server's RST. 0 if the driver has no room. */
__noinline int sw_make_rst(struct xdp_md *ctx, const struct sw_packet *pkt, const struct sw_flow *f)
{
	struct ethhdr *eth;
	struct tcphdr *tcp;
	__u32 *word;

	if (!pkt || !f || !sw_resize(ctx, pkt, sizeof(*tcp)) ||
	    !sw_set_l3_length(ctx, pkt, sizeof(*tcp)) || !sw_turn_l3(ctx, pkt))
		return 0;
	eth = (void *)(long)ctx->data;
	word = sw_l4(ctx, pkt);
	tcp = (void *)word;
	if ((void *)(eth + 1) > (void *)(long)ctx->data_end ||
	    (void *)(tcp + 1) > (void *)(long)ctx->data_end)
		return 0;
	sw_swap_mac(eth);
	word[0] = bpf_htonl((__u32)pkt->tuple.dport << 16 | pkt->tuple.sport);
	word[1] = bpf_htonl(f->cookie + 1);
	word[2] = bpf_htonl(pkt->seq);
	word[3] = bpf_htonl(5U << 28 | (__u32)(SW_RST | SW_ACK) << 16);
	word[4] = 0;
	tcp->check = ~sw_csum_fold(sw_csum_tuple(&pkt->tuple, sizeof(*tcp)) + word[0] + word[1] +
				   word[2] + word[3]);
	return 1;
}

/* The server is given up: the client learns it with its next segment. */
static __always_inline enum sw_reason sw_flow_fail(struct xdp_md *ctx, const struct sw_packet *pkt,
						   struct sw_flow *f)
{
	f->bits[SW_CLIENT] |= SW_FLOW_RST;
	return sw_make_rst(ctx, pkt, f) ? SW_FLOW_FAILED : SW_NO_ROOM;
}

/* Before the server's answer: the client's probes are what retransmits the SYN. */
static __always_inline enum sw_reason sw_flow_waiting(struct xdp_md *ctx,
						      const struct sw_packet *pkt,
						      struct sw_flow *f, __u64 now_ns, __u32 now_ms)
{
	struct sw_tcpopts seen;

	if (pkt->header_length < sizeof(struct tcphdr) || pkt->l4_length < pkt->header_length)
		return SW_FLOW_HELD;
	if (f->bits[SW_SERVER] & SW_FLOW_GONE || sw_flow_since_ns(f->opened, now_ns) > SW_ANSWER_NS)
		return sw_flow_fail(ctx, pkt, f);
	if (f->syns >= SW_SYNS_MAX || now_ms - f->syn_ms < SW_SYN_AGAIN_MS)
		return SW_FLOW_HELD;
	sw_options(ctx, pkt, &seen);
	f->syns++;
	f->syn_ms = now_ms;
	return sw_make_syn(ctx, pkt, f, seen.tsval) ? SW_FLOW_SYN_AGAIN : SW_NO_ROOM;
}

/* True if both ends talk, and neither has begun to close. */
static __always_inline bool sw_flow_talks(const struct sw_flow *f)
{
	return f->flags & SW_FF_ANSWERED && !(f->bits[SW_CLIENT] | f->bits[SW_SERVER]);
}

/* Data or an acknowledgement of a flow on which both ends talk. False: it is more, and untouched. */
static __always_inline bool sw_flow_in_plain(struct xdp_md *ctx, const struct sw_packet *pkt,
					     struct sw_flow *f, __u64 now_ns)
{
	if (!sw_flow_talks(f) || pkt->flags & SW_FIN || pkt->l4_length < pkt->header_length ||
	    !sw_header_common(ctx, pkt) || !sw_checksum_finished(ctx, pkt) ||
	    (pkt->header_length > sizeof(struct tcphdr) && !(f->flags & SW_FF_SERVER_TSTAMP)))
		return false;
	sw_note_in(f, pkt, sw_window_of(ctx, pkt), now_ns);
	return sw_translate_common(ctx, pkt, f, SW_TO_SERVER);
}

/* A segment of a flow. */
static __always_inline enum sw_reason sw_flow_in(struct xdp_md *ctx, const struct sw_packet *pkt,
						 struct sw_flow *f, __u64 now_ns, __u32 now_ms)
{
	if (pkt->flags & SW_SYN)
		return SW_FLOW_SYN;
	sw_note_in(f, pkt, sw_window_of(ctx, pkt), now_ns);
	if (!(f->flags & SW_FF_ANSWERED))
		return pkt->flags & SW_RST ? SW_FLOW_SEGMENT
					   : sw_flow_waiting(ctx, pkt, f, now_ns, now_ms);
	if (!(pkt->flags & SW_ACK))
		return SW_FLOW_SEGMENT;
	return sw_translate_in(ctx, pkt, f) ? SW_FLOW_SEGMENT : SW_TRUNCATED;
}

#endif
