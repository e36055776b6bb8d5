// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>

#include "pcapng.h"

#define SECTION_HEADER 0x0a0d0d0a
#define INTERFACE_DESCRIPTION 1
#define ENHANCED_PACKET 6
#define BYTE_ORDER_MAGIC 0x1a2b3c4d
#define LENGTH_UNKNOWN (~0ULL)
#define LINKTYPE_ETHERNET 1

#define OPTION_END 0
#define OPTION_COMMENT 1
#define OPTION_USER_APPLICATION 4 /* of a section header */
#define OPTION_IF_NAME 2
#define OPTION_IF_TSRESOL 9
#define OPTION_PACKET_FLAGS 2

#define NANOSECONDS 9 /* 10^-9 s */
#define INBOUND 1
#define OUTBOUND 2

/* A block is put together in memory: its length stands at both ends. */
struct block {
	__u32 length;
	__u8 byte[2048];
};

static void put(struct block *b, const void *data, __u32 length)
{
	__u32 padding = -length & 3;

	if (b->length + length + padding > sizeof(b->byte))
		return;
	if (length)
		memcpy(b->byte + b->length, data, length);
	memset(b->byte + b->length + length, 0, padding);
	b->length += length + padding;
}

static void put_u32(struct block *b, __u32 value)
{
	put(b, &value, sizeof(value));
}

static void put_option(struct block *b, __u16 code, const void *data, __u16 length)
{
	__u16 head[2] = {code, length};

	put(b, head, sizeof(head));
	put(b, data, length);
}

static void put_text(struct block *b, __u16 code, const char *text)
{
	put_option(b, code, text, (__u16)strnlen(text, 512));
}

static int write_block(FILE *f, __u32 type, const struct block *b)
{
	__u32 length = b->length + 12, head[2] = {type, length};

	if (fwrite(head, sizeof(head), 1, f) != 1 || fwrite(b->byte, b->length, 1, f) != 1 ||
	    fwrite(&length, sizeof(length), 1, f) != 1)
		return errno ? -errno : -EIO;
	return 0;
}

int pcapng_begin(FILE *f, const char *ifname)
{
	struct block section = {}, interface = {};
	__u64 unknown = LENGTH_UNKNOWN;
	__u16 version[2] = {1, 0}, link[2] = {LINKTYPE_ETHERNET, 0};
	__u8 resolution = NANOSECONDS;
	int err;

	put_u32(&section, BYTE_ORDER_MAGIC);
	put(&section, version, sizeof(version));
	put(&section, &unknown, sizeof(unknown));
	put_text(&section, OPTION_USER_APPLICATION, "synward " SW_VERSION);
	put_option(&section, OPTION_END, NULL, 0);
	err = write_block(f, SECTION_HEADER, &section);
	if (err)
		return err;
	put(&interface, link, sizeof(link));
	put_u32(&interface, SW_TRACE_FRAME_MAX);
	put_text(&interface, OPTION_IF_NAME, ifname);
	put_option(&interface, OPTION_IF_TSRESOL, &resolution, sizeof(resolution));
	put_option(&interface, OPTION_END, NULL, 0);
	return write_block(f, INTERFACE_DESCRIPTION, &interface);
}

int pcapng_put(FILE *f, const struct segment *s, const char *comment)
{
	__u32 direction = s->origin == SEGMENT_CLIENT ? INBOUND : OUTBOUND;
	struct block b = {};

	put_u32(&b, 0); /* of the interface */
	put_u32(&b, (__u32)(s->time_ns >> 32));
	put_u32(&b, (__u32)s->time_ns);
	put_u32(&b, s->captured);
	put_u32(&b, s->length);
	put(&b, s->frame, s->captured);
	put_text(&b, OPTION_COMMENT, comment);
	put_option(&b, OPTION_PACKET_FLAGS, &direction, sizeof(direction));
	put_option(&b, OPTION_END, NULL, 0);
	return write_block(f, ENHANCED_PACKET, &b);
}
