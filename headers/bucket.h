/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Token buckets of one 64-bit word each, in a table of fixed size: the generic cell rate
 * algorithm (ITU-T I.371). Of a bucket one number is kept, when it will be full again:
 * | 63 tag of whose it is 40 | 39 time, 64 ns, 0 |. A bucket holds a second's worth.
 */
#ifndef SYNWARD_BUCKET_H
#define SYNWARD_BUCKET_H

#include <linux/types.h>

#include "siphash.h"

#define SW_BUCKET_TAG	 (~0ULL << 40)
#define SW_BUCKET_UNIT	 6 /* 2^6 ns */
#define SW_BUCKET_SECOND (1000000000ULL >> SW_BUCKET_UNIT)

enum sw_bucket {
	SW_BUCKET_TAKEN,
	SW_BUCKET_OVERWRITTEN, /* taken; another's that had not run out is gone */
	SW_BUCKET_EMPTY,
};

/*
 * Takes one of limit a second (1 at least) out of the bucket in word, if it is that of
 * tag's high bits; any other is overwritten. *ret_word is what is to be stored, unless
 * EMPTY. 40 bits are 19 hours: a time that could not have come about by now is one that ran out.
 */
static __always_inline enum sw_bucket sw_bucket_take(__u64 word, __u64 tag, __u32 limit, __u64 now_ns,
						     __u64 *ret_word)
{
	__u64 now = now_ns >> SW_BUCKET_UNIT, step = SW_BUCKET_SECOND / limit;
	__s64 ahead = (__s64)((word - now) << 24) >> 24;
	int mine = !((word ^ tag) & SW_BUCKET_TAG), runs;

	if (ahead < 0 || ahead > (__s64)SW_BUCKET_SECOND)
		ahead = 0;
	runs = ahead != 0;
	if (!mine)
		ahead = 0;
	if (ahead + step > SW_BUCKET_SECOND)
		return SW_BUCKET_EMPTY;
	*ret_word = (tag & SW_BUCKET_TAG) | ((now + ahead + step) & ~SW_BUCKET_TAG);
	return runs && !mine ? SW_BUCKET_OVERWRITTEN : SW_BUCKET_TAKEN;
}

#endif
