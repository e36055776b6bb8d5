// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Host mode for kernels without bpf_sk_assign_tcp_reqsk(): the SYN cookie is the kernel's
 * own, so the listener itself makes a connection of the ACK that brings it back. It does
 * so with net.ipv4.tcp_syncookies=2 and when it sent cookies of late, or was told so.
 */
#define SW_BEFORE_5_18
#include "lib/guard.h"
#include "lib/trace.h"
#include "../headers/kcookie.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SW_SYNCOOKIES_ALWAYS 2
#define SW_TIMESTAMPS_PLAIN  2 /* without an offset for each connection, which BPF cannot know */

#define SW_NS_PER_MS 1000000

/* Of four helpers that came together, in Linux 6.0. Each function has to ask: it is verified by itself. */
#define sw_has_raw_cookies sw_has_helper(tcp_raw_gen_syncookie_ipv4)

/* A SYN or an ACK as far as the kernel's cookies look at one. */
struct sw_kernel_segment {
	struct tcphdr tcp;
	__be32 mss; /* the option */
};

static __always_inline void sw_kernel_v4(struct iphdr *ip, const struct sw_tuple *t)
{
	*ip = (struct iphdr){ .version = 4, .ihl = 5, .protocol = IPPROTO_TCP };
	ip->saddr = (__u32)t->saddr_lo;
	ip->daddr = (__u32)t->daddr_lo;
}

static __always_inline void sw_kernel_v6(struct ipv6hdr *ip6, const struct sw_tuple *t)
{
	*ip6 = (struct ipv6hdr){ .version = 6, .nexthdr = IPPROTO_TCP };
	__builtin_memcpy(&ip6->saddr, &t->saddr_hi, 16);
	__builtin_memcpy(&ip6->daddr, &t->daddr_hi, 16);
}

static __always_inline void sw_kernel_syn(struct sw_kernel_segment *seg, const struct sw_tuple *t,
					  __u32 isn, __u32 mss)
{
	*seg = (struct sw_kernel_segment){ .tcp.doff = sizeof(*seg) / 4, .tcp.syn = 1 };
	seg->tcp.source = bpf_htons(t->sport);
	seg->tcp.dest = bpf_htons(t->dport);
	seg->tcp.seq = bpf_htonl(isn);
	seg->mss = bpf_htonl(SW_TCPOPT_MSS << 24 | 4 << 16 | (mss & 0xffff));
}

/*
 * Before Linux 6.0 the kernel makes and checks cookies only with the listener in hand:
 * a lookup for each. Making one tells the listener, too.
 */
static __always_inline struct bpf_sock *sw_listener_hold(struct xdp_md *ctx, const struct sw_tuple *t)
{
	struct bpf_sock_tuple tuple = {};

	/* No connection has source port 0: this finds the listener, never a connection. */
	if (sw_sock_tuple(t, 0, &tuple) == sizeof(tuple.ipv6))
		return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
}

__noinline __s64 sw_listener_make(struct xdp_md *ctx, const struct sw_tuple *t, __u32 isn, __u32 mss)
{
	struct sw_kernel_segment seg;
	struct bpf_sock *sk;
	struct ipv6hdr ip6;
	struct iphdr ip;
	__s64 cookie;

	if (!t)
		return -1;
	sw_kernel_syn(&seg, t, isn, mss);
	sk = sw_listener_hold(ctx, t);
	if (!sk)
		return -1;
	if (t->family_v6) {
		sw_kernel_v6(&ip6, t);
		cookie = bpf_tcp_gen_syncookie(sk, &ip6, sizeof(ip6), &seg.tcp, sizeof(seg));
	} else {
		sw_kernel_v4(&ip, t);
		cookie = bpf_tcp_gen_syncookie(sk, &ip, sizeof(ip), &seg.tcp, sizeof(seg));
	}
	bpf_sk_release(sk);
	return cookie;
}

__noinline int sw_listener_check(struct xdp_md *ctx, const struct sw_tuple *t, __u32 seq, __u32 ack)
{
	struct tcphdr tcp = { .doff = sizeof(tcp) / 4, .ack = 1 };
	struct bpf_sock *sk;
	struct ipv6hdr ip6;
	struct iphdr ip;
	int wrong;

	if (!t)
		return -1;
	tcp.source = bpf_htons(t->sport);
	tcp.dest = bpf_htons(t->dport);
	tcp.seq = bpf_htonl(seq);
	tcp.ack_seq = bpf_htonl(ack);
	sk = sw_listener_hold(ctx, t);
	if (!sk)
		return -1;
	if (t->family_v6) {
		sw_kernel_v6(&ip6, t);
		wrong = bpf_tcp_check_syncookie(sk, &ip6, sizeof(ip6), &tcp, sizeof(tcp));
	} else {
		sw_kernel_v4(&ip, t);
		wrong = bpf_tcp_check_syncookie(sk, &ip, sizeof(ip), &tcp, sizeof(tcp));
	}
	bpf_sk_release(sk);
	return wrong;
}

/* The cookie in the low 32 bits; negative if the kernel makes none. */
__noinline __s64 sw_kernel_make(const struct sw_tuple *t, __u32 isn, __u32 mss)
{
	struct sw_kernel_segment seg;
	struct ipv6hdr ip6;
	struct iphdr ip;

	if (!t || !sw_has_raw_cookies)
		return -1;
	sw_kernel_syn(&seg, t, isn, mss);
	if (t->family_v6) {
		sw_kernel_v6(&ip6, t);
		return bpf_tcp_raw_gen_syncookie_ipv6(&ip6, &seg.tcp, sizeof(seg));
	}
	sw_kernel_v4(&ip, t);
	return bpf_tcp_raw_gen_syncookie_ipv4(&ip, &seg.tcp, sizeof(seg));
}

/* 0 if ack brings back a cookie that was made for the SYN before seq. */
__noinline int sw_kernel_check(const struct sw_tuple *t, __u32 seq, __u32 ack)
{
	struct ipv6hdr ip6;
	struct iphdr ip;
	struct tcphdr tcp = { .doff = sizeof(tcp) / 4, .ack = 1 };

	if (!t || !sw_has_raw_cookies)
		return -1;
	tcp.source = bpf_htons(t->sport);
	tcp.dest = bpf_htons(t->dport);
	tcp.seq = bpf_htonl(seq);
	tcp.ack_seq = bpf_htonl(ack);
	if (t->family_v6) {
		sw_kernel_v6(&ip6, t);
		return bpf_tcp_raw_check_syncookie_ipv6(&ip6, &tcp);
	}
	sw_kernel_v4(&ip, t);
	return bpf_tcp_raw_check_syncookie_ipv4(&ip, &tcp);
}

/*
 * Tells the listener that cookies of its are about, or it takes no ACK for one
 * (tcp_synq_overflow()). It remembers for two minutes, longer than a cookie lives.
 */
static __always_inline void sw_kernel_stamp(struct bpf_sock *sk, const struct sw_tuple *t)
{
	struct sw_local *mine = SW_THE(local);
	struct sw_kernel_segment *seg;
	void *ip;

	if (!mine)
		return;
	/* Not on the stack: it is full here. */
	seg = (void *)mine->chunk;
	ip = mine->chunk + sizeof(*seg);
	sw_kernel_syn(seg, t, 0, SW_MSS_DEFAULT_V4);
	if (t->family_v6) {
		sw_kernel_v6(ip, t);
		bpf_tcp_gen_syncookie(sk, ip, sizeof(struct ipv6hdr), &seg->tcp, sizeof(*seg));
	} else {
		sw_kernel_v4(ip, t);
		bpf_tcp_gen_syncookie(sk, ip, sizeof(struct iphdr), &seg->tcp, sizeof(*seg));
	}
}

static __always_inline void sw_mode_listener(struct sw_listener *l, struct bpf_sock *sk, struct net *net,
					     const struct sw_tuple *t, __u64 now_ns)
{
	if (BPF_CORE_READ(net, ipv4.sysctl_tcp_syncookies) != SW_SYNCOOKIES_ALWAYS) {
		l->state = SW_LISTENER_NONE;
		return;
	}
	if (BPF_CORE_READ(net, ipv4.sysctl_tcp_timestamps) != SW_TIMESTAMPS_PLAIN)
		l->flags &= ~SW_LF_TSTAMP;
	if (l->state == SW_LISTENER_OPEN)
		sw_kernel_stamp(sk, t);
}

static __always_inline bool sw_mode_ready(struct sw_scene *scene)
{
	return true;
}

static __always_inline bool sw_mode_has_asked(const bool plain)
{
	return false;
}

static __always_inline bool sw_mode_make(struct xdp_md *ctx, const struct sw_packet *pkt,
					 const struct sw_scene *scene, const bool plain,
					 struct sw_tcpopts *agreed, __u32 *ret_seq, __u32 *ret_tsval)
{
	const struct sw_tuple *t = sw_tuple_kept(&pkt->tuple);
	__s64 cookie;

	if (sw_has_raw_cookies)
		cookie = sw_kernel_make(t, pkt->seq, agreed->mss);
	else
		cookie = sw_listener_make(ctx, t, pkt->seq, agreed->mss);
	if (cookie < 0)
		return false;
	*ret_seq = (__u32)cookie;
	/* Options other than the MSS have no room but in the timestamp. */
	if (!(agreed->flags & SW_OPT_TSTAMP)) {
		agreed->flags = 0;
		agreed->wscale = SW_WSCALE_NONE;
	}
	/* now_ns is right to the tick: one less is never ahead of the kernel's clock. */
	*ret_tsval = sw_kcookie_tsval((__u32)((scene->now_ns - sw_tick_ns) / SW_NS_PER_MS), agreed);
	return true;
}

static __always_inline enum sw_reason sw_mode_judge(struct xdp_md *ctx, const struct sw_packet *pkt,
						    const struct sw_scene *scene, const bool plain)
{
	const struct sw_tuple *t = sw_tuple_kept(&pkt->tuple);
	int wrong;

	if (sw_has_raw_cookies)
		wrong = sw_kernel_check(t, pkt->seq, pkt->ack);
	else
		wrong = sw_listener_check(ctx, t, pkt->seq, pkt->ack);
	return wrong ? SW_ACK_INVALID : SW_ACK_VALID;
}

SEC("xdp.frags")
int synward_xdp(struct xdp_md *ctx)
{
	return sw_verdict(sw_traced(ctx, sw_guard(ctx)));
}
