/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* TCP options: read from a segment (hostile), written into a SYN-ACK. */
#ifndef SYNWARD_TCPOPTS_H
#define SYNWARD_TCPOPTS_H

#include <linux/types.h>

#include "siphash.h"

#define SW_TCPOPT_MAX 40 /* bytes: data offset 15 */

#define SW_TCPOPT_EOL	    0
#define SW_TCPOPT_NOP	    1
#define SW_TCPOPT_MSS	    2
#define SW_TCPOPT_WSCALE    3
#define SW_TCPOPT_SACK_PERM 4
#define SW_TCPOPT_TSTAMP    8
#define SW_TCPOPT_MD5	    19 /* RFC 2385 */
#define SW_TCPOPT_AO	    29 /* RFC 5925 */

#define SW_WSCALE_NONE 15 /* no window scale option */
#define SW_WSCALE_MAX  14 /* RFC 7323 2.3: a larger shift is used as 14 */

#define SW_OPT_SACK   0x01
#define SW_OPT_TSTAMP 0x02
#define SW_OPT_ECN    0x04 /* from the header's flags, RFC 3168 6.1.1 */
#define SW_OPT_SIGNED 0x08 /* TCP-MD5 or TCP-AO */

struct sw_tcpopts {
	__u32 tsval, tsecr; /* host order, if SW_OPT_TSTAMP */
	__u16 mss;	    /* bytes; 0: absent, or offered as 0 */
	__u8 wscale;	    /* 0 to 14, or SW_WSCALE_NONE */
	__u8 flags;	    /* SW_OPT_* */
};

/* The options area of one segment, copied: index & 63 is always inside. */
struct sw_optbuf {
	__u8 byte[64];
};

static __always_inline __u32 sw_opt_be32(const struct sw_optbuf *buf, __u32 at)
{
	return (__u32)buf->byte[at & 63] << 24 | (__u32)buf->byte[(at + 1) & 63] << 16 |
	       (__u32)buf->byte[(at + 2) & 63] << 8 | buf->byte[(at + 3) & 63];
}

/*
 * One option at position `at`; returns the position of the next, or `length` where
 * reading ends. Agrees with tcp_parse_options() of the kernel: an option of the wrong
 * size is passed over, a silly or cut-off one ends the list, of two the last counts.
 */
static __always_inline __u32 sw_tcpopt_one(const struct sw_optbuf *buf, __u32 at, __u32 length,
					   struct sw_tcpopts *opts)
{
	__u8 kind = buf->byte[at & 63];
	__u32 size;

	if (kind == SW_TCPOPT_EOL)
		return length;
	if (kind == SW_TCPOPT_NOP)
		return at + 1;
	if (at + 1 >= length)
		return length;
	size = buf->byte[(at + 1) & 63];
	if (size < 2 || at + size > length)
		return length;

	if (kind == SW_TCPOPT_MSS && size == 4) {
		__u16 mss = (__u16)(sw_opt_be32(buf, at) & 0xffff);

		if (mss) /* as the kernel: 0 offers nothing */
			opts->mss = mss;
	} else if (kind == SW_TCPOPT_WSCALE && size == 3) {
		__u8 shift = buf->byte[(at + 2) & 63];

		opts->wscale = shift > SW_WSCALE_MAX ? SW_WSCALE_MAX : shift;
	} else if (kind == SW_TCPOPT_SACK_PERM && size == 2) {
		opts->flags |= SW_OPT_SACK;
	} else if (kind == SW_TCPOPT_TSTAMP && size == 10) {
		opts->tsval = sw_opt_be32(buf, at + 2);
		opts->tsecr = sw_opt_be32(buf, at + 6);
		opts->flags |= SW_OPT_TSTAMP;
	} else if (kind == SW_TCPOPT_MD5 || kind == SW_TCPOPT_AO) {
		opts->flags |= SW_OPT_SIGNED;
	}
	return at + size;
}

/* Reading the options of one segment, step by step: at most SW_TCPOPT_MAX steps. */
struct sw_optread {
	const struct sw_optbuf *buf;
	__u32 at, length; /* bytes; length is at most SW_TCPOPT_MAX */
	struct sw_tcpopts opts;
};

static __always_inline void sw_optread_start(struct sw_optread *r, const struct sw_optbuf *buf,
					     __u32 length)
{
	*r = (struct sw_optread){ .buf = buf, .length = length, .opts.wscale = SW_WSCALE_NONE };
}

/* 0 while there is more to read. */
static __always_inline int sw_optread_step(struct sw_optread *r)
{
	if (r->at >= r->length)
		return 1;
	r->at = sw_tcpopt_one(r->buf, r->at, r->length, &r->opts);
	return 0;
}

/*
 * Writes the options of a SYN-ACK as 32-bit words in network order and returns how
 * many, 1 to 5. Order and padding are tcp_options_write()'s of the kernel: MSS, then
 * SACK-permitted in front of the timestamp if both, then window scale. opts holds what
 * the SYN-ACK says: our tsval and the SYN's as tsecr.
 */
static __always_inline __u32 sw_tcpopts_write(__u32 word[5], const struct sw_tcpopts *opts)
{
	__u32 n = 0;

	word[n++] = __builtin_bswap32(SW_TCPOPT_MSS << 24 | 4 << 16 | opts->mss);
	if (opts->flags & SW_OPT_TSTAMP) {
		__u32 lead = SW_TCPOPT_NOP << 24 | SW_TCPOPT_NOP << 16;

		if (opts->flags & SW_OPT_SACK)
			lead = SW_TCPOPT_SACK_PERM << 24 | 2 << 16;
		word[1] = __builtin_bswap32(lead | SW_TCPOPT_TSTAMP << 8 | 10);
		word[2] = __builtin_bswap32(opts->tsval);
		word[3] = __builtin_bswap32(opts->tsecr);
		n = 4;
	} else if (opts->flags & SW_OPT_SACK) {
		word[1] = __builtin_bswap32(SW_TCPOPT_NOP << 24 | SW_TCPOPT_NOP << 16 |
					    SW_TCPOPT_SACK_PERM << 8 | 2);
		n = 2;
	}
	if (opts->wscale != SW_WSCALE_NONE) {
		__u32 wscale = __builtin_bswap32(SW_TCPOPT_NOP << 24 | SW_TCPOPT_WSCALE << 16 |
						 3 << 8 | opts->wscale);

		/* Constant indices only: the buffer then lives in registers. */
		if (n == 4)
			word[4] = wscale;
		else if (n == 2)
			word[2] = wscale;
		else
			word[1] = wscale;
		n++;
	}
	return n;
}

#endif
