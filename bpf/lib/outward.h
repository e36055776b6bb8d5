/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Proxy mode, from the server, at tc egress: its SYN-ACK becomes the window update the
 * client waits for, and comes back as the client's ACK; what follows is put into the
 * client's numbers. Fields are written in place, but the checksum only by
 * bpf_l4_csum_replace(): it knows whether there is one yet (CHECKSUM_PARTIAL).
 */
#ifndef SYNWARD_BPF_OUTWARD_H
#define SYNWARD_BPF_OUTWARD_H

#include <linux/pkt_cls.h>

#include "flow.h"
#include "server.h"
#include "size.h"
#include "../../headers/translate.h"

#define SW_PULL_MAX 128 /* bytes made linear where headers are not */

static __always_inline void *sw_skb_l4(struct __sk_buff *skb, const struct sw_packet *pkt)
{
	return (void *)(long)skb->data + (pkt->l4_offset & SW_L4_OFFSET_MASK);
}

/*
 * GRO may chain segments up, each with its header (rx-gro-list; of TCP since Linux 6.10), of which we
 * would translate the first. In one piece they are cut up anew by that one. False: no room for that.
 */
static __always_inline bool sw_skb_one_header(struct __sk_buff *skb)
{
	struct skb_shared_info *shared;
	struct sk_buff *frame;

	if (!skb->gso_segs || !bpf_cast_to_kern_ctx)
		return true;
	frame = bpf_cast_to_kern_ctx(skb);
	shared = (void *)(frame->head + frame->end);
	return !(BPF_CORE_READ(shared, gso_type) & SW_GSO_FRAGLIST) ||
	       !bpf_skb_pull_data(skb, skb->len);
}

/* A server's tuple, to be its client's. */
static __always_inline void sw_tuple_turn(struct sw_tuple *t)
{
	__u64 hi = t->saddr_hi, lo = t->saddr_lo;
	__u16 port = t->sport;

	t->saddr_hi = t->daddr_hi;
	t->saddr_lo = t->daddr_lo;
	t->sport = t->dport;
	t->daddr_hi = hi;
	t->daddr_lo = lo;
	t->dport = port;
}

/* As sw_parse(); the tuple is turned round, to be the client's. */
static __always_inline enum sw_parse sw_parse_skb(struct __sk_buff *skb, struct sw_packet *pkt)
{
	enum sw_parse parsed =
		sw_parse_frame((void *)(long)skb->data, (void *)(long)skb->data_end, pkt);

	if (parsed == SW_PARSE_TCP)
		sw_tuple_turn(&pkt->tuple);
	return parsed;
}

/* The checksum at that offset follows a change; packet pointers are no longer good. */
static __always_inline void sw_skb_csum(struct __sk_buff *skb, __u32 offset, __u64 change)
{
	change = (change & 0xffffffff) + (change >> 32);
	change = (change & 0xffffffff) + (change >> 32);
	if (change)
		bpf_l4_csum_replace(skb, offset, 0, change, 0);
}

static __always_inline __u32 sw_check_offset(const struct sw_packet *pkt)
{
	return pkt->l4_offset + offsetof(struct tcphdr, check);
}

/* Copies the options area into buf; returns how many bytes. */
static __always_inline __u32 sw_skb_options(struct __sk_buff *skb, const struct sw_packet *pkt,
					    struct sw_optbuf *buf)
{
	__u32 length = pkt->header_length - (__u32)sizeof(struct tcphdr);

	if (pkt->header_length <= sizeof(struct tcphdr) || length > SW_TCPOPT_MAX)
		return 0;
	length = sw_size_seen(length, SW_TCPOPT_MAX);
	if (bpf_skb_load_bytes(skb, pkt->l4_offset + sizeof(struct tcphdr), buf->byte, length))
		return 0;
	return length;
}

__noinline int sw_options_skb(struct __sk_buff *skb, const struct sw_packet *pkt,
			      struct sw_tcpopts *ret)
{
	struct sw_flow_scratch *mine = SW_THE(flow_scratch);

	if (!mine || !pkt || !ret)
		return 0;
	sw_optread_all(&mine->answer, sw_skb_options(skb, pkt, &mine->answer.buf));
	*ret = mine->answer.opts;
	return 0;
}

/* Options that are not just a timestamp; returns the change of their sum. */
__noinline __u64 sw_translate_options_skb(struct __sk_buff *skb, const struct sw_packet *pkt,
					  const struct sw_flow *f, enum sw_way way)
{
	struct sw_flow_scratch *mine = SW_THE(flow_scratch);
	__u32 length, *word, *from;
	__u64 change = 0;
	int i;

	if (!mine || !pkt || !f)
		return 0;
	length = sw_skb_options(skb, pkt, &mine->options.buf);
	sw_optwrite_start(&mine->options, length);
	for (i = 0; i < SW_OPTWRITE_STEPS; i++) {
		if (sw_optwrite_step(f, way, &mine->options))
			break;
	}
	word = sw_skb_l4(skb, pkt) + sizeof(struct tcphdr);
	from = (__u32 *)mine->options.buf.byte;
	for (i = 0; i < SW_TCPOPT_MAX / 4; i++) {
		if (i * 4U >= length || (void *)(word + i + 1) > (void *)(long)skb->data_end)
			break;
		change += sw_sum_change(word[i], from[i]);
		word[i] = from[i];
	}
	return change;
}

/*
 * A segment of an answered flow, in place; to the server one with ACK. Of a server without timestamps
 * there is nothing to translate in its options, and what the client's hold it is not to see. False:
 * it cannot be, and is to be dropped.
 */
static __always_inline bool sw_translate_skb(struct __sk_buff *skb, const struct sw_packet *pkt,
					     const struct sw_flow *f, enum sw_way way)
{
	bool tstamp = f->flags & SW_FF_SERVER_TSTAMP;
	__u64 change = 0;
	__u32 *word;

	if (!sw_skb_one_header(skb))
		return false;
	word = sw_skb_l4(skb, pkt);
	if (tstamp && (void *)(word + 8) <= (void *)(long)skb->data_end &&
	    pkt->header_length == 32 && word[5] == bpf_htonl(SW_OPTWORD_NOPS_TS))
		change = sw_translate_tstamp(f, way, word + 6);
	else if (pkt->header_length > sizeof(struct tcphdr) && (tstamp || way == SW_TO_SERVER))
		change = sw_translate_options_skb(skb, pkt, f, way);

	word = sw_skb_l4(skb, pkt);
	if ((void *)(word + 5) > (void *)(long)skb->data_end)
		return false;
	change += sw_translate_header(f, way, word);
	sw_skb_csum(skb, sw_check_offset(pkt), change);
	return true;
}

/* A bare ACK to be made of a SYN-ACK; numbers in host order. */
struct sw_bare_ack {
	__u32 seq, ack;
	__u32 tsval, tsecr;
	__u16 window;
	__u8 tstamp;
	__u8 turn;  /* swap MAC and IP addresses and ports */
	__u8 flags; /* SW_ACK, or SW_RST */
	__u8 pad[3];
};

static __always_inline void sw_swap_words(__u32 *a, __u32 *b)
{
	__u32 was = *a;

	*a = *b;
	*b = was;
}

static __always_inline bool sw_turn(struct __sk_buff *skb, const struct sw_packet *pkt)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	void *l3 = data + (pkt->l3_offset & 31);
	__u32 *l4 = sw_skb_l4(skb, pkt);

	if (data + sizeof(struct ethhdr) > end || l3 + sizeof(struct ipv6hdr) > end ||
	    (void *)(l4 + 1) > end)
		return false;
	sw_swap_mac(data);
	if (pkt->tuple.family_v6) {
		__u32 *addr = l3 + offsetof(struct ipv6hdr, saddr);

		sw_swap_words(addr, addr + 4);
		sw_swap_words(addr + 1, addr + 5);
		sw_swap_words(addr + 2, addr + 6);
		sw_swap_words(addr + 3, addr + 7);
	} else {
		__u32 *addr = l3 + offsetof(struct iphdr, saddr);

		sw_swap_words(addr, addr + 1);
	}
	*l4 = *l4 << 16 | *l4 >> 16;
	return true;
}

/*
 * Turns the SYN-ACK in skb, or what this function made of it before, into a bare ACK of
 * the same length: what is no timestamp becomes NOPs. False if it has no whole header.
 */
__noinline int sw_make_ack(struct __sk_buff *skb, const struct sw_packet *pkt,
			   const struct sw_bare_ack *a)
{
	__u32 fresh[8], *word, last;
	__u64 change = 0;
	int i;

	if (!pkt || !a || (a->turn && !sw_turn(skb, pkt)))
		return 0;
	word = sw_skb_l4(skb, pkt);
	if ((void *)(word + 5) > (void *)(long)skb->data_end)
		return 0;
	last = bpf_ntohl(word[3]);
	change += sw_put_word(&word[1], a->seq);
	change += sw_put_word(&word[2], a->ack);
	change += sw_put_word(&word[3], (last & 0xff000000) | (__u32)a->flags << 16 | a->window);
	fresh[5] = a->tstamp ? bpf_htonl(SW_OPTWORD_NOPS_TS) : SW_OPTWORD_NOPS;
	fresh[6] = a->tstamp ? bpf_htonl(a->tsval) : SW_OPTWORD_NOPS;
	fresh[7] = a->tstamp ? bpf_htonl(a->tsecr) : SW_OPTWORD_NOPS;
#pragma unroll
	for (i = 5; i < 15; i++) {
		__u32 to = i < 8 ? fresh[i] : SW_OPTWORD_NOPS;

		if (i * 4 >= pkt->header_length)
			break;
		if ((void *)(word + i + 1) > (void *)(long)skb->data_end)
			return 0;
		change += sw_sum_change(word[i], to);
		word[i] = to;
	}
	sw_skb_csum(skb, sw_check_offset(pkt), change);
	return 1;
}

/* The client's ACK back into ingress, the window update on to the client. */
static __always_inline int sw_answer_both(struct __sk_buff *skb, const struct sw_packet *pkt,
					  const struct sw_flow *f, const struct sw_tcpopts *opts,
					  __u16 window)
{
	struct sw_proxy *p = SW_THE(proxy);
	bool generic = p && p->generic; /* the frame will be translated on its way */
	struct sw_bare_ack a = {
		.seq = f->client_isn + 1,
		.ack = generic ? f->cookie + 1 : pkt->seq + 1,
		.tsval = opts->tsecr,
		.tsecr = opts->tsval + (generic ? f->ts_delta : 0),
		.window = generic ? f->window[SW_CLIENT]
				  : sw_window_to_server(f, f->window[SW_CLIENT]),
		.tstamp = !!(f->flags & SW_FF_SERVER_TSTAMP),
		.turn = 1,
		.flags = SW_ACK,
	};

	if (!sw_make_ack(skb, pkt, &a))
		return TC_ACT_SHOT;
	bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
	a.seq = f->cookie + 1;
	a.ack = f->client_isn + 1;
	a.tsval = opts->tsval + f->ts_delta;
	a.tsecr = opts->tsecr;
	a.window = sw_rescale(window, 0, f->told_wscale);
	return sw_make_ack(skb, pkt, &a) ? SW_TC_NEXT : TC_ACT_SHOT;
}

static __always_inline void sw_learn_synack(const struct sw_packet *pkt,
					    const struct sw_tcpopts *opts, __u8 offered, __u8 ttl,
					    __u64 now_ns)
{
	struct sw_lesson lesson = {
		.hash = pkt->hash,
		.mss = opts->mss,
		.has = sw_learn_bits(opts, pkt->flags & SW_ECE),
		.offered = offered,
		.wscale = opts->wscale,
		.ttl = ttl,
	};

	sw_learn(&pkt->tuple, &lesson, now_ns);
}

static __always_inline __u8 sw_flow_offered(const struct sw_flow *f)
{
	return (f->flags & SW_FF_SACK ? SW_LF_SACK : 0) |
	       (f->flags & SW_FF_TSTAMP ? SW_LF_TSTAMP : 0) |
	       (f->flags & SW_FF_ECN ? SW_LF_ECN : 0) |
	       (f->client_wscale != SW_WSCALE_NONE ? SW_LF_WSCALE : 0);
}

/* What stands in the IP header, or in TCP's; the frame was parsed, so it is there. */
static __always_inline __u8 sw_skb_ttl(struct __sk_buff *skb, const struct sw_packet *pkt)
{
	__u8 *l3 = (void *)(long)skb->data + (pkt->l3_offset & 31);

	if ((void *)(l3 + 20) > (void *)(long)skb->data_end)
		return SW_TTL_UNSEEN;
	return pkt->tuple.family_v6 ? l3[offsetof(struct ipv6hdr, hop_limit)]
				    : l3[offsetof(struct iphdr, ttl)];
}

static __always_inline __u16 sw_skb_window(struct __sk_buff *skb, const struct sw_packet *pkt)
{
	struct tcphdr *tcp = sw_skb_l4(skb, pkt);

	return (void *)(tcp + 1) > (void *)(long)skb->data_end ? 0 : bpf_ntohs(tcp->window);
}

/* The server's SYN-ACK on a flow. One sent again (its ACK was lost) is answered again. */
static __always_inline int sw_flow_synack(struct __sk_buff *skb, const struct sw_packet *pkt,
					  struct sw_flow *f, __u64 now_ns)
{
	__u16 window = sw_skb_window(skb, pkt);
	struct sw_tcpopts opts;
	struct sw_answer a;

	if (pkt->ack != f->client_isn + 1)
		return TC_ACT_SHOT;
	sw_options_skb(skb, pkt, &opts);
	if (!(f->flags & SW_FF_ANSWERED) || f->cookie - pkt->seq != f->seq_delta) {
		a = (struct sw_answer){pkt->seq, opts.tsval, opts.wscale,
				       opts.flags | (pkt->flags & SW_ECE ? SW_OPT_ECN : 0)};
		sw_flow_answered(f, &a);
		sw_count_event(SW_EV_FLOW_ANSWERED);
		sw_learn_synack(pkt, &opts, sw_flow_offered(f), sw_skb_ttl(skb, pkt), now_ns);
	}
	f->seen = sw_flow_time(now_ns);
	return sw_answer_both(skb, pkt, f, &opts, window);
}

/* A RST to a SYN has no number of its own. */
static __always_inline int sw_flow_refused(struct __sk_buff *skb, const struct sw_packet *pkt,
					   struct sw_flow *f)
{
	__u32 *word = sw_skb_l4(skb, pkt);

	if ((void *)(word + 5) > (void *)(long)skb->data_end)
		return TC_ACT_SHOT;
	f->bits[SW_SERVER] |= SW_FLOW_RST;
	sw_count_event(SW_EV_FLOW_REFUSED);
	sw_skb_csum(skb, sw_check_offset(pkt), sw_put_word(&word[1], f->cookie + 1));
	return SW_TC_NEXT;
}

/*
 * The server still has an older connection of this tuple and challenges the SYN. The
 * client would answer with a RST of that number (RFC 9293 3.10.7.4, RFC 5961 4) and try
 * again; so does its flow: the next probe becomes another SYN.
 */
static __always_inline int sw_flow_stale(struct __sk_buff *skb, const struct sw_packet *pkt)
{
	struct sw_bare_ack a = {.seq = pkt->ack, .turn = 1, .flags = SW_RST};

	if (pkt->flags & SW_ACK && sw_make_ack(skb, pkt, &a)) {
		sw_count_event(SW_EV_FLOW_STALE);
		bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
	}
	return TC_ACT_SHOT;
}

static __always_inline int sw_flow_out(struct __sk_buff *skb, const struct sw_packet *pkt,
				       struct sw_flow *f, __u64 now_ns)
{
	struct sw_flow_event e = {
		.segments = 1,
		.seq = pkt->seq + f->seq_delta,
		.ack = pkt->ack,
		.bytes = skb->len - pkt->l4_offset - pkt->header_length,
		.window = sw_skb_window(skb, pkt),
		.fin = !!(pkt->flags & SW_FIN),
		.rst = !!(pkt->flags & SW_RST),
		.has_ack = !!(pkt->flags & SW_ACK),
	};

	if (!(f->flags & SW_FF_ANSWERED))
		return pkt->flags & SW_RST ? sw_flow_refused(skb, pkt, f) : sw_flow_stale(skb, pkt);
	sw_flow_note(f, SW_SERVER, &e, now_ns);
	sw_count_event(SW_EV_FLOW_FRAME_OUT);
	return sw_translate_skb(skb, pkt, f, SW_TO_CLIENT) ? SW_TC_NEXT : TC_ACT_SHOT;
}

/* No flow: what the server says now proves a connection of its own. */
static __always_inline int sw_direct_out(struct __sk_buff *skb, const struct sw_packet *pkt,
					 struct sw_walk *state, __u64 now_ns)
{
	struct sw_tcpopts opts;

	if ((pkt->flags & (SW_SYN | SW_ACK)) == (SW_SYN | SW_ACK)) {
		sw_options_skb(skb, pkt, &opts);
		sw_learn_synack(pkt, &opts, 0, sw_skb_ttl(skb, pkt), now_ns);
	}
	sw_direct_note(state, pkt->hash, pkt->flags, now_ns);
	return SW_TC_NEXT;
}

#endif
