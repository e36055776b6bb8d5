/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Whether NAT looks at what comes in. The request socket that bpf_sk_assign_tcp_reqsk() gives a
 * segment names no port yet, so nf_nat_ipv4_local_in() takes it away, as it would an early-demuxed
 * one whose port NAT has changed (net/netfilter/nf_nat_proto.c), and the client is reset.
 */
#ifndef SYNWARD_BPF_NAT_H
#define SYNWARD_BPF_NAT_H

#include "kernel.h"

/* linux/netfilter.h, linux/netfilter_ipv4.h */
#define SW_NF_LOCAL_IN 1
#define SW_NF_PRI_NAT_SRC 100
#define SW_NF_ENTRIES_MOST 32 /* looked at */

/*
 * True if nf_nat's own hook is among those of a namespace, given as an address. Chains of nftables
 * may have its priority, but are of another type.
 */
__noinline int sw_nat_looks(__u64 address, int v6)
{
	struct net *net = (void *)address;
	struct nf_hook_entries *entries;
	struct nf_hook_ops *op = NULL;
	__u32 count, i;
	void *ops;

	if (!bpf_core_field_exists(net->nf))
		return 0;
	entries = v6 ? BPF_CORE_READ(net, nf.hooks_ipv6[SW_NF_LOCAL_IN])
		     : BPF_CORE_READ(net, nf.hooks_ipv4[SW_NF_LOCAL_IN]);
	if (!entries)
		return 0;
	count = BPF_CORE_READ(entries, num_hook_entries);
	ops = (void *)entries + bpf_core_field_offset(entries->hooks) +
	      count * bpf_core_type_size(struct nf_hook_entry);
	for (i = 0; i < SW_NF_ENTRIES_MOST && i < count; i++) {
		if (bpf_probe_read_kernel(&op, sizeof(op), ops + i * sizeof(op)) || !op)
			return 0;
		if (BPF_CORE_READ(op, priority) == SW_NF_PRI_NAT_SRC &&
		    BPF_CORE_READ_BITFIELD_PROBED(op, hook_ops_type) == NF_HOOK_OP_UNDEFINED)
			return 1;
	}
	return 0;
}

#endif
