/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012), for
 * messages given as 64-bit little-endian words.
 */
#ifndef SYNWARD_SIPHASH_H
#define SYNWARD_SIPHASH_H

#include <linux/types.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

struct sw_key {
	__u64 k0, k1;
};

struct sw_siphash {
	__u64 v0, v1, v2, v3;
};

#define SW_ROTL64(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))

static __always_inline void sw_sipround(struct sw_siphash *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = SW_ROTL64(s->v1, 13) ^ s->v0;
	s->v3 = SW_ROTL64(s->v3, 16) ^ s->v2;
	s->v0 = SW_ROTL64(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = SW_ROTL64(s->v1, 17) ^ s->v2;
	s->v3 = SW_ROTL64(s->v3, 21) ^ s->v0;
	s->v2 = SW_ROTL64(s->v2, 32);
	/* Round by round: clang does several at once, and BPF has no registers for that. */
	__asm__("" : "+r"(s->v0), "+r"(s->v1), "+r"(s->v2), "+r"(s->v3));
}

static __always_inline void sw_siphash_init(struct sw_siphash *s, const struct sw_key *key)
{
	s->v0 = key->k0 ^ 0x736f6d6570736575ULL;
	s->v1 = key->k1 ^ 0x646f72616e646f6dULL;
	s->v2 = key->k0 ^ 0x6c7967656e657261ULL;
	s->v3 = key->k1 ^ 0x7465646279746573ULL;
}

static __always_inline void sw_siphash_word(struct sw_siphash *s, __u64 word)
{
	s->v3 ^= word;
	sw_sipround(s);
	sw_sipround(s);
	s->v0 ^= word;
}

/*
 * The last block of a message of length_bytes: its remaining 0 to 7 bytes stand in the
 * low bytes of tail, the rest of tail must be 0.
 */
static __always_inline __u64 sw_siphash_end(struct sw_siphash *s, __u64 tail, __u64 length_bytes)
{
	sw_siphash_word(s, length_bytes << 56 | tail);
	s->v2 ^= 0xff;
	sw_sipround(s);
	sw_sipround(s);
	sw_sipround(s);
	sw_sipround(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

#endif
