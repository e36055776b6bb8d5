/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Units of time without a division: the packet path has only nanoseconds. */
#ifndef SYNWARD_CLOCK_H
#define SYNWARD_CLOCK_H

#include <linux/types.h>

#include "siphash.h"

/*
 * Milliseconds for TSval. 2^20 ns are 1.048576 ms; the factor is rounded up, so this
 * clock gains 8 ppm on the kernel's. It must not lose: a SYN-ACK on a reused tuple
 * would then carry a value older than the last one of the connection before (PAWS).
 */
#define SW_MS_FACTOR 68720 /* ceil(1.048576 * 2^16) */

static __always_inline __u32 sw_clock_ms(__u64 now_ns)
{
	return (__u32)((now_ns >> 20) * SW_MS_FACTOR >> 16);
}

/*
 * TSval that carries bits in place of those of mask, the clock's lowest: stepped back if
 * that would put it ahead of the clock.
 */
static __always_inline __u32 sw_tsval_with(__u32 clock_ms, __u32 mask, __u32 bits)
{
	__u32 tsval = (clock_ms & ~mask) | bits;

	return (__s32)(tsval - clock_ms) > 0 ? tsval - (mask + 1) : tsval;
}

#endif
