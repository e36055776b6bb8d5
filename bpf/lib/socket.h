/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Asking the kernel for sockets: one tuple's, or the listener behind it. */
#ifndef SYNWARD_BPF_SOCKET_H
#define SYNWARD_BPF_SOCKET_H

#include "packet.h"

/* Fills *ret with the tuple for bpf_skc_lookup_tcp() and returns the length it wants. */
static __always_inline __u32 sw_sock_tuple(const struct sw_tuple *t, __be16 sport,
					   struct bpf_sock_tuple *ret)
{
	if (t->family_v6) {
		__builtin_memcpy(ret->ipv6.saddr, &t->saddr_hi, 16);
		__builtin_memcpy(ret->ipv6.daddr, &t->daddr_hi, 16);
		ret->ipv6.sport = sport;
		ret->ipv6.dport = bpf_htons(t->dport);
		return sizeof(ret->ipv6);
	}
	ret->ipv4.saddr = (__u32)t->saddr_lo;
	ret->ipv4.daddr = (__u32)t->daddr_lo;
	ret->ipv4.sport = sport;
	ret->ipv4.dport = bpf_htons(t->dport);
	return sizeof(ret->ipv4);
}

/* As sw_socket_lookup(), for any kind of program. */
static __always_inline int sw_socket_state(void *ctx, const struct sw_tuple *t)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	__u32 length;
	int state;

	if (!t)
		return 0;
	sw_count_event(SW_EV_SOCKET_LOOKUP);
	length = sw_sock_tuple(t, bpf_htons(t->sport), &tuple);
	if (length == sizeof(tuple.ipv6))
		sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	state = sk->state != SW_TCP_LISTEN ? sk->state : 0;
	bpf_sk_release(sk);
	return state;
}

/* The state (TCP_*) of the socket that has this very tuple; 0: there is none. */
__noinline int sw_socket_lookup(struct xdp_md *ctx, const struct sw_tuple *t)
{
	return sw_socket_state(ctx, t);
}

/* True if a socket has this very tuple: established, in TIME-WAIT, or a request. */
static __always_inline bool sw_socket_exists(struct xdp_md *ctx, const struct sw_tuple *t)
{
	return sw_socket_lookup(ctx, sw_tuple_kept(t));
}

#endif
