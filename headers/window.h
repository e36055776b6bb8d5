/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The receive window and scale a SYN-ACK of this kernel offers. */
#ifndef SYNWARD_WINDOW_H
#define SYNWARD_WINDOW_H

#include <linux/types.h>

#include "siphash.h"
#include "tcpopts.h"

/* What tcp_openreq_init_rwin() of the kernel reads of a listener; sizes in bytes. */
struct sw_window_in {
	__u32 full_space;   /* tcp_full_space(): sk_rcvbuf less overhead */
	__u32 clamp;	    /* TCP_WINDOW_CLAMP or the route's, 0: none */
	__u32 rmem_max;	    /* the larger of net.ipv4.tcp_rmem[2] and net.core.rmem_max */
	__u32 init_segments; /* initrwnd of the route, 0: none */
	__u8 rcvbuf_locked; /* SO_RCVBUF was set */
	__u8 signed_windows; /* net.ipv4.tcp_workaround_signed_windows */
};

/* tcp_win_from_space(): ratio is tcp_sock.scaling_ratio, 1/256ths. */
static __always_inline __u32 sw_full_space(__u32 rcvbuf, __u8 ratio)
{
	return (__u32)((__u64)rcvbuf * ratio >> 8);
}

static __always_inline __u32 sw_window_clamp(const struct sw_window_in *in)
{
	__u32 clamp = in->clamp;

	if (in->rcvbuf_locked && (clamp > in->full_space || clamp == 0))
		clamp = in->full_space;
	return clamp ? clamp : 65535U << SW_WSCALE_MAX;
}

/* tcp_select_initial_window(): mss less the 12 bytes a timestamp takes, if it is used. */
static __always_inline __u16 sw_initial_window(const struct sw_window_in *in, __u32 mss)
{
	__u32 clamp = sw_window_clamp(in);
	__u32 space = in->full_space < clamp ? in->full_space : clamp;

	if (mss && space > mss)
		space -= space % mss;
	if (in->signed_windows && space > 32767)
		space = 32767;
	if (in->init_segments && space > in->init_segments * mss)
		space = in->init_segments * mss;
	return space > 65535 ? 65535 : (__u16)space;
}

static __always_inline __u8 sw_initial_wscale(const struct sw_window_in *in)
{
	__u32 clamp = sw_window_clamp(in);
	__u32 space = in->full_space < clamp ? in->full_space : clamp;
	__u8 wscale = 0;
	int i;

	if (space < in->rmem_max)
		space = in->rmem_max;
	if (space > clamp)
		space = clamp;
	/* ilog2(space) - 15, between 0 and 14 */
	for (i = 1; i <= SW_WSCALE_MAX; i++)
		wscale += space >> (15 + i) != 0;
	return wscale;
}

#endif
