/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A segment of a flow, in the numbers of the other end. Towards the server: what it
 * acknowledges (number, SACK blocks), the timestamp it echoes, the scale of its window.
 * Towards the client: the number, the timestamp, the scale of the window. All else is
 * the same at both ends, because the server was given the client's own ISN.
 *
 * Words are 32 bits as they lie in memory. Each function returns the sum to add to what
 * the checksum is made from: the new words less the old, in ones' complement.
 */
#ifndef SYNWARD_TRANSLATE_H
#define SYNWARD_TRANSLATE_H

#include <linux/types.h>

#include "checksum.h"
#include "flow.h"
#include "tcpopts.h"

#define SW_TCPOPT_SACK 5

enum sw_way { SW_TO_SERVER = 0, SW_TO_CLIENT };

static __always_inline __u64 sw_sum_change(__u32 from, __u32 to)
{
	return (__u64)(__u32)~from + to;
}

/* Puts value, in host order, where *word stands. */
static __always_inline __u64 sw_put_word(__u32 *word, __u32 value)
{
	__u32 from = *word, to = __builtin_bswap32(value);

	*word = to;
	return sw_sum_change(from, to);
}

static __always_inline __u64 sw_add_to_word(__u32 *word, __u32 delta)
{
	return sw_put_word(word, __builtin_bswap32(*word) + delta);
}

/*
 * A window read with one scale, written with another. Never more than was meant, but for
 * a window that is open and less than one unit: closed, it might never open again.
 */
static __always_inline __u16 sw_rescale(__u16 window, __u8 from, __u8 to)
{
	__u64 bytes = (__u64)window << (from & 15);
	__u64 raw = bytes >> (to & 15);

	if (!raw && bytes)
		raw = 1;
	return raw > 65535 ? 65535 : (__u16)raw;
}

/* With no scale of its own the server took the client's for none as well (RFC 7323 2.2). */
static __always_inline __u8 sw_scale_of_client(const struct sw_flow *f)
{
	return f->client_wscale == SW_WSCALE_NONE ? 0 : f->client_wscale;
}

static __always_inline __u16 sw_window_to_server(const struct sw_flow *f, __u16 window)
{
	/* Asked in this order: client_wscale is in a cache line of the flow's that few need. */
	return f->server_wscale == SW_WSCALE_NONE ? sw_rescale(window, sw_scale_of_client(f), 0)
						  : window;
}

static __always_inline __u16 sw_window_to_client(const struct sw_flow *f, __u16 window)
{
	__u8 scale = f->server_wscale == SW_WSCALE_NONE ? 0 : f->server_wscale;

	return sw_rescale(window, scale, f->told_wscale);
}

/*
 * The fixed header, five words; not the checksum in it. Of segments to the server only
 * those with ACK are translated: the others say nothing in the server's numbers.
 */
static __always_inline __u64 sw_translate_header(const struct sw_flow *f, enum sw_way way,
						 __u32 *word)
{
	__u32 last = __builtin_bswap32(word[3]);
	__u16 window = (__u16)last;
	__u64 change = 0;

	if (way == SW_TO_SERVER) {
		change += sw_add_to_word(&word[2], -f->seq_delta);
		window = sw_window_to_server(f, window);
	} else {
		change += sw_add_to_word(&word[1], f->seq_delta);
		window = sw_window_to_client(f, window);
	}
	return change + sw_put_word(&word[3], (last & 0xffff0000) | window);
}

/* TSval and TSecr, two words. */
static __always_inline __u64 sw_translate_tstamp(const struct sw_flow *f, enum sw_way way,
						 __u32 *word)
{
	return way == SW_TO_CLIENT ? sw_add_to_word(&word[0], f->ts_delta)
				   : sw_add_to_word(&word[1], -f->ts_delta);
}

/* The options area as words, for the sum over all of it. */
static __always_inline __u64 sw_optbuf_sum(const struct sw_optbuf *buf)
{
	const __u32 *word = (const __u32 *)buf->byte;
	__u64 sum = 0;
	int i;

	for (i = 0; i < SW_TCPOPT_MAX / 4; i++)
		sum += word[i];
	return sum;
}

static __always_inline void sw_opt_put32(struct sw_optbuf *buf, __u32 at, __u32 value)
{
	buf->byte[at & 63] = (__u8)(value >> 24);
	buf->byte[(at + 1) & 63] = (__u8)(value >> 16);
	buf->byte[(at + 2) & 63] = (__u8)(value >> 8);
	buf->byte[(at + 3) & 63] = (__u8)value;
}

static __always_inline void sw_opt_add32(struct sw_optbuf *buf, __u32 at, __u32 delta)
{
	sw_opt_put32(buf, at, sw_opt_be32(buf, at) + delta);
}

/*
 * What becomes of the options of a segment, byte by byte. Volatile, because the verifier
 * would follow each value in registers and run out of instructions ("BPF program is too
 * large", clang 16, Linux 6.18).
 */
struct sw_optwrite {
	struct sw_optbuf buf;
	volatile __u32 at,
		length; /* bytes; where the next option or SACK edge starts, and where all end */
	volatile __u32 sack_end; /* edges are left up to here */
	volatile __u32 blank;    /* up to here bytes are overwritten with NOPs */
};

static __always_inline void sw_optwrite_start(struct sw_optwrite *w, __u32 length)
{
	w->at = w->sack_end = w->blank = 0;
	w->length = length;
}

/* An option at `at`, of `size` bytes: translated, or marked to be blanked where the server does not
 * have it. */
static __always_inline void sw_optwrite_option(const struct sw_flow *f, enum sw_way way,
					       struct sw_optwrite *w, __u32 at, __u8 kind,
					       __u32 size)
{
	if (kind == SW_TCPOPT_TSTAMP && size == 10) {
		if (way == SW_TO_CLIENT)
			sw_opt_add32(&w->buf, at + 2, f->ts_delta);
		else if (!(f->flags & SW_FF_SERVER_TSTAMP))
			w->blank = at + size;
		else
			sw_opt_add32(&w->buf, at + 6, -f->ts_delta);
	} else if (kind == SW_TCPOPT_SACK && way == SW_TO_SERVER) {
		if (f->flags & SW_FF_SERVER_SACK)
			w->sack_end = at + size;
		else
			w->blank = at + size;
	}
}

/* One byte, one edge or one option; 1 when all is done. */
static __always_inline int sw_optwrite_step(const struct sw_flow *f, enum sw_way way,
					    struct sw_optwrite *w)
{
	__u32 at = w->at, size;
	__u8 kind;

	if (at >= w->length)
		return 1;
	if (at < w->blank) {
		w->buf.byte[at & 63] = SW_TCPOPT_NOP;
		w->at = at + 1;
		return 0;
	}
	if (at + 4 <= w->sack_end) {
		sw_opt_add32(&w->buf, at, -f->seq_delta);
		w->at = at + 4;
		return 0;
	}
	kind = w->buf.byte[at & 63];
	if (kind == SW_TCPOPT_EOL)
		return 1;
	if (kind == SW_TCPOPT_NOP) {
		w->at = at + 1;
		return 0;
	}
	size = w->buf.byte[(at + 1) & 63];
	if (at + 1 >= w->length || size < 2 || at + size > w->length)
		return 1;
	sw_optwrite_option(f, way, w, at, kind, size);
	if (w->blank <= at)
		w->at = w->sack_end > at ? at + 2 : at + size;
	return 0;
}

#define SW_OPTWRITE_STEPS SW_TCPOPT_MAX

/* What the server's SYN-ACK says of the flow; numbers in host order. */
struct sw_answer {
	__u32 isn;
	__u32 tsval; /* if SW_OPT_TSTAMP in flags */
	__u8 wscale; /* or SW_WSCALE_NONE */
	__u8 flags;  /* SW_OPT_* */
};

/* From here on the flow can be translated. A second SYN-ACK of the same ISN changes nothing. */
static __always_inline void sw_flow_answered(struct sw_flow *f, const struct sw_answer *a)
{
	__u8 server = 0;

	if (a->flags & SW_OPT_SACK && f->flags & SW_FF_SACK)
		server |= SW_FF_SERVER_SACK;
	if (a->flags & SW_OPT_TSTAMP && f->flags & SW_FF_TSTAMP)
		server |= SW_FF_SERVER_TSTAMP;
	if (a->flags & SW_OPT_ECN && f->flags & SW_FF_ECN)
		server |= SW_FF_SERVER_ECN;
	f->seq_delta = f->cookie - a->isn;
	f->ts_delta = server & SW_FF_SERVER_TSTAMP ? f->ts_told - a->tsval : 0;
	f->server_wscale = f->client_wscale == SW_WSCALE_NONE ? SW_WSCALE_NONE : a->wscale;
	f->side[SW_SERVER].acked = f->client_isn + 1;
	f->flags |= server | SW_FF_ANSWERED;
}

#endif
