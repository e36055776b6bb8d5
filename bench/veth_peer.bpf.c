// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The far end of a veth. That a program is here makes XDP_TX at the near end leave at
 * once. What goes to the sink prefix is counted and dropped: answers to forged sources
 * end here, as they do somewhere in the Internet, at no cost to the measurement.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u16 sink_proto;                    /* ETH_P_IP or ETH_P_IPV6; 0: no sink */
const volatile __u64 sink_address[2], sink_mask[2]; /* memory order; IPv4 in the low half of [0] */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} sunk SEC(".maps");

static __always_inline int is_for_sink(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	void *ip = data + ETH_HLEN;

	if (!sink_proto || ip + 20 > end ||
	    ((struct ethhdr *)data)->h_proto != bpf_htons(sink_proto))
		return 0;
	if (sink_proto == ETH_P_IP)
		return (*(__u32 *)(ip + 16) & (__u32)sink_mask[0]) == (__u32)sink_address[0];
	if (ip + 40 > end)
		return 0;
	return (*(__u64 *)(ip + 24) & sink_mask[0]) == sink_address[0] &&
	       (*(__u64 *)(ip + 32) & sink_mask[1]) == sink_address[1];
}

SEC("xdp.frags")
int veth_peer(struct xdp_md *ctx)
{
	__u64 *count;
	__u32 zero = 0;

	if (!is_for_sink(ctx))
		return XDP_PASS;
	count = bpf_map_lookup_elem(&sunk, &zero);
	if (count)
		(*count)++;
	return XDP_DROP;
}
