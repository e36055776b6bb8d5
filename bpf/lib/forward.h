/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Proxy mode with --forward: segments of flows that are just routed between the guarded
 * interface and one other go from XDP to XDP. Whatever is not plain goes up the stack,
 * which can do all of it, and the two may alternate within a connection.
 */
#ifndef SYNWARD_BPF_FORWARD_H
#define SYNWARD_BPF_FORWARD_H

#include "inward.h"
#include "outward.h"

#define SW_FORWARDED (1 << 30) /* of a verdict: the frame is on its way out of another interface */
#define SW_FIB_INET  2         /* AF_INET and AF_INET6: <sys/socket.h> is the C library's */
#define SW_FIB_INET6 10

/* Nothing but addresses and an established connection's data or acknowledgement. */
static __always_inline bool sw_forward_plain(struct xdp_md *ctx, const struct sw_packet *pkt,
					     const struct sw_flow *f)
{
	__u32 l3_length = pkt->tuple.family_v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);

	return f->flags & SW_FF_ROUTED && sw_flow_talks(f) &&
	       (pkt->flags & (SW_SYN | SW_FIN | SW_RST | SW_ACK)) == SW_ACK &&
	       pkt->l3_offset == sizeof(struct ethhdr) &&
	       pkt->l4_offset == sizeof(struct ethhdr) + l3_length && !pkt->first_fragment &&
	       pkt->l4_length >= pkt->header_length &&
	       pkt->l4_offset + pkt->l4_length <= ctx->data_end - ctx->data &&
	       bpf_xdp_get_buff_len(ctx) == ctx->data_end - ctx->data;
}

static __always_inline bool sw_fib_fill(struct xdp_md *ctx, struct bpf_fib_lookup *fib,
					const struct sw_packet *pkt)
{
	void *l3 = (void *)(long)ctx->data + sizeof(struct ethhdr);
	void *end = (void *)(long)ctx->data_end;

	__builtin_memset(fib, 0, sizeof(*fib));
	fib->l4_protocol = IPPROTO_TCP;
	fib->ifindex = ctx->ingress_ifindex;
	fib->tot_len = pkt->l4_offset - sizeof(struct ethhdr) + pkt->l4_length;
	if (pkt->tuple.family_v6) {
		struct ipv6hdr *ip6 = l3;

		if ((void *)(ip6 + 1) > end || ip6->hop_limit <= 1)
			return false;
		fib->family = SW_FIB_INET6;
		fib->flowinfo = *(__be32 *)ip6 & bpf_htonl(0x0fffffff);
		__builtin_memcpy(fib->ipv6_src, &ip6->saddr, 16);
		__builtin_memcpy(fib->ipv6_dst, &ip6->daddr, 16);
	} else {
		struct iphdr *ip = l3;

		if ((void *)(ip + 1) > end || ip->ttl <= 1)
			return false;
		fib->family = SW_FIB_INET;
		fib->tos = ip->tos;
		fib->ipv4_src = ip->saddr;
		fib->ipv4_dst = ip->daddr;
	}
	return true;
}

/*
 * Whether the kernel would route the frame out of `to`, to a neighbour it knows, and it
 * fits; what it answers stays for sw_forward_send().
 */
__noinline int sw_forward_look(struct xdp_md *ctx, const struct sw_packet *pkt, __u32 to)
{
	struct sw_flow_scratch *mine = SW_THE(flow_scratch);

	/* The stack finishes a checksum (one finished in 65,536 looks as if it were not). */
	if (!mine || !pkt || !sw_checksum_finished(ctx, pkt) || !sw_fib_fill(ctx, &mine->fib, pkt))
		return 0;
	return bpf_fib_lookup(ctx, &mine->fib, sizeof(mine->fib), 0) == BPF_FIB_LKUP_RET_SUCCESS &&
	       mine->fib.ifindex == to;
}

/* What a router does to a frame; then it leaves. */
static __always_inline bool sw_forward_send(struct xdp_md *ctx, struct bpf_fib_lookup *fib, bool v6)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	if ((void *)(eth + 1) + sizeof(struct ipv6hdr) > end)
		return false;
	if (v6) {
		struct ipv6hdr *ip6 = (void *)(eth + 1);

		ip6->hop_limit--;
	} else {
		struct iphdr *ip = (void *)(eth + 1);
		__u16 from = *(__u16 *)&ip->ttl;

		ip->ttl--;
		ip->check = sw_csum_change(ip->check, sw_sum_change(from, *(__u16 *)&ip->ttl));
	}
	__builtin_memcpy(eth->h_source, fib->smac, 6);
	__builtin_memcpy(eth->h_dest, fib->dmac, 6);
	return bpf_redirect(fib->ifindex, 0) == XDP_REDIRECT;
}

/* From the client, translated already. Returns SW_FORWARDED, or 0: up the stack. */
__noinline int sw_forward_in(struct xdp_md *ctx, const struct sw_packet *pkt,
			     const struct sw_flow *f)
{
	struct sw_flow_scratch *mine = SW_THE(flow_scratch);
	struct sw_proxy *p = SW_THE(proxy);

	if (!mine || !p || !pkt || !f || !p->forward || !sw_forward_plain(ctx, pkt, f) ||
	    !sw_forward_look(ctx, pkt, p->forward) ||
	    !sw_forward_send(ctx, &mine->fib, pkt->tuple.family_v6))
		return 0;
	sw_count_event(SW_EV_FLOW_FORWARDED_IN);
	return SW_FORWARDED;
}

/* A segment of the server's that can leave at once: noted, translated, sent. */
__noinline int sw_forward_out(struct xdp_md *ctx, const struct sw_packet *pkt, struct sw_flow *f,
			      __u64 now_ns)
{
	struct sw_flow_scratch *mine = SW_THE(flow_scratch);
	struct sw_proxy *p = SW_THE(proxy);
	struct sw_flow_event e = {.segments = 1, .has_ack = 1};

	if (!mine || !p || !pkt || !f || !p->forward || !sw_forward_plain(ctx, pkt, f) ||
	    !sw_header_common(ctx, pkt) || !sw_forward_look(ctx, pkt, p->guarded))
		return XDP_PASS;
	e.seq = pkt->seq + f->seq_delta;
	e.ack = pkt->ack;
	e.bytes = pkt->l4_length - pkt->header_length;
	e.window = sw_window_of(ctx, pkt);
	sw_flow_note(f, SW_SERVER, &e, now_ns);
	if (!sw_translate_common(ctx, pkt, f, SW_TO_CLIENT) ||
	    !sw_forward_send(ctx, &mine->fib, pkt->tuple.family_v6))
		return XDP_DROP; /* half done; cannot be, all was looked at before */
	sw_count_event(SW_EV_FLOW_FORWARDED_OUT);
	return XDP_REDIRECT;
}

/*
 * A SYN-ACK that comes from the wire of the servers' interface with the client's own
 * tuple: the server is no local socket, and nobody translates addresses.
 */
static __always_inline void sw_forward_mark(const struct sw_packet *pkt, struct sw_flow *f)
{
	if ((pkt->flags & (SW_SYN | SW_ACK)) == (SW_SYN | SW_ACK) && pkt->ack == f->client_isn + 1)
		f->flags |= SW_FF_ROUTED;
}

/* XDP on the servers' interface. */
static __always_inline int sw_forward(struct xdp_md *ctx)
{
	struct sw_secrets *secret = SW_THE(secrets);
	struct sw_walk_slot *slot = SW_THE(walk);
	struct sw_local *cpu = SW_THE(local);
	struct sw_packet *pkt;
	struct sw_flow *f;
	__u64 now_ns;

	if (!secret || !slot || !cpu)
		return XDP_PASS;
	pkt = &cpu->packet;
	if (sw_parse(ctx, pkt) != SW_PARSE_TCP)
		return XDP_PASS;
	sw_tuple_turn(&pkt->tuple);
	now_ns = sw_now_ns(&slot->walk);
	pkt->hash = sw_tuple_hash(&pkt->tuple, secret->hash_seed);
	f = sw_flow_find(&pkt->tuple, pkt->hash, now_ns);
	if (!f)
		return XDP_PASS;
	sw_forward_mark(pkt, f);
	return sw_forward_out(ctx, pkt, f, now_ns);
}

#endif
