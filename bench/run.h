/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Runs the generator program for a time, at a rate. */
#ifndef FLOOD_RUN_H
#define FLOOD_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/types.h>

struct run_limits {
	uint64_t rate_pps; /* 0: no limit */
	bool even;         /* the program itself keeps to the rate */
	double seconds;
};

/*
 * Ends after limits->seconds or at SIGINT or SIGTERM, with 0, or with a negative errno.
 * sent: the program's own count of frames.
 */
int run_flood(int prog_fd, size_t frame_bytes, const volatile __u64 *sent,
	      const struct run_limits *limits, double *ret_seconds);

#endif
