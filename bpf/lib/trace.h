/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Frames told to `synward trace` and sampled for `synward top`. Switched off, it is one
 * load and a compare on either side of the guard; the rest are functions out of line.
 */
#ifndef SYNWARD_BPF_TRACE_H
#define SYNWARD_BPF_TRACE_H

#include "packet.h"
#include "verdict.h"
#include "../../headers/trace.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct sw_trace);
} trace SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SW_TRACE_RING_BYTES);
} trace_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sw_trace_cpu);
} trace_cpu SEC(".maps");

#define SW_TRACE_WINDOW_NS 100000000ULL /* a tenth of a second: the rate's bursts fit into the ring */
#define SW_TRACE_WINDOWS   10		/* a second */

static __always_inline bool sw_trace_matches(const struct sw_trace_filter *f, const struct sw_tuple *t)
{
	if (f->port && f->port != t->dport)
		return false;
	if (f->family && f->family != (t->family_v6 ? 6 : 4))
		return false;
	return !((t->saddr_hi ^ f->addr_hi) & f->mask_hi) && !((t->saddr_lo ^ f->addr_lo) & f->mask_lo);
}

/* Two bytes at a time: any driver's frame, and no helper that older kernels lack. */
static __always_inline void sw_trace_copy(struct xdp_md *ctx, struct sw_trace_record *r)
{
	__u16 *from = (void *)(long)ctx->data, *to = (void *)r->frame;
	void *end = (void *)(long)ctx->data_end;
	int i;

	for (i = 0; i < SW_TRACE_FRAME_MAX / 2; i++) {
		if ((void *)(from + i + 1) > end)
			break;
		to[i] = from[i];
	}
	r->captured = i * 2;
}

/* The bits of tracers that are still there; clears those of the others. */
static __always_inline __u32 sw_trace_alive(struct sw_trace *t, __u64 now_ns)
{
	__u32 gone = (now_ns > t->segments_until_ns ? SW_TRACE_SEGMENTS : 0) |
		     (now_ns > t->sample_until_ns ? SW_TRACE_SAMPLE : 0);

	if (t->on & gone)
		__sync_fetch_and_and(&t->on, ~gone);
	return t->on & ~gone;
}

/* Before the guard, which may turn the frame into its answer: what it was. */
__noinline int sw_trace_look(struct xdp_md *ctx)
{
	struct sw_trace_cpu *mine = SW_THE(trace_cpu);
	struct sw_trace *t = SW_THE(trace);
	__u64 now_ns = bpf_ktime_get_ns();
	struct sw_packet pkt = {};
	__u32 wanted;

	if (!t || !mine)
		return 0;
	wanted = sw_trace_alive(t, now_ns);
	if (now_ns - mine->sampled_ns < SW_SAMPLE_GAP_NS)
		wanted &= ~SW_TRACE_SAMPLE;
	mine->wanted = 0;
	if (!wanted || sw_parse(ctx, &pkt) != SW_PARSE_TCP)
		return 0;
	if (!sw_trace_matches(&t->filter, &pkt.tuple))
		wanted &= ~SW_TRACE_SEGMENTS;
	mine->source = (struct sw_sample){
		.addr_hi = pkt.tuple.saddr_hi,
		.addr_lo = pkt.tuple.saddr_lo,
		.port = pkt.tuple.dport,
		.family_v6 = pkt.tuple.family_v6,
	};
	mine->record.time_ns = now_ns;
	mine->wanted = wanted;
	if (wanted & SW_TRACE_SEGMENTS)
		sw_trace_copy(ctx, &mine->record);
	return 0;
}

/* Traffic of connections: a flood is none of it. */
static __always_inline bool sw_trace_is_proven(__u32 reason)
{
	return sw_trace_is_ongoing(reason) || reason == SW_ACK_VALID || reason == SW_FLOW_OPENED;
}

static __always_inline void sw_trace_sample(struct sw_trace_cpu *mine, __u32 reason)
{
	if (!sw_trace_is_unproven(reason))
		return;
	mine->source.reason = reason;
	mine->sample[mine->samples++ & (SW_SAMPLES - 1)] = mine->source;
	mine->sampled_ns = mine->record.time_ns;
}

static __always_inline bool sw_trace_spend(struct sw_trace_rate *r, __u32 rate, __u64 now_ns)
{
	if (now_ns - r->since_ns > SW_TRACE_WINDOW_NS) {
		r->since_ns = now_ns;
		r->used = 0;
	}
	return r->used++ < rate / SW_TRACE_WINDOWS + 1;
}

/* A rate, and half of the ring, are kept for what is proven: a flood leaves room for the real. */
static __always_inline bool sw_trace_may(struct sw_trace_cpu *mine, __u32 rate, __u32 reason)
{
	if (sw_trace_is_proven(reason))
		return sw_trace_spend(&mine->proven, rate, mine->record.time_ns);
	return sw_trace_spend(&mine->rest, rate, mine->record.time_ns) &&
	       bpf_ringbuf_query(&trace_ring, BPF_RB_AVAIL_DATA) < SW_TRACE_RING_BYTES / 2;
}

static __always_inline void sw_trace_send(struct sw_trace_cpu *mine, enum sw_trace_kind kind)
{
	mine->record.kind = kind;
	if (bpf_ringbuf_output(&trace_ring, &mine->record, sizeof(mine->record), 0))
		mine->lost_ring++;
}

/* After the guard: what became of it, and what was sent back. */
__noinline int sw_trace_tell(struct xdp_md *ctx, __u32 reason)
{
	struct sw_trace_cpu *mine = SW_THE(trace_cpu);
	struct sw_trace *t = SW_THE(trace);
	__u32 wanted;

	if (!t || !mine)
		return 0;
	if (t->on & SW_TRACE_SAMPLE && sw_trace_is_unproven(reason))
		mine->unproven++;
	wanted = mine->wanted;
	mine->wanted = 0; /* the next frame may be one that was not looked at */
	if (wanted & SW_TRACE_SAMPLE)
		sw_trace_sample(mine, reason);
	if (!(wanted & SW_TRACE_SEGMENTS))
		return 0;
	if (reason == SW_NOT_GUARDED && !t->filter.unguarded)
		return 0;
	if (!sw_trace_may(mine, t->filter.rate, reason)) {
		mine->lost_rate++;
		return 0;
	}
	mine->record.reason = reason;
	sw_trace_send(mine, SW_TRACE_RECEIVED);
	if (sw_action(reason) != XDP_TX)
		return 0;
	mine->record.time_ns = bpf_ktime_get_ns();
	sw_trace_copy(ctx, &mine->record);
	sw_trace_send(mine, SW_TRACE_ANSWERED);
	return 0;
}

static __always_inline bool sw_trace_is_on(void)
{
	const struct sw_trace *t = SW_THE(trace);

	return t && __builtin_expect(t->on, 0);
}

/* The guard's verdict, traced if somebody wants to see it. */
#define sw_traced(ctx, guard)                        \
	({                                           \
		bool on_ = sw_trace_is_on();         \
		int verdict_;                        \
                                                     \
		if (on_)                             \
			sw_trace_look(ctx);          \
		verdict_ = (guard);                  \
		if (on_)                             \
			sw_trace_tell(ctx, verdict_ & SW_VERDICT_REASON); \
		verdict_;                            \
	})

#endif
