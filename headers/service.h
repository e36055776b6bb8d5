/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which service a listener belongs to, and small things services are reckoned with. */
#ifndef SYNWARD_SERVICE_H
#define SYNWARD_SERVICE_H

#include "abi.h"
#include "tuple.h"

/* 16 bytes in memory order as struct sw_tuple has them, an IPv4 address as ::ffff:a.b.c.d. */
struct sw_addr {
	__u64 hi, lo;
};

static __always_inline struct sw_addr sw_addr_of(__u64 hi, __u64 lo, int v6)
{
	struct sw_addr a = {hi, lo};

	if (!v6)
		a.lo = lo << 32 | 0xffff0000; /* bytes 00 00 ff ff before it */
	return a;
}

/* 1: the first length bits (0 to 64) of a difference in host order are 0; a shift by 64 is none. */
static __always_inline int sw_same_bits(__u64 difference, __u32 length)
{
	__u32 half = (64 - length) / 2;

	return !(difference >> half >> (64 - length - half));
}

/* 1: the first length bits (0 to 128) of both are the same. */
static __always_inline int sw_addr_within(struct sw_addr a, struct sw_addr prefix, __u32 length)
{
	__u64 hi = __builtin_bswap64(a.hi ^ prefix.hi), lo = __builtin_bswap64(a.lo ^ prefix.lo);

	return length <= 64 ? sw_same_bits(hi, length) : !hi && sw_same_bits(lo, length - 64);
}

static __always_inline int sw_service_holds(const struct sw_service *s, struct sw_addr addr, __u16 port)
{
	struct sw_addr prefix;

	if (port < s->port_first || port > s->port_last)
		return 0;
	__builtin_memcpy(&prefix, s->addr, sizeof(prefix));
	return sw_addr_within(addr, prefix, s->prefix_length);
}

/* SW_LS_ASK and SW_LS_AUTO of a service: 0 for one that is simply on. */
static __always_inline __u32 sw_service_asks(const struct sw_service *s, int listed)
{
	if (s->synack_limit || s->handshake_limit || listed)
		return SW_LS_ASK;
	if (s->mode == SW_MODE_AUTO)
		return SW_LS_ASK | SW_LS_AUTO;
	return s->mode == SW_MODE_ALWAYS ? 0 : SW_LS_ASK;
}

/* The bucket of struct sw_rtt: the logarithm, without a branch. */
static __always_inline __u32 sw_rtt_bucket(__u32 us)
{
	__u32 bucket = 0;
	int i;

	for (i = 1; i < SW_RTT_BUCKETS; i++)
		bucket += (__u32)(-((__u64)us >> i) >> 63);
	return bucket;
}

#endif
