// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Sends prepared frames, one a run, out of an interface; run by burst.py with live frames. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define FRAMES 64
#define ROOM   1536

struct frame {
	__u32 length, next;
	__u8 byte[ROOM];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FRAMES);
	__type(key, __u32);
	__type(value, struct frame);
} frames SEC(".maps");

/* [0]: the next frame to be sent; [1]: the interface. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} state SEC(".maps");

SEC("xdp")
int burst(struct xdp_md *ctx)
{
	__u32 zero = 0, one = 1, at, length, had;
	__u32 *next = bpf_map_lookup_elem(&state, &zero);
	__u32 *ifindex = bpf_map_lookup_elem(&state, &one);
	struct frame *f;

	if (!next || !ifindex)
		return XDP_ABORTED;
	at = *next;
	*next = at + 1;
	f = bpf_map_lookup_elem(&frames, &at);
	if (!f)
		return XDP_ABORTED;
	length = f->length;
	had = (__u32)(ctx->data_end - ctx->data);
	if (length < 14 || length > ROOM)
		return XDP_ABORTED;
	if (length != had && bpf_xdp_adjust_tail(ctx, (int)length - (int)had))
		return XDP_ABORTED;
	if (bpf_xdp_store_bytes(ctx, 0, f->byte, length))
		return XDP_ABORTED;
	return bpf_redirect(*ifindex, 0);
}
