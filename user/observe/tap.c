// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define RECEIVE_BYTES (4 << 20)
#define IPV4_FRAGMENT 0x1fff

#define LOAD_BYTE(at) BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at)
#define LOAD_HALF(at) BPF_STMT(BPF_LD | BPF_H | BPF_ABS, at)
#define LOAD_WORD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at)
#define IF_EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define AND(mask) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask)

struct code {
	struct sock_filter line[64];
	unsigned short length;
};

static void put(struct code *c, struct sock_filter line)
{
	c->line[c->length++] = line;
}

/* What was loaded must be that value, or the frame is of no interest. */
static void put_must(struct code *c, __u32 value)
{
	put(c, (struct sock_filter)IF_EQUAL(value, 1, 0));
	put(c, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0));
}

/* 4 bytes of the destination; words of struct sw_tuple are the wire's bytes in memory order. */
static void put_address(struct code *c, __u32 at, __u32 addr, __u32 mask)
{
	if (!mask)
		return;
	put(c, (struct sock_filter)LOAD_WORD(at));
	put(c, (struct sock_filter)AND(ntohl(mask)));
	put_must(c, ntohl(addr));
}

static void put_source_port(struct code *c, __u32 port)
{
	if (port)
		put_must(c, port);
	put(c, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SW_TRACE_FRAME_MAX));
}

static void put_ipv4(struct code *c, const struct sw_trace_filter *f)
{
	put(c, (struct sock_filter)LOAD_BYTE(ETHER_HDR_LEN + 9));
	put_must(c, IPPROTO_TCP);
	put(c, (struct sock_filter)LOAD_HALF(ETHER_HDR_LEN + 6));
	put(c, (struct sock_filter)AND(IPV4_FRAGMENT));
	put_must(c, 0);
	put_address(c, ETHER_HDR_LEN + 16, (__u32)f->addr_lo, (__u32)f->mask_lo);
	put(c, (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, ETHER_HDR_LEN));
	put(c, (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_IND, ETHER_HDR_LEN));
	put_source_port(c, f->port);
}

/* The kernel's TCP sends no extension headers unless an application asks for them. */
static void put_ipv6(struct code *c, const struct sw_trace_filter *f)
{
	put(c, (struct sock_filter)LOAD_BYTE(ETHER_HDR_LEN + 6));
	put_must(c, IPPROTO_TCP);
	put_address(c, ETHER_HDR_LEN + 24, (__u32)f->addr_hi, (__u32)f->mask_hi);
	put_address(c, ETHER_HDR_LEN + 28, (__u32)(f->addr_hi >> 32), (__u32)(f->mask_hi >> 32));
	put_address(c, ETHER_HDR_LEN + 32, (__u32)f->addr_lo, (__u32)f->mask_lo);
	put_address(c, ETHER_HDR_LEN + 36, (__u32)(f->addr_lo >> 32), (__u32)(f->mask_lo >> 32));
	put(c, (struct sock_filter)LOAD_HALF(ETHER_HDR_LEN + 40));
	put_source_port(c, f->port);
}

static void put_family(struct code *c, __u32 type, const struct sw_trace_filter *f,
		       void (*put_rest)(struct code *, const struct sw_trace_filter *))
{
	unsigned short jump;

	put(c, (struct sock_filter)LOAD_HALF(12));
	jump = c->length;
	put(c, (struct sock_filter)IF_EQUAL(type, 0, 0));
	put_rest(c, f);
	c->line[jump].jf = (__u8)(c->length - jump - 1);
}

static void write_filter(struct code *c, const struct sw_trace_filter *f)
{
	put(c, (struct sock_filter)LOAD_BYTE((__u32)(SKF_AD_OFF + SKF_AD_PKTTYPE)));
	put_must(c, PACKET_OUTGOING);
	if (f->family != 6)
		put_family(c, ETHERTYPE_IP, f, put_ipv4);
	if (f->family != 4)
		put_family(c, ETHERTYPE_IPV6, f, put_ipv6);
	put(c, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0));
}

static int set_up(int fd, const struct guard *g, const struct sw_trace_filter *filter)
{
	struct sockaddr_ll where = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)g->ifindex,
	};
	struct code code = {};
	struct sock_fprog program = {.filter = code.line};
	int bytes = RECEIVE_BYTES, on = 1;

	write_filter(&code, filter);
	program.len = code.length;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&where, sizeof(where)))
		return -errno;
	return 0;
}

int tap_open(const struct guard *g, const struct sw_trace_filter *filter, struct why *why)
{
	/* Protocol 0: nothing comes before the filter is there. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	err = fd < 0 ? -errno : set_up(fd, g, filter);
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	return why_is(why, err, "cannot listen to what it sends: %s", strerror(-err));
}

static __u64 stamp_ns(struct msghdr *msg)
{
	struct cmsghdr *c;
	struct timespec t;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
			memcpy(&t, CMSG_DATA(c), sizeof(t));
			return t.tv_sec * 1000000000ULL + t.tv_nsec;
		}
	}
	return 0;
}

int tap_read(int fd, struct segment *ret)
{
	char control[CMSG_SPACE(sizeof(struct timespec))];
	struct iovec io = {.iov_base = ret->frame, .iov_len = sizeof(ret->frame)};
	struct msghdr msg = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(fd, &msg, 0);

	if (got < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	ret->captured = (__u32)got;
	ret->origin = SEGMENT_KERNEL;
	ret->time_ns = stamp_ns(&msg);
	return segment_read(ret) ? 0 : -ENOMSG;
}

__u32 tap_lost(int fd)
{
	struct tpacket_stats stats;
	socklen_t size = sizeof(stats);

	return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) ? 0 : stats.tp_drops;
}
