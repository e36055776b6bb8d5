/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The Internet checksum (RFC 1071), over sums kept in 64 bits and folded once. */
#ifndef SYNWARD_CHECKSUM_H
#define SYNWARD_CHECKSUM_H

#include <linux/types.h>

#include "siphash.h"

/*
 * Sums are over 16- or 32-bit words as they lie in memory; the fold is the same either way: the
 * remainder by 2^16 - 1, which 0 alone leaves as 0. By (2^64 - 1) / (2^16 - 1), modulo 2^64, the
 * part behind the point of sum / (2^16 - 1) comes to stand at the top. For sums below 2^48: of
 * 65,535 words at most.
 */
static __always_inline __u16 sw_csum_fold(__u64 sum)
{
	return (__u16)(sum * 0x0001000100010001ULL >> 48);
}

/* RFC 1624, equation 3: the checksum after what it is made from changed by that sum. */
static __always_inline __u16 sw_csum_change(__u16 check, __u64 change)
{
	return (__u16)~sw_csum_fold((__u64)(__u16)~check + change);
}

/* A 64-bit word of addresses, as two 32-bit ones. */
static __always_inline __u64 sw_csum_word64(__u64 word)
{
	return (word & 0xffffffff) + (word >> 32);
}

/* The sum of so many 32-bit words; count is a constant where it matters. */
static __always_inline __u64 sw_csum_words(const __u32 *word, int count)
{
	__u64 sum = 0;
	int i;

	for (i = 0; i < count; i++)
		sum += word[i];
	return sum;
}

/* Protocol and length of the TCP pseudo-header, as memory holds them; addresses come on top. */
static __always_inline __u64 sw_csum_pseudo(__u32 tcp_length)
{
	return (__u64)__builtin_bswap32(tcp_length) + ((__u32)6 << 24);
}

#endif
