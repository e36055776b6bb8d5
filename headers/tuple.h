/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The tuple of a connection as the client's segments carry it, and its keyed hash. */
#ifndef SYNWARD_TUPLE_H
#define SYNWARD_TUPLE_H

#include <linux/types.h>

#include "siphash.h"

/*
 * Addresses are the wire's 16 bytes taken as two 64-bit words in memory order; an IPv4
 * address stands in the low 32 bits of its _lo word with _hi = 0 and family_v6 = 0.
 */
struct sw_tuple {
	__u64 saddr_hi, saddr_lo; /* the client */
	__u64 daddr_hi, daddr_lo; /* the server */
	__u16 sport, dport;	  /* host order */
	__u8 family_v6;		  /* 1: IPv6 */
	__u8 pad[3];
};

#define SW_MIX_1 0x9e3779b97f4a7c15ULL
#define SW_MIX_2 0xbf58476d1ce4e5b9ULL

static __always_inline __u64 sw_mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * SW_MIX_1;
	hash ^= hash >> 32;
	hash *= SW_MIX_2;
	return hash ^ hash >> 29;
}

/* bits bits of a word for a small table nobody gains from choosing places in. */
static __always_inline __u32 sw_place(__u64 word, __u32 bits)
{
	return (__u32)(word * SW_MIX_1 >> (64 - bits));
}

/*
 * 64 bits for tables: the seed keeps outsiders from choosing tuples that collide. Not
 * a MAC: nothing is believed because of it.
 */
static __always_inline __u64 sw_tuple_hash(const struct sw_tuple *t, const __u64 seed[2])
{
	__u64 hash = seed[0];

	if (t->family_v6) {
		hash = sw_mix(hash, t->saddr_hi);
		hash = sw_mix(hash, t->daddr_hi);
		hash = sw_mix(hash, t->saddr_lo);
		hash = sw_mix(hash, t->daddr_lo);
	} else {
		hash = sw_mix(hash, t->saddr_lo << 32 | t->daddr_lo);
	}
	return sw_mix(hash ^ seed[1], (__u64)t->sport << 16 | t->dport);
}

#endif
