// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <string.h>

#include "frame.h"

#define UDP_PAYLOAD 18 /* bytes: 60 with an Ethernet header, the least that a wire carries */
#define EXT_BYTES 8

/* As these systems send them today; Ethernet's MSS. */
const struct tcp_options tcp_options[] = {
	{"linux", 64240, 20, {2,    4, 5, 180, 4, 2, 8, 10, 0x5a, 0x17,
			      0x33, 1, 0, 0,   0, 0, 1, 3,  3,    7}},
	{"windows", 64240, 12, {2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2}},
	{"macos", 65535, 24, {2,    4,    5,    180, 1, 3, 3, 6, 1, 1, 8, 10,
			      0x5a, 0x17, 0x33, 1,   0, 0, 0, 0, 4, 2, 0, 0}},
	{"bare", 65535, 0, {}},
	/* The two that cost a parser most: a step for each byte, and options to be passed over. */
	{"nops", 65535, 40, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
			     1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
	{"unknown", 65535, 36, {2,   4, 5,   180, 200, 2, 201, 2, 202, 2, 203, 2,
				204, 2, 205, 2,   206, 2, 207, 2, 208, 2, 209, 2,
				210, 2, 211, 2,   212, 2, 213, 2, 214, 2, 215, 2}},
	{},
};

const struct frame_kind frame_kinds[] = {
	{"syn", TH_SYN, false, ALL_OPTIONS},
	{"ack", TH_ACK, false, TSTAMP_ONLY},
	{"synack", TH_SYN | TH_ACK, false, ALL_OPTIONS},
	{"rst", TH_RST, false, NO_OPTIONS},
	{"fin", TH_FIN | TH_ACK, false, TSTAMP_ONLY},
	{"synfin", TH_SYN | TH_FIN, false, ALL_OPTIONS},
	{"null", 0, false, NO_OPTIONS},
	{"udp", 0, true, NO_OPTIONS},
	{},
};

_Static_assert(sizeof(frame_kinds) / sizeof(*frame_kinds) - 1 <= FLOOD_FRAMES, "mixed needs all");
_Static_assert(18 + 40 + FRAME_IPV6_EXT_MAX * EXT_BYTES + 60 <= FLOOD_FRAME_MAX,
	       "the longest frame");

unsigned int frame_l3_at(const struct frame_spec *spec)
{
	return ETHER_HDR_LEN + (spec->vlan ? 4 : 0);
}

unsigned int frame_l4_at(const struct frame_spec *spec)
{
	if (!spec->v6)
		return frame_l3_at(spec) + sizeof(struct iphdr);
	return frame_l3_at(spec) + sizeof(struct ip6_hdr) + spec->ipv6_ext * EXT_BYTES;
}

/* In words as memory holds them; bytes is even. */
static uint32_t sum16(const void *data, size_t bytes)
{
	const uint8_t *byte = data;
	uint32_t sum = 0;
	uint16_t word;

	for (size_t i = 0; i < bytes; i += 2) {
		memcpy(&word, byte + i, 2);
		sum += word;
	}
	return sum;
}

static uint8_t *put_be16(uint8_t *at, uint16_t value)
{
	*at++ = value >> 8;
	*at++ = value & 0xff;
	return at;
}

static void build_ethernet(const struct frame_spec *spec, uint8_t *frame)
{
	uint8_t *at = frame + 2 * ETHER_ADDR_LEN;

	memcpy(frame, &spec->dst_mac, ETHER_ADDR_LEN);
	memcpy(frame + ETHER_ADDR_LEN, &spec->src_mac, ETHER_ADDR_LEN);
	if (spec->vlan) {
		at = put_be16(at, ETHERTYPE_VLAN);
		at = put_be16(at, spec->vlan);
	}
	put_be16(at, spec->v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
}

static void build_ipv4(const struct frame_spec *spec, struct flood_frame *f, uint8_t proto,
		       size_t l4_bytes)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(ip) + l4_bytes),
		.frag_off = htons(IP_DF),
		.ttl = 64,
		.protocol = proto,
	};

	memcpy(&ip.daddr, &spec->to, sizeof(ip.daddr));
	memcpy(f->byte + frame_l3_at(spec), &ip, sizeof(ip));
	f->ip_sum = sum16(&ip, sizeof(ip)) + (spec->checksum == CHECKSUM_BAD_IP);
}

static void build_ipv6(const struct frame_spec *spec, struct flood_frame *f, uint8_t proto,
		       size_t l4_bytes)
{
	/* Next header, length 0, PadN of six bytes. */
	static const uint8_t ext[EXT_BYTES] = {0, 0, 1, 4};
	uint8_t *at = f->byte + frame_l3_at(spec);
	struct ip6_hdr ip = {
		.ip6_flow = htonl(6U << 28),
		.ip6_plen = htons(spec->ipv6_ext * EXT_BYTES + l4_bytes),
		.ip6_nxt = spec->ipv6_ext ? IPPROTO_DSTOPTS : proto,
		.ip6_hlim = 64,
		.ip6_dst = spec->to,
	};

	memcpy(at, &ip, sizeof(ip));
	at += sizeof(ip);
	for (unsigned int i = 0; i < spec->ipv6_ext; i++, at += EXT_BYTES) {
		memcpy(at, ext, EXT_BYTES);
		at[0] = i + 1 < spec->ipv6_ext ? IPPROTO_DSTOPTS : proto;
	}
}

static size_t options_length(const struct tcp_options *options, const struct frame_kind *kind)
{
	if (kind->carries == ALL_OPTIONS)
		return options->length;
	/* RFC 7323 3.2: once agreed on, timestamps are in each segment. */
	if (kind->carries == TSTAMP_ONLY && (options->length == 20 || options->length == 24))
		return 12;
	return 0;
}

static size_t tsecr_at(const uint8_t *option, size_t length)
{
	for (size_t i = 0; i < length && option[i]; i += option[i] == 1 ? 1 : option[i + 1])
		if (option[i] == 8)
			return i + 6;
	return 0;
}

static size_t build_tcp(const struct frame_spec *spec, const struct frame_kind *kind,
			struct flood_frame *f)
{
	static const uint8_t tstamp_only[12] = {1, 1, 8, 10, 0x5a, 0x17, 0x33, 1};
	uint8_t *at = f->byte + frame_l4_at(spec), *option = at + sizeof(struct tcphdr);
	size_t length = options_length(spec->options, kind), tsecr;
	struct tcphdr tcp = {
		.th_dport = htons(spec->port),
		.th_off = (sizeof(tcp) + length) / 4,
		.th_flags = kind->tcp_flags,
		.th_win = htons(kind->tcp_flags & TH_RST ? 0 : spec->options->window),
	};

	memcpy(at, &tcp, sizeof(tcp));
	memcpy(option, kind->carries == ALL_OPTIONS ? spec->options->byte : tstamp_only, length);
	if (kind->carries == ALL_OPTIONS && spec->v6 && option[0] == 2)
		put_be16(option + 2, 1440);

	f->tcp = 1;
	f->random_ack = !!(kind->tcp_flags & TH_ACK);
	tsecr = tsecr_at(option, length);
	if (f->random_ack && tsecr)
		f->tsecr_at = sizeof(tcp) + tsecr;
	f->csum_at = offsetof(struct tcphdr, th_sum);
	return sizeof(tcp) + length;
}

static size_t build_udp(const struct frame_spec *spec, struct flood_frame *f)
{
	struct udphdr udp = {
		.uh_dport = htons(spec->port),
		.uh_ulen = htons(sizeof(udp) + UDP_PAYLOAD),
	};

	memcpy(f->byte + frame_l4_at(spec), &udp, sizeof(udp));
	f->csum_at = offsetof(struct udphdr, uh_sum);
	return sizeof(udp) + UDP_PAYLOAD;
}

static uint32_t l4_sum(const struct frame_spec *spec, const struct flood_frame *f, uint8_t proto,
		       size_t l4_bytes)
{
	uint32_t sum = sum16(&spec->to, spec->v6 ? 16 : 4) + htons(proto) + htons(l4_bytes);

	if (spec->checksum != CHECKSUM_TO_NIC)
		sum += sum16(f->byte + frame_l4_at(spec), l4_bytes);
	return sum + (spec->checksum == CHECKSUM_BAD);
}

void frame_build(const struct frame_spec *spec, const struct frame_kind *kind,
		 struct flood_frame *ret)
{
	uint8_t proto = kind->udp ? IPPROTO_UDP : IPPROTO_TCP;
	size_t l4_bytes;

	memset(ret, 0, sizeof(*ret));
	build_ethernet(spec, ret->byte);
	l4_bytes = kind->udp ? build_udp(spec, ret) : build_tcp(spec, kind, ret);
	if (spec->v6)
		build_ipv6(spec, ret, proto, l4_bytes);
	else
		build_ipv4(spec, ret, proto, l4_bytes);
	ret->l4_sum = l4_sum(spec, ret, proto, l4_bytes);
	ret->length = frame_l4_at(spec) + l4_bytes;
	if (ret->length < ETH_ZLEN)
		ret->length = ETH_ZLEN; /* as it comes off a wire */
}
