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

static __always_inline __u32 sw_opt_be32_at(const __u8 *byte)
{
	__u32 word;

	__builtin_memcpy(&word, byte, sizeof(word));
	return __builtin_bswap32(word);
}

static __always_inline __u32 sw_opt_be32(const struct sw_optbuf *buf, __u32 at)
{
	return sw_opt_be32_at(buf->byte + (at & 63));
}

#define SW_OPTWORD_NOPS 0x01010101 /* the same in either byte order */

/*
 * What stands at position `at`, below length: an option, or one or four NOPs. Returns the
 * position behind it, or `length` where reading ends. Agrees with tcp_parse_options() of
 * the kernel: an option of the wrong size is passed over, a silly or cut-off one ends the
 * list, of two the last counts.
 */
static __always_inline __u32 sw_tcpopt_one(const struct sw_optbuf *buf, __u32 at, __u32 length,
					   struct sw_tcpopts *opts)
{
	const __u8 *option = buf->byte + (at & 63); /* below 40, which the verifier is not told */
	__u8 kind = option[0], size = option[1];

	if (kind == SW_TCPOPT_NOP) {
		if (at + 4 <= length && sw_opt_be32_at(option) == SW_OPTWORD_NOPS)
			return at + 4;
		return at + 1;
	}
	/* Where no size stands any more, the option ends behind the last byte whatever is there. */
	if (kind == SW_TCPOPT_EOL || size < 2 || at + size > length)
		return length;

	if (kind == SW_TCPOPT_MSS && size == 4) {
		__u16 mss = (__u16)(sw_opt_be32_at(option) & 0xffff);

		if (mss) /* as the kernel: 0 offers nothing */
			opts->mss = mss;
	} else if (kind == SW_TCPOPT_WSCALE && size == 3) {
		__u8 shift = option[2];

		opts->wscale = shift > SW_WSCALE_MAX ? SW_WSCALE_MAX : shift;
	} else if (kind == SW_TCPOPT_SACK_PERM && size == 2) {
		opts->flags |= SW_OPT_SACK;
	} else if (kind == SW_TCPOPT_TSTAMP && size == 10) {
		opts->tsval = sw_opt_be32_at(option + 2);
		opts->tsecr = sw_opt_be32_at(option + 6);
		opts->flags |= SW_OPT_TSTAMP;
	} else if (kind == SW_TCPOPT_MD5 || kind == SW_TCPOPT_AO) {
		opts->flags |= SW_OPT_SIGNED;
	}
	return at + size;
}

/* Reading the options of one segment. */
struct sw_optread {
	struct sw_optbuf buf;
	struct sw_tcpopts opts;
	__u32 start, length; /* bytes; start is 0 */
};

/*
 * All of them, into r->opts; the buffer is filled by the caller. The verifier must not know
 * where reading stands and ends, or it follows each value and runs out of instructions ("BPF
 * program is too large", clang 14 to 19, Linux 6.18): both come out of memory, the end at
 * each step, and a step ends anywhere below 64.
 */
static __always_inline void sw_optread_all(struct sw_optread *r, __u32 length)
{
	__u32 at;
	int i;

	r->opts = (struct sw_tcpopts){ .wscale = SW_WSCALE_NONE };
	*(volatile __u32 *)&r->start = 0;
	*(volatile __u32 *)&r->length = length;
	at = *(volatile __u32 *)&r->start;
	for (i = 0; i < SW_TCPOPT_MAX; i++) {
		__asm__ volatile("" : "+r"(at));
		at &= 63;
		length = *(volatile __u32 *)&r->length;
		if (at >= length)
			break;
		at = sw_tcpopt_one(&r->buf, at, length, &r->opts);
	}
}

/* Options that are whole 32-bit words, as they lie in memory. */
struct sw_optwords {
	__u32 word[6];
};

#define SW_OPTWORD(a, b, c, d) ((__u32)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define SW_OPTWORD_SACK_TS     SW_OPTWORD(SW_TCPOPT_SACK_PERM, 2, SW_TCPOPT_TSTAMP, 10)
#define SW_OPTWORD_NOPS_TS     SW_OPTWORD(SW_TCPOPT_NOP, SW_TCPOPT_NOP, SW_TCPOPT_TSTAMP, 10)
#define SW_OPTWORD_NOPS_SACK   SW_OPTWORD(SW_TCPOPT_NOP, SW_TCPOPT_NOP, SW_TCPOPT_SACK_PERM, 2)
#define SW_OPTWORD_SACK_EOL    SW_OPTWORD(SW_TCPOPT_SACK_PERM, 2, SW_TCPOPT_EOL, SW_TCPOPT_EOL)

static __always_inline int sw_optword_mss(__u32 word, struct sw_tcpopts *opts)
{
	word = __builtin_bswap32(word);
	opts->mss = (__u16)word;
	return word >> 16 == (SW_TCPOPT_MSS << 8 | 4);
}

static __always_inline int sw_optword_wscale(__u32 word, struct sw_tcpopts *opts)
{
	word = __builtin_bswap32(word);
	opts->wscale = (word & 0xff) > SW_WSCALE_MAX ? SW_WSCALE_MAX : (__u8)word;
	return word >> 8 == (SW_TCPOPT_NOP << 16 | SW_TCPOPT_WSCALE << 8 | 3);
}

static __always_inline void sw_optwords_tstamp(__u32 tsval, __u32 tsecr, struct sw_tcpopts *opts)
{
	opts->tsval = __builtin_bswap32(tsval);
	opts->tsecr = __builtin_bswap32(tsecr);
	opts->flags |= SW_OPT_TSTAMP;
}

/*
 * The layouts nearly every stack sends. 1 if w, count words long, is one of them; else 0
 * and *ret is not to be used. Says the same as reading byte by byte.
 */
static __always_inline int sw_options_words(const struct sw_optwords *w, int count,
					    struct sw_tcpopts *ret)
{
	const __u32 *word = w->word;

	*ret = (struct sw_tcpopts){ .wscale = SW_WSCALE_NONE };
	switch (count) {
	case 0: /* old stacks; ACKs without timestamps */
		return 1;
	case 1: /* embedded stacks */
		return sw_optword_mss(word[0], ret);
	case 2: /* Windows without scaling */
		ret->flags = SW_OPT_SACK;
		return sw_optword_mss(word[0], ret) &&
		       word[1] == __builtin_bswap32(SW_OPTWORD_NOPS_SACK);
	case 3:
		if (word[0] == __builtin_bswap32(SW_OPTWORD_NOPS_TS)) { /* ACKs with timestamps */
			sw_optwords_tstamp(word[1], word[2], ret);
			return 1;
		}
		ret->flags = SW_OPT_SACK; /* Windows */
		return sw_optword_mss(word[0], ret) && sw_optword_wscale(word[1], ret) &&
		       word[2] == __builtin_bswap32(SW_OPTWORD_NOPS_SACK);
	case 5:
		ret->flags = SW_OPT_SACK;
		if (word[1] == __builtin_bswap32(SW_OPTWORD_SACK_TS)) { /* Linux */
			sw_optwords_tstamp(word[2], word[3], ret);
			return sw_optword_mss(word[0], ret) && sw_optword_wscale(word[4], ret);
		}
		sw_optwords_tstamp(word[3], word[4], ret); /* FreeBSD */
		return sw_optword_mss(word[0], ret) && sw_optword_wscale(word[1], ret) &&
		       word[2] == __builtin_bswap32(SW_OPTWORD_SACK_TS);
	case 6: /* macOS, iOS */
		ret->flags = SW_OPT_SACK;
		sw_optwords_tstamp(word[3], word[4], ret);
		return sw_optword_mss(word[0], ret) && sw_optword_wscale(word[1], ret) &&
		       word[2] == __builtin_bswap32(SW_OPTWORD_NOPS_TS) &&
		       word[5] == __builtin_bswap32(SW_OPTWORD_SACK_EOL);
	default:
		return 0;
	}
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
