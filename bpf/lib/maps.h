/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The maps, and the one-liners that reach into them. headers/abi.h says who writes what. */
#ifndef SYNWARD_BPF_MAPS_H
#define SYNWARD_BPF_MAPS_H

#include "kernel.h"
#include "../../headers/abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_config);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_secrets);
} secrets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_LISTENER_SLOTS); /* times the number of CPUs: set by the loader */
	__type(key, __u32);
	__type(value, struct sw_listener);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * SW_KNOWN_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} known SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_HANDED_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} handed SEC(".maps");

struct sw_walk_slot {
	struct bpf_timer timer;
	struct sw_walk walk;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_walk_slot);
} walk SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_info);
} info SEC(".maps");

/* What one CPU needs between frames and only it touches. */
struct sw_local {
	__u64 budget_since_ns;
	__u32 budget_used; /* SYNs */
	__u32 pad;
	struct sw_optread read;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_local);
} local SEC(".maps");

/* Nanoseconds of a tick of the kernel's (1e9 / HZ), set by the loader. */
const volatile __u64 sw_tick_ns = 4000000;

#define SW_THE(map)                                  \
	({                                           \
		__u32 zero_ = 0;                     \
		bpf_map_lookup_elem(&(map), &zero_); \
	})

/*
 * CLOCK_MONOTONIC to the tick, made from jiffies: one load, where the coarse clock is a
 * call and a sequence counter.
 */
static __always_inline __u64 sw_now_ns(const struct sw_walk *state)
{
	return bpf_jiffies64() * sw_tick_ns + state->clock_offset_ns;
}

static __always_inline void sw_count_event(enum sw_event event)
{
	struct sw_counters *c = SW_THE(counters);

	if (c)
		c->event[event]++;
}

#endif
