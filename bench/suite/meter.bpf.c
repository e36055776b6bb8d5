// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What the meter measures with: the flood's frames given straight to an XDP program, or
 * sent out of a veth; the bare programs that are the floor; what waits for the answers.
 */
#include "../flood.bpf.c" /* its frames, and what writes them */

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#define CPUS_MOST 256

const volatile __u8 as_is;     /* the frame is complete: nothing random goes in */
const volatile __u32 seq_step; /* as_is: what its TCP sequence number goes up by each time */
__u32 seq_added;
__u32 out_ifindex;
__u64 written; /* frames */
__u64 came_back[CPUS_MOST];

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} measured SEC(".maps");

/* The next segment of a stream of such: TCP in IPv4 without options. */
static __always_inline int advance(struct xdp_md *ctx)
{
	struct tcphdr *tcp = (void *)(long)ctx->data + ETH_HLEN + sizeof(struct iphdr);
	__u32 from;

	if ((void *)(tcp + 1) > (void *)(long)ctx->data_end)
		return -1;
	from = tcp->seq;
	seq_added += seq_step;
	tcp->seq = bpf_htonl(bpf_ntohl(from) + seq_added);
	tcp->check = ~fold((__u64)(__u16)~tcp->check + (__u32)~from + tcp->seq);
	return 0;
}

static __always_inline int write_frame(struct xdp_md *ctx)
{
	__u32 which = frame_count == 1 ? 0 : (__u32)(random64() >> 32) % frame_count;
	const volatile struct flood_frame *f = &frames[which & (FLOOD_FRAMES - 1)];
	struct random_part r = {};
	int have = ctx->data_end - ctx->data;

	/* Also where the length is right: whoever changed it must not be charged for this call. */
	if (bpf_xdp_adjust_tail(ctx, (int)f->length - have) || copy_frame(ctx, f))
		return -1;
	if (as_is ? seq_step && advance(ctx) : write_ip(ctx, f, &r) || write_l4(ctx, f, &r))
		return -1;
	/*
	 * A locked instruction empties the store buffer. Without it a program that reads a
	 * field wider than it was written here waits for it, which no frame of a NIC's does.
	 */
	__sync_fetch_and_add(&written, 1);
	return 0;
}

/* .frags, as synward's: the kernel tail-calls only from like to like. */
SEC("xdp.frags")
int replay(struct xdp_md *ctx)
{
	if (!write_frame(ctx))
		bpf_tail_call(ctx, &measured, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int live(struct xdp_md *ctx)
{
	return write_frame(ctx) ? XDP_ABORTED : bpf_redirect(out_ifindex, 0);
}

SEC("xdp.frags")
int bare_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp.frags")
int bare_tx(struct xdp_md *ctx)
{
	return XDP_TX;
}

SEC("xdp.frags")
int bare_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* The flood's end of the wire: answers end here, as they do somewhere in the Internet. */
SEC("xdp.frags")
int sink(struct xdp_md *ctx)
{
	came_back[bpf_get_smp_processor_id() & (CPUS_MOST - 1)]++;
	return XDP_DROP;
}

#define FORGED_NET 0xc6120000 /* 198.18.0.0/15 */
#define FORGED_MASK 0xfffe0000
#define LOADER_NET 0x0a400000 /* 10.64.0.0/10 */
#define LOADER_MASK 0xffc00000

/* The IPv4 header of a TCP segment without IP options, or NULL. */
static __always_inline struct iphdr *tcp_in_ipv4(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;

	if ((void *)(ip + 1) + sizeof(struct tcphdr) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return NULL;
	return ip->ihl == 5 && ip->protocol == IPPROTO_TCP ? ip : NULL;
}

/* The same end where real clients live beside the forged ones. */
SEC("xdp.frags")
int sieve(struct xdp_md *ctx)
{
	struct iphdr *ip = tcp_in_ipv4(ctx);

	if (ip && (bpf_ntohl(ip->daddr) & FORGED_MASK) == FORGED_NET)
		return XDP_DROP;
	return XDP_PASS;
}

#define TSTAMP_WORD bpf_htonl(0x0101080a) /* NOP, NOP, timestamps, 10 bytes */

struct segment {
	struct iphdr ip;
	struct tcphdr tcp;
	__be32 tstamp[3];
} __attribute__((packed, aligned(2)));

/* TSval and TSecr of a SYN-ACK; false if it has none. */
static __always_inline int read_tstamp(struct xdp_md *ctx, __be32 ret[2])
{
	void *end = (void *)(long)ctx->data_end;
	__u8 *option =
		(void *)(long)ctx->data + ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr);

	for (int i = 0; i < 20; i++) {
		if ((void *)(option + 10) > end || !option[0])
			return 0;
		if (option[0] == 8) {
			__builtin_memcpy(ret, option + 2, 8);
			return 1;
		}
		option += option[0] == 1 ? 1 : option[1] & 63;
	}
	return 0;
}

static __always_inline __u32 sum_words(const void *at, int bytes)
{
	const __u16 *word = at;
	__u32 sum = 0;

	for (int i = 0; i < bytes / 2; i++)
		sum += word[i];
	return sum;
}

/* Turns the frame into a segment back to its sender; timestamps if ts is given. */
static __always_inline int send_back(struct xdp_md *ctx, const struct segment *reply, int bytes)
{
	int have = ctx->data_end - ctx->data;
	__u16 mac[3], *eth;
	void *at;

	if (bpf_xdp_adjust_tail(ctx, ETH_HLEN + bytes - have))
		return XDP_DROP;
	eth = (void *)(long)ctx->data;
	at = eth + ETH_HLEN / 2;
	if (at + bytes > (void *)(long)ctx->data_end)
		return XDP_DROP;
	__builtin_memcpy(mac, eth, 6);
	__builtin_memcpy(eth, eth + 3, 6);
	__builtin_memcpy(eth + 3, mac, 6);
	__builtin_memcpy(at, reply, bytes);
	return XDP_TX;
}

/*
 * The load client: it answers each SYN-ACK with the ACK made from it, and the FIN of the
 * server, which accepts and closes, with a RST. So it has no state and the server keeps none.
 */
SEC("xdp.frags")
int answer(struct xdp_md *ctx)
{
	struct iphdr *ip = tcp_in_ipv4(ctx);
	struct segment s = {};
	struct tcphdr *tcp;
	int bytes = sizeof(s.ip) + sizeof(s.tcp);
	__be32 tstamp[2];

	if (!ip || (bpf_ntohl(ip->daddr) & LOADER_MASK) != LOADER_NET)
		return ip && (bpf_ntohl(ip->daddr) & FORGED_MASK) == FORGED_NET ? XDP_DROP
										: XDP_PASS;
	tcp = (void *)(ip + 1);
	if (tcp->rst || !(tcp->syn || tcp->fin))
		return XDP_DROP;
	s.ip = (struct iphdr){.version = 4,
			      .ihl = 5,
			      .ttl = 64,
			      .frag_off = bpf_htons(0x4000),
			      .protocol = IPPROTO_TCP,
			      .saddr = ip->daddr,
			      .daddr = ip->saddr};
	s.tcp.source = tcp->dest;
	s.tcp.dest = tcp->source;
	s.tcp.seq = tcp->ack_seq;
	s.tcp.ack_seq = bpf_htonl(bpf_ntohl(tcp->seq) + 1);
	s.tcp.ack = 1;
	s.tcp.rst = tcp->fin;
	s.tcp.window = bpf_htons(502);
	if (tcp->syn && read_tstamp(ctx, tstamp)) {
		bytes += sizeof(s.tstamp);
		s.tstamp[0] = TSTAMP_WORD;
		s.tstamp[1] = tstamp[1];
		s.tstamp[2] = tstamp[0];
	}
	s.tcp.doff = (bytes - sizeof(s.ip)) / 4;
	s.ip.tot_len = bpf_htons(bytes);
	s.ip.check = ~fold(sum_words(&s.ip, sizeof(s.ip)));
	s.tcp.check = ~fold(sum_words(&s.ip.saddr, sizeof(s.tcp) + sizeof(s.tstamp) + 8) +
			    bpf_htons(IPPROTO_TCP) + bpf_htons(bytes - sizeof(s.ip)));
	if (bytes == sizeof(s))
		return send_back(ctx, &s, sizeof(s));
	return send_back(ctx, &s, sizeof(s.ip) + sizeof(s.tcp));
}
