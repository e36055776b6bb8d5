/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the tests share: numbers that look random and are the same in every run, and a tuple. */
#ifndef SYNWARD_UNIT_H
#define SYNWARD_UNIT_H

#include <criterion/criterion.h>
#include <string.h>

#include "cookie.h"

/* SplitMix64 (Steele, Lea, Flood 2014). */
static inline __u64 random_u64(__u64 *state)
{
	__u64 z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static inline __u32 random_below(__u64 *state, __u32 bound)
{
	return (__u32)((random_u64(state) >> 32) * bound >> 32);
}

static inline struct sw_key random_key(__u64 *state)
{
	__u64 k0 = random_u64(state);

	return (struct sw_key){k0, random_u64(state)};
}

static inline struct sw_tuple random_tuple(__u64 *state, int v6)
{
	struct sw_tuple t = {.family_v6 = (__u8)v6};

	t.saddr_lo = random_u64(state);
	t.daddr_lo = random_u64(state);
	t.sport = (__u16)random_u64(state);
	t.dport = (__u16)random_u64(state);
	if (v6) {
		t.saddr_hi = random_u64(state);
		t.daddr_hi = random_u64(state);
	} else {
		t.saddr_lo >>= 32;
		t.daddr_lo >>= 32;
	}
	return t;
}

/* SipHash of bytes, through the words that sw_siphash takes. */
static inline __u64 hash_bytes(const struct sw_key *key, const __u8 *byte, unsigned int length)
{
	struct sw_siphash s;
	__u64 tail = 0;
	unsigned int i;

	sw_siphash_init(&s, key);
	for (i = 0; i + 8 <= length; i += 8) {
		__u64 word;

		memcpy(&word, byte + i, 8);
		sw_siphash_word(&s, word);
	}
	memcpy(&tail, byte + i, length - i);
	return sw_siphash_end(&s, tail, length);
}

#endif
