/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The fields of kernel structures synward reads, and nothing else: CO-RE finds their
 * real offsets in the running kernel's BTF when the program is loaded, so the build
 * needs no BTF of its own. Each struct names the kernel header it stands for.
 */
#ifndef SYNWARD_BPF_KERNEL_H
#define SYNWARD_BPF_KERNEL_H

#include <linux/bpf.h>
#include <linux/in6.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next, *prev;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct hlist_nulls_node {
	struct hlist_nulls_node *next, **pprev;
};

struct hlist_nulls_head {
	struct hlist_nulls_node *first;
};

/* net/if_inet6.h */
struct ipv6_devconf {
	int hop_limit;
	int mtu6;
};

struct inet6_ifaddr {
	struct in6_addr addr;
	__u32 flags;
	struct list_head if_list;
};

struct inet6_dev {
	struct list_head addr_list;
	struct ipv6_devconf cnf;
};

/* linux/inetdevice.h */
struct in_ifaddr {
	struct in_ifaddr *ifa_next;
	__be32 ifa_local;
	__be32 ifa_broadcast;
};

struct in_device {
	struct in_ifaddr *ifa_list;
};

/* net/inet_hashtables.h */
struct inet_ehash_bucket {
	struct hlist_nulls_head chain;
};

struct inet_hashinfo {
	struct inet_ehash_bucket *ehash;
	unsigned int ehash_mask;
};

/* net/netns/ipv4.h */
struct inet_timewait_death_row {
	struct inet_hashinfo *hashinfo;
};

struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
	int sysctl_tcp_rmem[3];
	int sysctl_tcp_adv_win_scale;
	__u8 sysctl_tcp_ecn;
	__u8 sysctl_ip_default_ttl;
	__u8 sysctl_tcp_sack;
	__u8 sysctl_tcp_window_scaling;
	__u8 sysctl_tcp_timestamps;
	__u8 sysctl_tcp_syncookies;
	__u8 sysctl_tcp_workaround_signed_windows;
	__u8 sysctl_tcp_reflect_tos;
};

/* linux/netfilter.h: the entries of a hook, and behind them a pointer for each to what registered it */
typedef unsigned int nf_hookfn;

enum nf_hook_ops_type {
	NF_HOOK_OP_UNDEFINED,
	NF_HOOK_OP_NF_TABLES,
};

struct nf_hook_ops {
	enum nf_hook_ops_type hook_ops_type : 8;
	int priority;
};

struct nf_hook_entry {
	nf_hookfn *hook;
	void *priv;
};

struct nf_hook_entries {
	__u16 num_hook_entries;
	struct nf_hook_entry hooks[];
};

/* net/netns/netfilter.h */
struct netns_nf {
	struct nf_hook_entries *hooks_ipv4[5], *hooks_ipv6[5];
};

/* net/net_namespace.h */
struct net {
	struct list_head dev_base_head;
	struct hlist_head *dev_index_head;
	struct netns_ipv4 ipv4;
	struct netns_nf nf;
};

typedef struct {
	struct net *net;
} possible_net_t;

/* linux/netdevice.h */
struct net_device {
	unsigned int mtu;
	int ifindex;
	struct list_head dev_list;
	struct hlist_node index_hlist;
	struct in_device *ip_ptr;
	struct inet6_dev *ip6_ptr;
	const unsigned char *dev_addr;
	void *rx_handler;
};

/* net/sock.h */
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	struct hlist_nulls_node skc_nulls_node;
};

struct sock {
	struct sock_common __sk_common;
	int sk_rcvbuf;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	__u8 sk_userlocks : 4;
};

/* linux/ipv6.h */
struct ipv6_pinfo {
	__s16 hop_limit; /* a bit field until Linux 6.7 */
	__u8 tclass;
};

/* net/inet_sock.h */
struct inet_sock {
	struct sock sk;
	struct ipv6_pinfo *pinet6;
	__s16 uc_ttl;
	__u8 tos;
};

typedef struct {
	int counter;
} atomic_t;

/* net/request_sock.h */
struct request_sock_queue {
	atomic_t qlen; /* SYN_RECV sockets */
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
};

/* linux/tcp.h */
struct tcp_options_received {
	__u16 user_mss;
};

struct tcp_md5sig_info;
struct tcp_ao_info;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 window_clamp;
	__u8 scaling_ratio; /* Linux 6.6 */
	bool is_mptcp;
	struct tcp_options_received rx_opt;
	struct tcp_md5sig_info *md5sig_info;
	struct tcp_ao_info *ao_info;
};

/* linux/skbuff.h */
struct sk_buff {
	unsigned char *head;
	unsigned int end; /* from head; the shared info lies there */
};

struct skb_shared_info {
	unsigned int gso_type;
};

/* linux/sched.h, linux/nsproxy.h */
struct nsproxy {
	struct net *net_ns;
};

struct task_struct {
	struct nsproxy *nsproxy;
};

#pragma clang attribute pop

/* net/tcp.h: the options of a validated cookie, for bpf_sk_assign_tcp_reqsk(). */
struct bpf_tcp_req_attrs {
	__u32 rcv_tsval;
	__u32 rcv_tsecr;
	__u16 mss;
	__u8 rcv_wscale;
	__u8 snd_wscale;
	__u8 ecn_ok;
	__u8 wscale_ok;
	__u8 sack_ok;
	__u8 tstamp_ok;
	__u8 usec_ts_ok;
	__u8 reserved[3];
};

/*
 * Linux 6.9: net/core/filter.c. 0, or a negative errno if the listener cannot take it. Weak: of the
 * proxy object the programs that do not call it are loaded on older kernels too.
 */
extern int bpf_sk_assign_tcp_reqsk(struct __sk_buff *skb, struct sock *sk,
				   struct bpf_tcp_req_attrs *attrs, int attrs__sz) __ksym __weak;

/* Linux 6.2: the frame as the kernel has it. */
extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;

/* linux/skbuff.h, an enum without a name: segments chained up, each with its header */
#define SW_GSO_FRAGLIST (1U << 18)

/* linux/tcp_states.h */
enum { SW_TCP_TIME_WAIT = 6, SW_TCP_LISTEN = 10, SW_TCP_NEW_SYN_RECV = 12 };

#define SW_AF_INET  2
#define SW_AF_INET6 10

#endif
