/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which addresses are this namespace's own, read from its interfaces. */
#ifndef SYNWARD_BPF_ADDRESS_H
#define SYNWARD_BPF_ADDRESS_H

#include "loop.h"
#include "maps.h"
#include "../../headers/tuple.h"

#define SW_ADDRESS_STEPS 16384 /* addresses and interfaces looked at in one walk */
#define SW_IFA_TENTATIVE 0x40  /* IFA_F_TENTATIVE: duplicate detection is not over */

/* One bit of the filter for an address. */
static __always_inline __u32 sw_own_bit(__u64 addr_hi, __u64 addr_lo)
{
	return sw_place(addr_hi ^ addr_lo, SW_OWN_BITS);
}

static __always_inline void sw_own_mark(__u64 *filter, __u64 addr_hi, __u64 addr_lo)
{
	__u32 bit = sw_own_bit(addr_hi, addr_lo);

	filter[bit >> 6 & (SW_OWN_WORDS - 1)] |= 1ULL << (bit & 63);
}

static __always_inline void sw_address_walk_dev(struct sw_address_walk *w, struct net_device *dev)
{
	struct inet6_dev *idev6 = BPF_CORE_READ(dev, ip6_ptr);
	struct in_device *idev = BPF_CORE_READ(dev, ip_ptr);

	w->dev = dev;
	w->ifa = idev ? BPF_CORE_READ(idev, ifa_list) : NULL;
	w->ifa6 = w->ifa6_end = NULL;
	if (idev6) {
		w->ifa6_end = (void *)idev6 + bpf_core_field_offset(struct inet6_dev, addr_list);
		w->ifa6 = BPF_CORE_READ(idev6, addr_list.next);
	}
}

/* BPF_CORE_READ() wants its first pointer in a variable, not in a struct of ours. */
static __always_inline void sw_address_read_v4(struct sw_address_walk *w, struct in_ifaddr *ifa)
{
	w->is_v6 = 0;
	w->addr_hi = 0;
	w->addr_lo = BPF_CORE_READ(ifa, ifa_local);
	w->broadcast = BPF_CORE_READ(ifa, ifa_broadcast);
	w->ifa = BPF_CORE_READ(ifa, ifa_next);
}

/* False for an address that is not usable yet. */
static __always_inline bool sw_address_read_v6(struct sw_address_walk *w, struct list_head *entry)
{
	struct inet6_ifaddr *ifa = (void *)entry - bpf_core_field_offset(struct inet6_ifaddr, if_list);
	__u64 addr[2] = {};

	w->ifa6 = BPF_CORE_READ(entry, next);
	if (!w->ifa6)
		w->ifa6 = w->ifa6_end;
	bpf_core_read(addr, sizeof(addr), &ifa->addr);
	w->is_v6 = 1;
	w->broadcast = 0;
	w->addr_hi = addr[0];
	w->addr_lo = addr[1];
	return !(BPF_CORE_READ(ifa, flags) & SW_IFA_TENTATIVE);
}

static __always_inline struct list_head *sw_next_dev(struct net_device *dev)
{
	return BPF_CORE_READ(dev, dev_list.next);
}

static __always_inline long sw_address_use(struct sw_address_walk *w)
{
	if (w->collect) {
		sw_own_mark(w->filter, w->addr_hi, w->addr_lo);
		if (w->broadcast)
			sw_own_mark(w->filter, 0, w->broadcast);
		return 0;
	}
	if (w->is_v6 != w->wanted_v6)
		return 0;
	if (w->addr_lo == w->wanted_lo && w->addr_hi == w->wanted_hi)
		w->found = SW_ADDRESS_OWN;
	else if (w->broadcast && w->broadcast == w->wanted_lo)
		w->found = SW_ADDRESS_BROADCAST;
	return w->found != SW_ADDRESS_FOREIGN;
}

static long sw_address_step(__u32 step, void *arg)
{
	struct sw_address_walk *w = *(struct sw_address_walk **)arg;
	struct list_head *next;

	if (w->ifa) {
		sw_address_read_v4(w, w->ifa);
		return sw_address_use(w);
	}
	if (w->ifa6 != w->ifa6_end)
		return sw_address_read_v6(w, w->ifa6) ? sw_address_use(w) : 0;
	next = sw_next_dev(w->dev);
	if (!next || next == w->devs_end)
		return 1;
	sw_address_walk_dev(w, (void *)next - bpf_core_field_offset(struct net_device, dev_list));
	return 0;
}
SW_LOOP_BODY(sw_address_step)

static __always_inline void sw_address_walk_all(struct sw_address_walk *w, __u64 net_addr)
{
	struct net *net = (struct net *)net_addr;
	struct list_head *first;

	w->devs_end = (void *)net + bpf_core_field_offset(struct net, dev_base_head);
	first = BPF_CORE_READ(net, dev_base_head.next);
	if (!first)
		return;
	sw_address_walk_dev(w, (void *)first - bpf_core_field_offset(struct net_device, dev_list));
	sw_loop(SW_ADDRESS_STEPS, sw_address_step, &w);
}

/* What the address is to the namespace at kernel address net: enum sw_address. */
__noinline int sw_address_find(__u64 net, __u64 addr_hi, __u64 addr_lo, __u8 family_v6)
{
	struct sw_local *mine = SW_THE(local);

	if (!mine)
		return SW_ADDRESS_FOREIGN;
	mine->addresses = (struct sw_address_walk){
		.wanted_hi = addr_hi,
		.wanted_lo = addr_lo,
		.wanted_v6 = family_v6,
	};
	sw_address_walk_all(&mine->addresses, net);
	return mine->addresses.found;
}

/* Renews the filter of own addresses; broadcast addresses are in it as well. */
static __always_inline void sw_own_collect(struct sw_walk *state)
{
	struct sw_local *mine = SW_THE(local);

	if (!mine)
		return;
	mine->addresses = (struct sw_address_walk){ .collect = 1 };
	sw_address_walk_all(&mine->addresses, state->net);
	__builtin_memcpy(state->own, mine->addresses.filter, sizeof(state->own));
}

/* False: the address is none of ours. True: it may be. */
static __always_inline bool sw_own_maybe(const struct sw_walk *state, __u64 addr_hi, __u64 addr_lo)
{
	__u32 bit = sw_own_bit(addr_hi, addr_lo);

	return state->own[bit >> 6 & (SW_OWN_WORDS - 1)] >> (bit & 63) & 1;
}

#endif
