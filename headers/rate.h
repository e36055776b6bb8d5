/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Rates over all CPUs in two 64-bit words, without a lock: the window that runs and the one
 * before, each | 63 number of the window 32 | 31 value 0 |. The estimate slides: of the one
 * before it takes the part that is still within a window's length of now.
 */
#ifndef SYNWARD_RATE_H
#define SYNWARD_RATE_H

#include <linux/types.h>

#include "siphash.h"

#define SW_RATE_FAST 26 /* windows of 2^26 ns, 67 ms: a step to a tenth over a threshold is seen within 100 ms */
#define SW_RATE_SLOW 30 /* 1.07 s: for rates of few a window */
#define SW_PEAK	     29 /* 0.54 s */
#define SW_PEAK_KEPT 128 /* windows, 69 s: then the half-open sockets it counted are gone too */

static __always_inline __u32 sw_window_number(__u64 now_ns, __u32 shift)
{
	return (__u32)(now_ns >> shift);
}

static __always_inline __u64 sw_window_word(__u32 number, __u32 value)
{
	return (__u64)number << 32 | value;
}

/* How many windows the one of word is behind that number; negative: ahead, by another CPU's clock. */
static __always_inline __s32 sw_window_age(__u64 word, __u32 number)
{
	return (__s32)(number - (__u32)(word >> 32));
}

/* By any CPU at any time. One that is late adds to the window that runs. */
static __always_inline void sw_rate_add(__u64 *running, __u64 *before, __u64 now_ns, __u32 shift,
					__u32 count)
{
	__u32 number = sw_window_number(now_ns, shift);
	__u64 word = *(volatile __u64 *)running;

	if (sw_window_age(word, number) > 0 &&
	    __sync_val_compare_and_swap(running, word, sw_window_word(number, count)) == word) {
		*(volatile __u64 *)before = word;
		return;
	}
	__sync_fetch_and_add(running, count);
}

/* In one window's length up to now. */
static __always_inline __u32 sw_rate_count(__u64 running, __u64 before, __u64 now_ns, __u32 shift)
{
	__u32 number = sw_window_number(now_ns, shift);
	__u64 length = 1ULL << shift, left = length - (now_ns & (length - 1));
	__u32 count;

	if (sw_window_age(running, number) > 0) { /* nothing in this one yet */
		before = running;
		running = 0;
	}
	count = (__u32)running;
	if (sw_window_age(before, number) == 1)
		count += (__u32)((__u64)(__u32)before * left >> shift);
	return count;
}

/* A count in a window as a rate per second. */
static __always_inline __u64 sw_rate_per_s(__u32 count, __u32 shift)
{
	return (__u64)count * 1000000000 >> shift;
}

/* The largest value noted in the window. Two CPUs at once may lose one: the next comes soon. */
static __always_inline void sw_peak_note(__u64 *running, __u64 *before, __u64 now_ns, __u32 value)
{
	__u32 number = sw_window_number(now_ns, SW_PEAK);
	__u64 word = *(volatile __u64 *)running;

	if (sw_window_age(word, number) > 0) {
		*(volatile __u64 *)before = word;
		*(volatile __u64 *)running = sw_window_word(number, value);
	} else if ((__u32)word < value) {
		*(volatile __u64 *)running = (word & ~0xffffffffULL) | value;
	}
}

/* The largest value of late; if none was noted since, the last one, for as long as it can be true. */
static __always_inline __u32 sw_peak(__u64 running, __u64 before, __u64 now_ns)
{
	__u32 number = sw_window_number(now_ns, SW_PEAK), peak = (__u32)running;

	if (sw_window_age(running, number) >= SW_PEAK_KEPT)
		return 0;
	if (sw_window_age(before, number) <= 1 && (__u32)before > peak)
		peak = (__u32)before;
	return peak;
}

#endif
