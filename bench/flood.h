/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What flood.c prepares once and flood.bpf.c stamps out for each frame. */
#ifndef FLOOD_H
#define FLOOD_H

#include <linux/types.h>

#define FLOOD_FRAME_MAX 256 /* bytes, a power of two */
#define FLOOD_FRAMES 8      /* a power of two */

/*
 * A frame as it leaves, but for what is random in each copy: those fields are 0 here,
 * and the sums do not have them yet. Sums are of words as memory holds them.
 */
struct flood_frame {
	__u8 byte[FLOOD_FRAME_MAX];
	__u32 length;  /* bytes */
	__u32 ip_sum;  /* of the IPv4 header */
	__u32 l4_sum;  /* of pseudo-header, L4 header and payload */
	__u8 csum_at;  /* offsets within the L4 header */
	__u8 tsecr_at; /* where a random TSecr goes; 0: nowhere */
	__u8 tcp;      /* 1: random sequence number; 0: UDP */
	__u8 random_ack;
};

#endif
