/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Frames as prose: a segment described by the fields that matter becomes bytes, and bytes a segment. */
#ifndef SYNWARD_TESTS_FRAME_H
#define SYNWARD_TESTS_FRAME_H

#include <stdbool.h>
#include <linux/types.h>
#include <netinet/in.h>

#define CLIENT	     "192.0.2.2"
#define SERVER	     "192.0.2.1"
#define CLIENT6	     "2001:db8::2"
#define SERVER6	     "2001:db8::1"
#define CLIENT_PORT  40000
#define SERVER_PORT  80 /* listens */
#define CLOSED_PORT  81
#define CLIENT_ISN   0x12345678U
#define CLIENT_TSVAL 0x01020304U

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10
#define URG 0x20
#define ECE 0x40
#define CWR 0x80

struct bytes {
	const void *at;
	__u32 length;
};
#define BYTES(...) \
	((struct bytes){ (const __u8[]){ __VA_ARGS__ }, sizeof((const __u8[]){ __VA_ARGS__ }) })

/* The options of SYNs as stacks send them; TSval is CLIENT_TSVAL. */
#define OPT_MSS(mss)   2, 4, (mss) >> 8, (mss) & 255
#define OPT_WSCALE(w)  3, 3, (w)
#define OPT_SACK       4, 2
#define OPT_TS	       8, 10, 1, 2, 3, 4, 0, 0, 0, 0
#define OPT_NOP	       1
#define LINUX_OPTIONS(mss)   BYTES(OPT_MSS(mss), OPT_SACK, OPT_TS, OPT_NOP, OPT_WSCALE(7))
#define WINDOWS_OPTIONS(mss) BYTES(OPT_MSS(mss), OPT_NOP, OPT_WSCALE(8), OPT_NOP, OPT_NOP, OPT_SACK)
#define MACOS_OPTIONS(mss)                                                                    \
	BYTES(OPT_MSS(mss), OPT_NOP, OPT_WSCALE(6), OPT_NOP, OPT_NOP, OPT_TS, OPT_SACK, 0, 0)
#define FREEBSD_OPTIONS(mss) BYTES(OPT_MSS(mss), OPT_NOP, OPT_WSCALE(6), OPT_SACK, OPT_TS)
#define BARE_OPTIONS	     ((struct bytes){})

enum checksum {
	CHECKSUM_RIGHT = 0,
	CHECKSUM_WRONG,
	CHECKSUM_PARTIAL, /* the pseudo-header's sum alone: veth and virtio */
};

struct tag {
	__u16 proto, tci; /* host order */
};

/* What is left 0 gets a sensible value: client to server, SERVER_PORT, TTL 64, a checksum that is right. */
struct segment {
	bool v6;
	const char *from, *to;
	__u16 sport, dport;
	__u32 seq, ack;
	__u8 flags;
	struct bytes options; /* padded with 0 to whole words */
	struct bytes data;
	enum checksum tcp_checksum, ip_checksum;
	__u8 tos;
	struct bytes ip_options; /* IPv4, whole words */
	__u16 fragment;		 /* IPv4: flags and offset; IPv6: of an extension 44 */
	__u8 extensions;	 /* IPv6: how many, by type */
	__u8 extension[8];
	__u8 extension_length; /* in 8 bytes, beyond the first 8 */
	__u8 segments_left;
	struct tag tag[2];
	__u32 pad_to; /* bytes of frame, filled with 0xa5 */
};

#define FRAME_MAX 9216

struct frame {
	__u32 length;
	__u16 l3, l4;  /* offsets of the headers */
	__u32 linear;  /* bytes in the first buffer; 0: all */
	__u32 meta;    /* bytes of metadata already in front */
	__u8 byte[FRAME_MAX];
};

struct frame frame_of(const struct segment *s);
#define FRAME(...) frame_of(&(struct segment){ __VA_ARGS__ })

/* The same frame with a byte of its TCP header changed, checksums as they should be. */
struct frame frame_with(const struct frame *f, __u32 l4_at, __u8 value);
/* Both checksums made right again, over what the IP header says is there. */
void frame_fix(struct frame *f);
/* The same frame, cut off or filled up with 0xa5. */
struct frame frame_resized(const struct frame *f, __u32 length);

/* A frame read by somebody who has never seen the BPF code. */
struct seen {
	const char *wrong; /* NULL, or what is: not a whole TCP segment, a checksum ... */
	__u8 dest[6], source[6];
	__u32 tags;
	struct tag tag[2];
	bool v6;
	struct in6_addr from, to; /* IPv4: mapped */
	__u8 ttl, tos;
	__u16 ip_id, fragment;
	__u16 ip_length; /* of the packet */
	__u16 sport, dport;
	__u32 seq, ack;
	__u8 flags;
	__u16 window, urgent;
	__u32 options_length;
	__u8 option[40];
	__u32 data_length;
	__u32 trailer_length; /* behind the IP packet */
	const __u8 *trailer;
	bool tcp_checksum_partial;
};

struct seen frame_read(const struct frame *f);

/* An option of a segment: its body, or NULL; *ret_length without kind and size. */
const __u8 *seen_option(const struct seen *s, __u8 kind, __u32 *ret_length);
__u32 be32(const __u8 *at);
__u16 be16(const __u8 *at);
struct in6_addr address(const char *text);

#endif
