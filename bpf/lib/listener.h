/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the kernel would answer for (address, port): read from the listening socket, its
 * namespace and the interface, cached for each CPU, read again after SW_LISTENER_FRESH_NS.
 */
#ifndef SYNWARD_BPF_LISTENER_H
#define SYNWARD_BPF_LISTENER_H

#include "address.h"
#include "service.h"
#include "socket.h"
#include "../../headers/window.h"

#define SW_LISTENER_FRESH_NS 250000000ULL
#define SW_FULL_FRESH_NS     4000000ULL /* a full accept queue may drain at once */

#define SW_DEV_BUCKETS	 256 /* NETDEV_HASHENTRIES */
#define SW_DEV_CHAIN_MAX 32  /* interfaces of a bucket: 8,000 in the namespace */

#define SW_SOCK_RCVBUF_LOCK 2
#define SW_TSTAMP_BYTES	    12 /* of each segment, with padding */

/* ipv4_default_advmss(), ip6_default_advmss() of the kernel; mtu in bytes. */
static __always_inline __u16 sw_mss_of_mtu(__u32 mtu, __u16 user_mss, int v6)
{
	__u32 headers = sizeof(struct tcphdr) + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	__u32 least = v6 ? 1220 : 256; /* net.ipv6.route.min_adv_mss, net.ipv4.route.min_adv_mss */
	__u32 mss = mtu - headers;

	if (mtu < headers + least)
		mss = least;
	if (mss > 65535 - headers)
		mss = 65535 - headers;
	return user_mss && user_mss < mss ? user_mss : mss;
}

/* dev_get_by_index_rcu(): the interface of that index, or NULL. */
static __always_inline struct net_device *sw_dev_find(struct net *net, __u32 ifindex)
{
	struct hlist_head *head = BPF_CORE_READ(net, dev_index_head);
	struct hlist_node *node;
	int i;

	head += ifindex & (SW_DEV_BUCKETS - 1);
	node = BPF_CORE_READ(head, first);
	for (i = 0; node && i < SW_DEV_CHAIN_MAX; i++) {
		struct net_device *dev = (void *)node - bpf_core_field_offset(struct net_device, index_hlist);

		if (BPF_CORE_READ(dev, ifindex) == (int)ifindex)
			return dev;
		node = BPF_CORE_READ(node, next);
	}
	return NULL;
}

static __always_inline __u32 sw_dev_mtu(struct net_device *dev, int v6)
{
	__u32 mtu = BPF_CORE_READ(dev, mtu), mtu6;

	if (!v6)
		return mtu;
	mtu6 = BPF_CORE_READ(dev, ip6_ptr, cnf.mtu6);
	return mtu6 && mtu6 < mtu ? mtu6 : mtu;
}

/*
 * Window and scale, with timestamps or without, from what was read of the socket. The
 * verifier walks it once: inlined, its branches multiply ("BPF program is too large").
 */
__noinline int sw_listener_window(struct sw_listener *l, __u32 mss, __u32 tstamp, __u32 initrwnd)
{
	struct sw_window_in in;

	if (!l)
		return 0;
	in = (struct sw_window_in){
		.full_space = l->full_space,
		.clamp = l->clamp,
		.rmem_max = l->rmem_max,
		.init_segments = initrwnd,
		.rcvbuf_locked = !!(l->window_flags & SW_WF_RCVBUF_LOCKED),
		.signed_windows = !!(l->window_flags & SW_WF_SIGNED_WINDOWS),
	};

	l->window[tstamp & 1] = sw_initial_window(&in, mss);
	l->wscale[tstamp & 1] = sw_initial_wscale(&in, mss);
	return 0;
}

static __always_inline void sw_listener_windows(struct sw_listener *l, __u32 initrwnd)
{
	sw_listener_window(l, l->mss, 0, initrwnd);
	sw_listener_window(l, l->mss - SW_TSTAMP_BYTES, 1, initrwnd);
}

static __always_inline void sw_listener_buffers(struct sw_listener *l, const struct tcp_sock *tp,
						struct net *net, const struct sw_config *cfg)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	__u32 rmem = (__u32)BPF_CORE_READ(net, ipv4.sysctl_tcp_rmem[2]);

	if (bpf_core_field_exists(tp->scaling_ratio))
		l->full_space = sw_full_space((__u32)sk->sk_rcvbuf, tp->scaling_ratio);
	else
		l->full_space = sw_full_space_before_6_6(
			(__u32)sk->sk_rcvbuf, BPF_CORE_READ(net, ipv4.sysctl_tcp_adv_win_scale));
	l->clamp = tp->window_clamp;
	l->rmem_max = rmem > cfg->rmem_max ? rmem : cfg->rmem_max;
	l->user_mss = tp->rx_opt.user_mss;
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SW_SOCK_RCVBUF_LOCK)
		l->window_flags |= SW_WF_RCVBUF_LOCKED;
	if (BPF_CORE_READ(net, ipv4.sysctl_tcp_workaround_signed_windows))
		l->window_flags |= SW_WF_SIGNED_WINDOWS;
}

static __always_inline bool sw_listener_signed(const struct tcp_sock *tp)
{
	if (bpf_core_field_exists(tp->md5sig_info) && tp->md5sig_info)
		return true;
	return bpf_core_field_exists(tp->ao_info) && tp->ao_info;
}

/* A frame to another machine's MAC is not ours to answer, unless something above the interface sorts them. */
static __always_inline void sw_listener_mac(struct sw_listener *l, struct net_device *dev)
{
	if (BPF_CORE_READ(dev, rx_handler))
		l->flags |= SW_LF_ANY_MAC;
	bpf_probe_read_kernel(l->mac, sizeof(l->mac), BPF_CORE_READ(dev, dev_addr));
}

/* RFC 1122 3.2.1.3 (g), RFC 4291 2.5.3: loopback addresses never come off a wire. */
static __always_inline bool sw_address_is_loopback(const struct sw_tuple *t)
{
	return t->family_v6 ? t->daddr_hi == 0 : (t->daddr_lo & 0xff) == 127;
}

/* What a mode asks of a listener beside: with every reading, after all else. */
static __always_inline void sw_mode_listener(struct sw_listener *l, struct bpf_sock *sk, struct net *net,
					     const struct sw_tuple *t, __u64 now_ns);

/* Fills all but the key of *l from a listening socket. */
static __always_inline void sw_listener_fill(struct xdp_md *ctx, struct sw_listener *l,
					     struct bpf_sock *lsk, const struct tcp_sock *tp,
					     const struct sw_config *cfg, const struct sw_tuple *t,
					     __u64 now_ns)
{
	const struct inet_sock *inet = &tp->inet_conn.icsk_inet;
	const struct sock *sk = &inet->sk;
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	struct net_device *dev = sw_dev_find(net, ctx->ingress_ifindex);
	int hops;

	/* What the hand-over needs: without net.ipv4.tcp_syncookies it is refused. */
	if (!dev || !BPF_CORE_READ(net, ipv4.sysctl_tcp_syncookies) || tp->is_mptcp)
		return;
	if (sw_address_is_loopback(t) ||
	    sw_address_find((__u64)net, t->daddr_hi, t->daddr_lo, t->family_v6) != SW_ADDRESS_OWN)
		return;

	l->state = sk->sk_ack_backlog > sk->sk_max_ack_backlog ? SW_LISTENER_FULL : SW_LISTENER_OPEN;
	if (l->state == SW_LISTENER_FULL)
		l->fresh_until_ns += SW_FULL_FRESH_NS - SW_LISTENER_FRESH_NS;

	if (BPF_CORE_READ(net, ipv4.sysctl_tcp_sack))
		l->flags |= SW_LF_SACK;
	if (BPF_CORE_READ(net, ipv4.sysctl_tcp_timestamps))
		l->flags |= SW_LF_TSTAMP;
	if (BPF_CORE_READ(net, ipv4.sysctl_tcp_window_scaling))
		l->flags |= SW_LF_WSCALE;
	if (BPF_CORE_READ(net, ipv4.sysctl_tcp_ecn))
		l->flags |= SW_LF_ECN;
	if (BPF_CORE_READ(net, ipv4.sysctl_tcp_reflect_tos))
		l->flags |= SW_LF_REFLECT_TOS;
	if (sw_listener_signed(tp))
		l->flags |= SW_LF_SIGNED;

	sw_listener_mac(l, dev);
	if (t->family_v6) {
		struct ipv6_pinfo *np = BPF_CORE_READ(inet, pinet6);

		hops = (__s16)BPF_CORE_READ_BITFIELD_PROBED(np, hop_limit);
		l->ttl = hops >= 0 ? hops : BPF_CORE_READ(dev, ip6_ptr, cnf.hop_limit);
		l->tos = BPF_CORE_READ(np, tclass);
	} else {
		hops = inet->uc_ttl;
		l->ttl = hops >= 0 ? hops : BPF_CORE_READ(net, ipv4.sysctl_ip_default_ttl);
		l->tos = inet->tos;
	}
	sw_listener_buffers(l, tp, net, cfg);
	l->mss = sw_mss_of_mtu(sw_dev_mtu(dev, t->family_v6), l->user_mss, t->family_v6);
	sw_listener_windows(l, 0);
	sw_mode_listener(l, lsk, net, t, now_ns);
}

/* Reads the listener of t's destination into *l; state NONE if there is nothing to guard. */
static __always_inline int sw_listener_read(struct xdp_md *ctx, const struct sw_tuple *t,
				       struct sw_listener *l, __u64 now_ns)
{
	struct sw_config *cfg = SW_THE(config);
	struct sw_local *mine = SW_THE(local);
	struct bpf_sock_tuple tuple = {};
	struct tcp_sock *tp;
	struct bpf_sock *sk;
	__u32 length;

	if (!cfg || !mine || !t || !l)
		return 0;
	mine->half_open = 0;
	/* Not a whole one, which would be made on the stack first. */
	__builtin_memset(l, 0, sizeof(*l));
	l->addr_hi = t->daddr_hi;
	l->addr_lo = t->daddr_lo;
	l->port = t->dport;
	l->generation = cfg->generation;
	l->fresh_until_ns = now_ns + SW_LISTENER_FRESH_NS;
	if (!(cfg->port[t->dport / 64] >> (t->dport & 63) & 1) || !sw_service_match(t, l, now_ns))
		return 0;

	sw_count_event(SW_EV_LISTENER_READ);
	/* No connection has source port 0: this finds the listener, never a connection. */
	length = sw_sock_tuple(t, 0, &tuple);
	if (length == sizeof(tuple.ipv6))
		sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	if (sk->state == SW_TCP_LISTEN) {
		tp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
		if (tp)
			sw_listener_fill(ctx, l, sk, tp, cfg, t, now_ns);
		if (tp)
			mine->half_open = tp->inet_conn.icsk_accept_queue.qlen.counter;
	}
	bpf_sk_release(sk);
	return 0;
}

/* 1 if a route with metrics leads to the client: local.routed is then l as that client sees it. */
__noinline int sw_listener_route_of(const struct sw_tuple *t, const struct sw_listener *l)
{
	struct sw_local *mine = SW_THE(local);
	struct sw_route_key key = { .prefix_length = 128 };
	struct sw_listener *routed;
	struct sw_route *route;

	if (!mine || !t || !l)
		return 0;
	if (t->family_v6) {
		__builtin_memcpy(key.addr, &t->saddr_hi, sizeof(key.addr));
	} else {
		__u32 addr = (__u32)t->saddr_lo;

		key.addr[10] = key.addr[11] = 0xff;
		__builtin_memcpy(key.addr + 12, &addr, sizeof(addr));
	}
	route = bpf_map_lookup_elem(&routes, &key);
	if (!route)
		return 0;
	routed = &mine->routed;
	*routed = *l;
	if (route->mtu)
		routed->mss = sw_mss_of_mtu(route->mtu, l->user_mss, t->family_v6);
	if (route->advmss)
		routed->mss = l->user_mss && l->user_mss < route->advmss ? l->user_mss : route->advmss;
	if (route->window && !l->clamp)
		routed->clamp = route->window;
	if (route->hoplimit)
		routed->ttl = route->hoplimit;
	sw_listener_windows(routed, route->initrwnd);
	return 1;
}

static __always_inline int sw_listener_route(const struct sw_tuple *t, const struct sw_listener *l)
{
	return sw_listener_route_of(sw_tuple_kept(t), l);
}

/*
 * Entry of `closed`: | 31 address and generation 12 | 11 time 0 |, of units of 134 ms. It
 * holds until the unit is over, so what begins to listen is guarded as soon as a listener
 * that was read.
 */
#define SW_CLOSED_SHIFT	   27 /* of nanoseconds */
#define SW_CLOSED_TIME	   0xfffU

static __always_inline __u32 sw_closed_mark(const struct sw_tuple *t, const struct sw_config *cfg,
					    __u64 seed, __u64 now_ns)
{
	__u64 place = seed ^ t->daddr_hi ^ t->daddr_lo ^ (__u64)cfg->generation << 40;

	return sw_place(place, 20) << 12 | ((__u32)(now_ns >> SW_CLOSED_SHIFT) & SW_CLOSED_TIME);
}

/* True: it was looked at a moment ago, and nothing is to be guarded there. */
static __always_inline bool sw_closed_is(const struct sw_tuple *t, const struct sw_config *cfg, __u64 seed,
					 __u64 now_ns)
{
	__u32 port = t->dport, *mark = bpf_map_lookup_elem(&closed, &port);

	return mark && *mark == sw_closed_mark(t, cfg, seed, now_ns);
}

static __always_inline void sw_closed_set(const struct sw_tuple *t, const struct sw_config *cfg, __u64 seed,
					  __u64 now_ns)
{
	__u32 port = t->dport, *mark = bpf_map_lookup_elem(&closed, &port);

	if (mark)
		*mark = sw_closed_mark(t, cfg, seed, now_ns);
}

/* Which entry of this CPU's cache belongs to t's destination. */
static __always_inline __u32 sw_listener_at(const struct sw_tuple *t, __u64 seed)
{
	/* The seed keeps a flood from choosing ports that push a real one out. */
	__u64 place = seed ^ t->daddr_hi ^ t->daddr_lo ^ (__u64)t->dport << 40;

	return bpf_get_smp_processor_id() * SW_LISTENER_SLOTS + sw_place(place, SW_LISTENER_BITS);
}

/* Where the listener of the packet's destination is cached on this CPU; NULL never, in practice. */
static __always_inline struct sw_listener *sw_listener_slot(__u32 at)
{
	return bpf_map_lookup_elem(&listeners, &at);
}

/* False: it is another one's, or stale, and to be read. */
static __always_inline bool sw_listener_is_fresh(const struct sw_listener *l, const struct sw_tuple *t,
						 const struct sw_config *cfg, __u64 now_ns)
{
	return l->addr_lo == t->daddr_lo && l->addr_hi == t->daddr_hi && l->port == t->dport &&
	       l->generation == cfg->generation && now_ns <= l->fresh_until_ns;
}

#endif
