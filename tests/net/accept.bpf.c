// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* At a tc hook of tcx: takes every frame, so that none of the programs behind it is asked. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tc")
int accept_all(struct __sk_buff *skb)
{
	return 0; /* TCX_PASS */
}
