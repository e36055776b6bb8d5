/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Options in the timestamp of the kernel's own SYN cookies (net/ipv4/syncookies.c,
 * cookie_init_timestamp()). The low bits of TSval, which the client echoes:
 *
 *   | 31 ... 6 milliseconds | 5 ECN | 4 SACK | 3 ... 0 window scale of the client, 15: none |
 */
#ifndef SYNWARD_KCOOKIE_H
#define SYNWARD_KCOOKIE_H

#include <linux/types.h>

#include "clock.h"
#include "tcpopts.h"

#define SW_KCOOKIE_SACK	   0x10
#define SW_KCOOKIE_ECN	   0x20
#define SW_KCOOKIE_TS_MASK 0x3f

_Static_assert(SW_WSCALE_NONE == 0xf, "no window scale: TS_OPT_WSCALE_MASK of the kernel");

static __always_inline __u32 sw_kcookie_bits(const struct sw_tcpopts *agreed)
{
	return (agreed->wscale & SW_WSCALE_NONE) |
	       (agreed->flags & SW_OPT_SACK ? SW_KCOOKIE_SACK : 0) |
	       (agreed->flags & SW_OPT_ECN ? SW_KCOOKIE_ECN : 0);
}

/*
 * TSval of the SYN-ACK. The socket goes on with the kernel's clock, whatever was said
 * here: clock_ms must not be ahead of it (RFC 7323 5, PAWS).
 */
static __always_inline __u32 sw_kcookie_tsval(__u32 clock_ms, const struct sw_tcpopts *agreed)
{
	return sw_tsval_with(clock_ms, SW_KCOOKIE_TS_MASK, sw_kcookie_bits(agreed));
}

#endif
