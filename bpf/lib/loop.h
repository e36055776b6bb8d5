/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What programs do many times, and whole frames: with the helpers for it, or, where
 * SW_BEFORE_5_18 is defined, without them on kernels that lack them. Which of the two is
 * known when the program is loaded; the verifier throws the other away.
 */
#ifndef SYNWARD_BPF_LOOP_H
#define SYNWARD_BPF_LOOP_H

#include "kernel.h"

#ifdef SW_BEFORE_5_18

const volatile __u8 sw_older; /* 1, by tests: as on a kernel that lacks the helpers asked for */

#define sw_has_helper(name) (!sw_older && bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_##name))

/*
 * Before Linux 5.17 a loop is a walk over an array, whose entries are nothing but steps.
 * User space makes it SW_LOOP_MOST long there.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} steps SEC(".maps");

struct sw_loop {
	void *arg;
	__u32 count;
};

/* fn for bpf_for_each_map_elem(): it is called count times at most, as bpf_loop() would. */
#define SW_LOOP_BODY(fn)                                                                \
	static long fn##_each(void *map, __u32 *step, __u32 *value, struct sw_loop *l) \
	{                                                                               \
		return *step >= l->count || fn(*step, l->arg);                          \
	}

#define sw_loop(times, fn, ctx)                                         \
	do {                                                            \
		if (sw_has_helper(loop)) {                              \
			bpf_loop(times, fn, ctx, 0);                    \
		} else {                                                \
			struct sw_loop sw_l = { ctx, times };           \
			bpf_for_each_map_elem(&steps, fn##_each, &sw_l, 0); \
		}                                                       \
	} while (0)

/* Frames come in one buffer before Linux 5.18. */
static __always_inline __u32 sw_frame_length(struct xdp_md *ctx)
{
	return sw_has_helper(xdp_get_buff_len) ? (__u32)bpf_xdp_get_buff_len(ctx) :
						 (__u32)(ctx->data_end - ctx->data);
}

#else

#define SW_LOOP_BODY(fn)
#define sw_loop(times, fn, ctx) bpf_loop(times, fn, ctx, 0)

static __always_inline __u32 sw_frame_length(struct xdp_md *ctx)
{
	return (__u32)bpf_xdp_get_buff_len(ctx);
}

#endif

#endif
