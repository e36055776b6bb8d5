/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Sizes for helpers that copy, bounded so that old verifiers see it. */
#ifndef SYNWARD_BPF_SIZE_H
#define SYNWARD_BPF_SIZE_H

/*
 * size, which the caller knows to be 1 to most. Linux 6.1 learns nothing from a test for 0
 * ("R4 invalid zero-sized read"), or from the one subtraction clang makes of two bounds ("R3
 * min value is outside of the allowed memory range"); and clang drops a test it can prove.
 */
static __always_inline __u32 sw_size_seen(__u32 size, __u32 most)
{
	size--;
	barrier_var(size);
	if (size > most - 1)
		size = most - 1;
	return size + 1;
}

#endif
