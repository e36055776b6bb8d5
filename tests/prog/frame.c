// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>
#include <arpa/inet.h>

#include "frame.h"

static const __u8 client_mac[6] = { 2, 0, 0, 0, 0, 2 }, server_mac[6] = { 2, 0, 0, 0, 0, 1 };

__u16 be16(const __u8 *at)
{
	return (__u16)(at[0] << 8 | at[1]);
}

__u32 be32(const __u8 *at)
{
	return (__u32)be16(at) << 16 | be16(at + 2);
}

static void put16(__u8 *at, __u32 value)
{
	at[0] = (__u8)(value >> 8);
	at[1] = (__u8)value;
}

static void put32(__u8 *at, __u32 value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

struct in6_addr address(const char *text)
{
	struct in6_addr a = {};

	if (inet_pton(AF_INET6, text, &a) == 1)
		return a;
	a.s6_addr[10] = a.s6_addr[11] = 0xff;
	inet_pton(AF_INET, text, a.s6_addr + 12);
	return a;
}

/* RFC 1071, byte by byte: nothing in common with headers/checksum.h. */
static __u32 add_bytes(__u32 sum, const __u8 *at, __u32 length)
{
	for (__u32 i = 0; i < length; i++) {
		sum += i & 1 ? at[i] : (__u32)at[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static __u32 add_pseudo(const __u8 *ip, __u32 l4_length)
{
	__u8 tail[8] = {};
	__u32 sum;

	put32(tail, l4_length);
	tail[7] = IPPROTO_TCP;
	sum = ip[0] >> 4 == 6 ? add_bytes(0, ip + 8, 32) : add_bytes(0, ip + 12, 8);
	return add_bytes(sum, tail, 8);
}

static __u32 l4_length_of(const struct frame *f)
{
	const __u8 *ip = f->byte + f->l3;
	__u32 end = ip[0] >> 4 == 6 ? f->l3 + 40 + be16(ip + 4) : f->l3 + be16(ip + 2);

	if (end > f->length)
		end = f->length;
	return end > f->l4 ? end - f->l4 : 0;
}

static void set_checksums(struct frame *f, enum checksum ip_kind, enum checksum tcp_kind)
{
	__u8 *ip = f->byte + f->l3, *tcp = f->byte + f->l4;
	__u32 l4_length = l4_length_of(f), sum;

	if (f->l4 + 20U > f->length)
		return;
	if (ip[0] >> 4 == 4) {
		put16(ip + 10, 0);
		sum = ~add_bytes(0, ip, f->l4 - f->l3) & 0xffff;
		put16(ip + 10, ip_kind == CHECKSUM_WRONG ? sum ^ 0x0100 : sum);
	}
	put16(tcp + 16, 0);
	sum = add_pseudo(ip, l4_length);
	if (tcp_kind != CHECKSUM_PARTIAL)
		sum = ~add_bytes(sum, tcp, l4_length) & 0xffff;
	put16(tcp + 16, tcp_kind == CHECKSUM_WRONG ? sum ^ 0x0100 : sum);
}

void frame_fix(struct frame *f)
{
	set_checksums(f, CHECKSUM_RIGHT, CHECKSUM_RIGHT);
}

static __u8 *put(struct frame *f, const void *from, __u32 length)
{
	__u8 *at = f->byte + f->length;

	if (from)
		memcpy(at, from, length);
	else
		memset(at, 0, length);
	f->length += length;
	return at;
}

static void put_ethernet(struct frame *f, const struct segment *s)
{
	__u16 proto = s->v6 ? 0x86dd : 0x0800;
	__u8 *at;

	put(f, server_mac, 6);
	put(f, client_mac, 6);
	at = put(f, NULL, 2);
	for (int i = 0; i < 2 && s->tag[i].proto; i++) {
		put16(at, s->tag[i].proto);
		at = put(f, NULL, 4);
		put16(at, s->tag[i].tci);
		at += 2;
	}
	put16(at, proto);
	f->l3 = (__u16)f->length;
}

static void put_ipv4(struct frame *f, const struct segment *s, __u32 l4_length)
{
	struct in6_addr from = address(s->from ?: CLIENT), to = address(s->to ?: SERVER);
	__u8 *ip = put(f, NULL, 20);

	put(f, s->ip_options.at, s->ip_options.length);
	ip[0] = (__u8)(0x45 + s->ip_options.length / 4);
	ip[1] = s->tos;
	put16(ip + 2, 20 + s->ip_options.length + l4_length);
	put16(ip + 4, 0xbeef);
	put16(ip + 6, s->fragment);
	ip[8] = 57;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, from.s6_addr + 12, 4);
	memcpy(ip + 16, to.s6_addr + 12, 4);
}

static void put_ipv6(struct frame *f, const struct segment *s, __u32 l4_length)
{
	struct in6_addr from = address(s->from ?: CLIENT6), to = address(s->to ?: SERVER6);
	__u8 *ip = put(f, NULL, 40);
	__u8 *next = ip + 6;

	put32(ip, 6U << 28 | (__u32)s->tos << 20 | 0xabcde);
	ip[7] = 57;
	memcpy(ip + 8, &from, 16);
	memcpy(ip + 24, &to, 16);
	for (int i = 0; i < s->extensions; i++) {
		__u8 *ext = put(f, NULL, 8);

		*next = s->extension[i];
		next = ext;
		if (*next = 0, s->extension[i] == IPPROTO_FRAGMENT) {
			put16(ext + 2, s->fragment);
			continue;
		}
		ext[1] = s->extension_length;
		put(f, NULL, s->extension_length * 8U);
		if (s->extension[i] == IPPROTO_ROUTING)
			ext[2] = 4, ext[3] = s->segments_left;
		else /* PadN up to what one can pad, then Pad1s */
			ext[2] = 1, ext[3] = 4;
	}
	*next = IPPROTO_TCP;
	put16(ip + 4, f->length - f->l3 - 40 + l4_length);
}

struct frame frame_of(const struct segment *s)
{
	__u32 options = (s->options.length + 3) / 4 * 4;
	struct frame f;
	__u8 *tcp;

	f.length = f.linear = f.meta = 0;
	put_ethernet(&f, s);
	if (s->v6)
		put_ipv6(&f, s, 20 + options + s->data.length);
	else
		put_ipv4(&f, s, 20 + options + s->data.length);
	f.l4 = (__u16)f.length;
	tcp = put(&f, NULL, 20);
	put16(tcp, s->sport ?: CLIENT_PORT);
	put16(tcp + 2, s->dport ?: SERVER_PORT);
	put32(tcp + 4, s->seq ?: CLIENT_ISN);
	put32(tcp + 8, s->ack);
	tcp[12] = (__u8)((5 + options / 4) << 4);
	tcp[13] = s->flags;
	put16(tcp + 14, 64240);
	memcpy(put(&f, NULL, options), s->options.at ?: "", s->options.length);
	put(&f, s->data.at, s->data.length);
	set_checksums(&f, s->ip_checksum, s->tcp_checksum);
	return f.length < s->pad_to ? frame_resized(&f, s->pad_to) : f;
}

struct frame frame_with(const struct frame *f, __u32 l4_at, __u8 value)
{
	struct frame changed = *f;

	changed.byte[f->l4 + l4_at] = value;
	frame_fix(&changed);
	return changed;
}

struct frame frame_resized(const struct frame *f, __u32 length)
{
	struct frame resized = *f;

	if (length > f->length)
		memset(resized.byte + f->length, 0xa5, length - f->length);
	resized.length = length;
	return resized;
}

/* Down to TCP; false with s->wrong set. */
static bool read_ip(const struct frame *f, struct seen *s, __u32 *l3, __u32 *l4)
{
	const __u8 *ip;
	__u32 proto, next;

	memcpy(s->dest, f->byte, 6);
	memcpy(s->source, f->byte + 6, 6);
	proto = be16(f->byte + 12);
	for (*l3 = 14; (proto == 0x8100 || proto == 0x88a8) && s->tags < 2; *l3 += 4) {
		s->tag[s->tags++] = (struct tag){ (__u16)proto, be16(f->byte + *l3) };
		proto = be16(f->byte + *l3 + 2);
	}
	ip = f->byte + *l3;
	s->v6 = proto == 0x86dd;
	if (s->v6) {
		if (*l3 + 40 > f->length || ip[0] >> 4 != 6)
			return s->wrong = "no IPv6 header", false;
		s->from = *(const struct in6_addr *)(ip + 8);
		s->to = *(const struct in6_addr *)(ip + 24);
		s->ttl = ip[7];
		s->tos = (__u8)(be16(ip) >> 4);
		s->ip_length = (__u16)(40 + be16(ip + 4));
		next = ip[6];
		for (*l4 = *l3 + 40; next != IPPROTO_TCP && *l4 + 8 <= f->length;) {
			const __u8 *ext = f->byte + *l4;

			if (next == IPPROTO_FRAGMENT) {
				s->fragment |= be16(ext + 2) & 0xfff9;
				*l4 += 8;
			} else if (next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS ||
				   next == IPPROTO_ROUTING) {
				*l4 += 8 + ext[1] * 8U;
			} else {
				break;
			}
			next = ext[0];
		}
		if (next != IPPROTO_TCP)
			return s->wrong = "not TCP", false;
		return true;
	}
	if (proto != 0x0800 || *l3 + 20 > f->length || ip[0] >> 4 != 4 || (ip[0] & 15) < 5)
		return s->wrong = "no IPv4 header", false;
	s->from = s->to = address("0.0.0.0");
	memcpy(s->from.s6_addr + 12, ip + 12, 4);
	memcpy(s->to.s6_addr + 12, ip + 16, 4);
	s->ttl = ip[8];
	s->tos = ip[1];
	s->ip_id = be16(ip + 4);
	s->fragment = be16(ip + 6);
	s->ip_length = be16(ip + 2);
	*l4 = *l3 + (ip[0] & 15) * 4;
	if (ip[9] != IPPROTO_TCP)
		return s->wrong = "not TCP", false;
	if (*l4 > f->length || add_bytes(0, ip, *l4 - *l3) != 0xffff)
		s->wrong = "IP checksum";
	return true;
}

struct seen frame_read(const struct frame *f)
{
	struct seen s = {};
	__u32 l3, l4, end, header;
	const __u8 *tcp = f->byte;

	if (f->length < 14)
		return s.wrong = "no Ethernet header", s;
	if (!read_ip(f, &s, &l3, &l4))
		return s;
	if (l4 + 20 > f->length)
		return s.wrong = "TCP header cut", s;
	tcp += l4;
	s.sport = be16(tcp);
	s.dport = be16(tcp + 2);
	s.seq = be32(tcp + 4);
	s.ack = be32(tcp + 8);
	s.flags = tcp[13];
	s.window = be16(tcp + 14);
	s.urgent = be16(tcp + 18);
	end = l3 + s.ip_length;
	if (end > f->length || l4 + 20 > end)
		return s.wrong = "IP length", s;
	header = (tcp[12] >> 4) * 4;
	if (header < 20 || l4 + header > end)
		return s.wrong = "TCP data offset", s;
	s.options_length = header - 20;
	memcpy(s.option, tcp + 20, s.options_length);
	s.data_length = end - l4 - header;
	s.trailer = f->byte + end;
	s.trailer_length = f->length - end;
	s.tcp_checksum_partial = be16(tcp + 16) == add_pseudo(f->byte + l3, end - l4);
	if (!s.wrong && add_bytes(add_pseudo(f->byte + l3, end - l4), tcp, end - l4) != 0xffff)
		s.wrong = "TCP checksum";
	return s;
}

const __u8 *seen_option(const struct seen *s, __u8 kind, __u32 *ret_length)
{
	__u32 at = 0;

	while (at < s->options_length && s->option[at]) {
		if (s->option[at] == 1) {
			at++;
			continue;
		}
		if (s->option[at] == kind) {
			*ret_length = s->option[at + 1] - 2;
			return s->option + at + 2;
		}
		if (at + 1 >= s->options_length || s->option[at + 1] < 2)
			break;
		at += s->option[at + 1];
	}
	return NULL;
}
