// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "segment.h"

#define TAG_BYTES 4
#define TAGS_MOST 2
#define TAG_8021AD 0x88a8
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define IPV6_EXTENSIONS_MOST 6
#define TCP_HEADER 20

#define TCP_SEQ 4 /* where fields of the header are, bytes */
#define TCP_ACK 8
#define TCP_OFFSET 12
#define TCP_FLAGS 13
#define TCP_WINDOW 14

struct reader {
	const struct segment *s;
	__u32 at;  /* bytes from the frame's start */
	__u32 end; /* of the IP packet, by its header */
};

static __u32 be(const struct segment *s, __u32 at, int bytes)
{
	__u32 value = 0;

	while (bytes--)
		value = value << 8 | s->frame[at++];
	return value;
}

static bool has(const struct reader *r, __u32 bytes)
{
	return r->at + bytes <= r->s->captured;
}

/* The EtherType, with r->at behind it; 0: cut. */
static __u16 read_link(struct reader *r)
{
	__u16 type;
	int tags;

	r->at = ETHER_HDR_LEN;
	if (!has(r, 0))
		return 0;
	type = (__u16)be(r->s, r->at - 2, 2);
	for (tags = 0; tags < TAGS_MOST && (type == ETHERTYPE_VLAN || type == TAG_8021AD); tags++) {
		r->at += TAG_BYTES;
		if (!has(r, 0))
			return 0;
		type = (__u16)be(r->s, r->at - 2, 2);
	}
	return type;
}

static void put_addresses(struct segment *s, __u32 source, __u32 destination, __u32 bytes)
{
	bool in = s->origin == SEGMENT_CLIENT;

	memset(s->client, 0, sizeof(s->client));
	memset(s->server, 0, sizeof(s->server));
	memcpy(s->client, s->frame + (in ? source : destination), bytes);
	memcpy(s->server, s->frame + (in ? destination : source), bytes);
}

static bool read_ipv4(struct reader *r, struct segment *s)
{
	__u32 ip = r->at, length;

	if (!has(r, IPV4_HEADER) || s->frame[ip + 9] != IPPROTO_TCP)
		return false;
	length = (s->frame[ip] & 15) * 4;
	if (length < IPV4_HEADER)
		return false;
	r->end = ip + be(s, ip + 2, 2);
	r->at += length;
	s->family = AF_INET;
	put_addresses(s, ip + 12, ip + 16, 4);
	return true;
}

static bool read_ipv6(struct reader *r, struct segment *s)
{
	__u32 ip = r->at, size;
	__u8 next;
	int i;

	if (!has(r, IPV6_HEADER))
		return false;
	r->end = ip + IPV6_HEADER + be(s, ip + 4, 2);
	r->at += IPV6_HEADER;
	next = s->frame[ip + 6];
	for (i = 0; i < IPV6_EXTENSIONS_MOST && next != IPPROTO_TCP; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT)
			return false;
		if (!has(r, 8))
			return false;
		size = next == IPPROTO_FRAGMENT ? 8 : 8 + s->frame[r->at + 1] * 8;
		next = s->frame[r->at];
		r->at += size;
	}
	s->family = AF_INET6;
	put_addresses(s, ip + 8, ip + 24, 16);
	return next == IPPROTO_TCP;
}

static void read_options(struct reader *r, struct segment *s, __u32 length)
{
	struct sw_optread read;

	if (!has(r, length))
		length = s->captured - r->at;
	memset(&read, 0, sizeof(read));
	memcpy(read.buf.byte, s->frame + r->at, length);
	sw_optread_all(&read, length);
	s->options = read.opts;
}

static bool read_tcp(struct reader *r, struct segment *s)
{
	__u32 tcp = r->at, header;
	__u16 source, destination;
	bool in = s->origin == SEGMENT_CLIENT;

	if (!has(r, TCP_HEADER))
		return false;
	source = (__u16)be(s, tcp, 2);
	destination = (__u16)be(s, tcp + 2, 2);
	s->client_port = in ? source : destination;
	s->server_port = in ? destination : source;
	s->seq = be(s, tcp + TCP_SEQ, 4);
	s->ack = be(s, tcp + TCP_ACK, 4);
	s->flags = s->frame[tcp + TCP_FLAGS];
	s->window = (__u16)be(s, tcp + TCP_WINDOW, 2);
	header = (s->frame[tcp + TCP_OFFSET] >> 4) * 4;
	s->payload = header >= TCP_HEADER && r->end > tcp + header ? r->end - tcp - header : 0;
	r->at += TCP_HEADER;
	read_options(r, s, header > TCP_HEADER ? header - TCP_HEADER : 0);
	s->length = r->end > s->captured ? r->end : s->captured;
	return true;
}

bool segment_read(struct segment *s)
{
	struct reader r = {.s = s};
	bool ip;

	switch (read_link(&r)) {
	case ETHERTYPE_IP:
		ip = read_ipv4(&r, s);
		break;
	case ETHERTYPE_IPV6:
		ip = read_ipv6(&r, s);
		break;
	default:
		return false;
	}
	return ip && read_tcp(&r, s);
}

void segment_flags(__u8 flags, char text[SEGMENT_FLAGS_TEXT])
{
	static const struct {
		__u8 bit;
		const char *name;
	} names[] = {
		{SEGMENT_SYN, "SYN"}, {SEGMENT_FIN, "FIN"}, {SEGMENT_RST, "RST"},
		{SEGMENT_PSH, "PSH"}, {SEGMENT_ACK, "ACK"}, {SEGMENT_URG, "URG"},
		{SEGMENT_ECE, "ECE"}, {SEGMENT_CWR, "CWR"},
	};
	size_t i;

	text[0] = '\0';
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (flags & names[i].bit) {
			strcat(text, text[0] ? " " : "");
			strcat(text, names[i].name);
		}
	}
	if (!text[0])
		strcpy(text, "none");
}

void segment_end(const struct segment *s, bool client, char text[SEGMENT_END_TEXT])
{
	char address[INET6_ADDRSTRLEN];

	inet_ntop(s->family, client ? s->client : s->server, address, sizeof(address));
	snprintf(text, SEGMENT_END_TEXT, s->family == AF_INET6 ? "[%s]:%u" : "%s:%u", address,
		 client ? s->client_port : s->server_port);
}
