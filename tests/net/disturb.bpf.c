// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* tc ingress: loses, doubles and reorders one TCP frame in a hundred each; netem is missing here. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define DONE 0x5eed /* mark of frames that were put back */

SEC("tc")
int disturb(struct __sk_buff *skb)
{
	__u32 chance = bpf_get_prandom_u32() % 1000;

	if (skb->mark == DONE)
		return TC_ACT_OK;
	if (chance < 10)
		return TC_ACT_SHOT;
	if (chance >= 30)
		return TC_ACT_OK;
	skb->mark = DONE;
	if (chance < 20) {
		bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
		return TC_ACT_OK;
	}
	/* Behind what waits in this CPU's backlog. */
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}
