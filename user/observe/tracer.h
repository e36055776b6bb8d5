/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Asking a guard for the frames it sees: switched on while a process renews it, told
 * through a ring. A process that dies has it switched off by the XDP program.
 */
#ifndef SYNWARD_TRACER_H
#define SYNWARD_TRACER_H

#include <bpf/libbpf.h>
#include <time.h>

#include "guard.h"
#include "trace.h"

struct tracer {
	struct sw_trace *control; /* the map, mapped */
	struct ring_buffer *ring; /* of SW_TRACE_SEGMENTS */
	int cpu_fd;
	__u32 what; /* SW_TRACE_SEGMENTS or SW_TRACE_SAMPLE */
	__u64 lost_before;
};

#define TRACER_RENEW_MS 1000

/*
 * Tells nothing before the first tracer_renew(). -EACCES without privileges; -EBUSY if
 * another process traces segments of this guard.
 */
int tracer_open_segments(const struct guard *g, const struct sw_trace_filter *filter,
			 ring_buffer_sample_fn each, void *arg, struct tracer *ret, struct why *why);
int tracer_open_samples(const struct guard *g, struct tracer *ret, struct why *why);

/* Switches on; to be called every TRACER_RENEW_MS. False: another process has taken it over. */
bool tracer_renew(struct tracer *t);

/* Segments that were to be told since tracer_open_segments() and were not. */
int tracer_lost(const struct tracer *t, __u64 *ret_lost);

/* How far one CPU's samples were read; all 0 at first. */
struct tracer_position {
	__u64 unproven;
	__u32 samples;
};

/*
 * Calls tell for the samples taken since the last call, with the number of frames of its CPU
 * that each stands for. position: one for each possible CPU.
 */
int tracer_samples(const struct tracer *t, struct tracer_position *position,
		   void (*tell)(const struct sw_sample *sample, double frames, void *arg), void *arg);

void tracer_close(struct tracer *t);

__u64 tracer_clock_ns(clockid_t clock);

#endif
