// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The flood: each run makes one frame out of a prepared one and sends it out of a veth.
 * Run by BPF_PROG_TEST_RUN with live frames, which restores neither content nor more
 * than the length of a used frame: hence the whole of it is written each time.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "flood.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile struct flood_frame frames[FLOOD_FRAMES];
const volatile __u32 frame_count = 1;
const volatile __u32 frame_room; /* bytes: the longest of them, what a run starts with */
const volatile __u32 ifindex;
const volatile __u32 l3_at, l4_at; /* bytes from the frame's start, the same in all */
const volatile __u8 v6;
const volatile __u8 any_port;    /* a random destination port */
const volatile __u16 sport;      /* host order; 0: random in each frame */
const volatile __u8 any_unicast; /* IPv4: any source but 0/8, 127/8 and 224/3 */
const volatile __u8
	partial; /* leave the checksum to a NIC: its field holds the pseudo-header's sum */
const volatile __u64 source[2], source_mask[2]; /* memory order; a mask has the random bits */

const volatile __u64 interval_ns; /* at least so long from frame to frame on average; 0: no limit */

#define CATCH_UP_NS 25000 /* later than this is forgotten: no burst that fills a veth's ring */

__u64 sent;
__u64 due_ns;       /* CLOCK_MONOTONIC, when the next frame may leave */
__u64 random_state; /* seeded by user space */

struct random_part {
	__u32 ports; /* memory order: source port, destination port */
	__u32 seq, ack, tsecr;
	__u64 source_sum;
};

/*
 * splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
 * 2014): bpf_get_prandom_u32() takes 25 ns here, a frame needs up to eight of it.
 */
static __always_inline __u64 random64(void)
{
	__u64 z = random_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

static __always_inline __u32 source_v4(__u32 r)
{
	__u32 first = r & 0xff;

	if (!any_unicast)
		return (__u32)source[0] | (r & (__u32)source_mask[0]);
	/* The first octet from 222 of them: 1 to 126 and 128 to 223. */
	first = 1 + (first * 222 >> 8);
	return (r & ~0xffU) | (first + (first >= 127));
}

static __always_inline int copy_frame(struct xdp_md *ctx, const volatile struct flood_frame *f)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 length = f->length < FLOOD_FRAME_MAX ? f->length : FLOOD_FRAME_MAX, i;
	void *last;

	for (i = 0; i < FLOOD_FRAME_MAX / 8; i++) {
		if (i * 8 + 8 > length || data + i * 8 + 8 > end)
			break;
		*(__u64 *)(data + i * 8) = ((const volatile __u64 *)f->byte)[i];
	}
	/* The last word again overlaps the one before: no length needs a tail of bytes. */
	i = (length - 8) & (FLOOD_FRAME_MAX - 1);
	last = data + i;
	if (i > FLOOD_FRAME_MAX - 8 || last + 8 > end)
		return -1;
	*(__u64 *)last = *(const volatile __u64 *)(f->byte + i);
	return 0;
}

static __always_inline int write_ip(struct xdp_md *ctx, const volatile struct flood_frame *f,
				    struct random_part *r)
{
	void *ip = (void *)(long)ctx->data + l3_at, *end = (void *)(long)ctx->data_end;

	if (ip + 24 > end)
		return -1;
	if (v6) {
		__u64 hi = source[0], lo = source[1];

		if (source_mask[0])
			hi |= random64() & source_mask[0];
		if (source_mask[1])
			lo |= random64() & source_mask[1];
		*(__u64 *)(ip + 8) = hi;
		*(__u64 *)(ip + 16) = lo;
		r->source_sum = (hi & 0xffffffff) + (hi >> 32) + (lo & 0xffffffff) + (lo >> 32);
	} else {
		__u32 saddr = source_v4((__u32)random64());

		*(__u32 *)(ip + 12) = saddr;
		*(__u16 *)(ip + 10) = ~fold((__u64)f->ip_sum + saddr);
		r->source_sum = saddr;
	}
	return 0;
}

static __always_inline __u32 random_ports(__u32 r)
{
	__u16 from = sport ? sport : 1024 + ((r >> 16) * (65536 - 1024) >> 16);

	return bpf_htonl((__u32)from << 16 | (any_port ? r & 0xffff : 0));
}

static __always_inline int write_l4(struct xdp_md *ctx, const volatile struct flood_frame *f,
				    struct random_part *r)
{
	void *l4 = (void *)(long)ctx->data + l4_at, *end = (void *)(long)ctx->data_end, *field;
	__u64 random = random64(), more;
	__u16 csum;

	if (l4 + 20 > end) /* UDP is made as long */
		return -1;
	r->ports = random_ports((__u32)random);
	*(__u16 *)l4 = (__u16)r->ports;
	if (any_port)
		*(__u16 *)(l4 + 2) = (__u16)(r->ports >> 16);
	if (f->tcp) {
		r->seq = random >> 32;
		*(__u32 *)(l4 + 4) = r->seq;
	}
	if (f->random_ack) {
		more = random64();
		r->ack = more;
		*(__u32 *)(l4 + 8) = r->ack;
		field = l4 + (f->tsecr_at & 63);
		if (field + 4 > end)
			return -1;
		if (f->tsecr_at) {
			r->tsecr = more >> 32;
			*(__u32 *)field = r->tsecr;
		}
	}

	if (partial)
		csum = fold(f->l4_sum + r->source_sum);
	else
		csum = ~fold(f->l4_sum + r->source_sum + r->ports + r->seq + r->ack + r->tsecr);
	if (!csum && !f->tcp) /* RFC 768: 0 would say there is none */
		csum = 0xffff;
	field = l4 + (f->csum_at & 31);
	if (field + 2 > end)
		return -1;
	*(__u16 *)field = csum;
	return 0;
}

/* The even flood: a run whose time has not come drops its frame, and that is the waiting. */
static __always_inline int is_early(void)
{
	__u64 now = bpf_ktime_get_ns();

	if (now < due_ns)
		return 1;
	if (now - due_ns > CATCH_UP_NS)
		due_ns = now - CATCH_UP_NS;
	due_ns += interval_ns;
	return 0;
}

SEC("xdp")
int flood(struct xdp_md *ctx)
{
	__u32 which = frame_count == 1 ? 0 : (__u32)(random64() >> 32) % frame_count;
	const volatile struct flood_frame *f = &frames[which & (FLOOD_FRAMES - 1)];
	struct random_part r = {};

	if (interval_ns && is_early())
		return XDP_DROP;
	if (f->length < frame_room && bpf_xdp_adjust_tail(ctx, f->length - frame_room))
		return XDP_ABORTED;
	if (copy_frame(ctx, f) || write_ip(ctx, f, &r) || write_l4(ctx, f, &r))
		return XDP_ABORTED;
	sent++;
	return bpf_redirect(ifindex, 0);
}
