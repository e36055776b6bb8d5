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

/* The same until Linux 6.6; scale is net.ipv4.tcp_adv_win_scale, -31 to 31. */
static __always_inline __u32 sw_full_space_before_6_6(__u32 rcvbuf, int scale)
{
	return scale <= 0 ? rcvbuf >> (-scale & 31) : rcvbuf - (rcvbuf >> (scale & 31));
}

static __always_inline __u32 sw_window_clamp(const struct sw_window_in *in)
{
	__u32 clamp = in->clamp;

	if (in->rcvbuf_locked && (clamp > in->full_space || clamp == 0))
		clamp = in->full_space;
	return clamp ? clamp : 65535U << SW_WSCALE_MAX;
}

/* What may be offered, in whole segments of mss bytes if it is more than one. */
static __always_inline __u32 sw_window_space(const struct sw_window_in *in, __u32 mss)
{
	__u32 clamp = sw_window_clamp(in);
	__u32 space = in->full_space < clamp ? in->full_space : clamp;

	return mss && space > mss ? space - space % mss : space;
}

/*
 * tcp_select_initial_window(), its window and its scale. mss in bytes, less the 12 a
 * timestamp takes if it is used.
 */
static __always_inline __u16 sw_initial_window(const struct sw_window_in *in, __u32 mss)
{
	__u32 space = sw_window_space(in, mss);

	if (in->signed_windows && space > 32767)
		space = 32767;
	if (in->init_segments && space > in->init_segments * mss)
		space = in->init_segments * mss;
	return space > 65535 ? 65535 : (__u16)space;
}

static __always_inline __u8 sw_initial_wscale(const struct sw_window_in *in, __u32 mss)
{
	__u32 clamp = sw_window_clamp(in), space = sw_window_space(in, mss);
	__u8 wscale = 0;
	int i;

	if (space < in->rmem_max)
		space = in->rmem_max;
	if (space > clamp)
		space = clamp;
	/*
	 * ilog2(space) - 15, between 0 and 14. The sign of -x says x != 0 without a branch: the
	 * verifier would follow each of the 15 results through all that comes after.
	 */
	for (i = 1; i <= SW_WSCALE_MAX; i++)
		wscale += (__u8)(-((__u64)space >> (15 + i)) >> 63);
	return wscale;
}

#endif
