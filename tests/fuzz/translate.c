// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Any bytes as a segment of any flow: its checksum stays right, nothing changes but what
 * is to be translated, a timestamp alone comes out the same by either way, and where the
 * server has all options one way and back is the identity.
 */
#include "fuzz.h"
#include "../unit/translated.h"

#define FLOW_BYTES 24

static struct sw_flow flow_of(const __u8 *data)
{
	struct sw_flow f = {0};

	memcpy(&f.seq_delta, data, 4);
	memcpy(&f.ts_delta, data + 4, 4);
	f.client_wscale = data[8] & 15;
	f.told_wscale = data[9] % 15;
	f.server_wscale = data[10] & 15;
	f.flags = data[11];
	return f;
}

static struct segment segment_of(const __u8 *data, size_t size)
{
	struct segment s = {{0}, 0, 0};

	s.length = (__u32)(size < sizeof(s.word) ? size : sizeof(s.word)) & ~3U;
	memcpy(s.word, data, s.length);
	s.header = (s.word[3] & 0xf0) >> 2;
	if (s.header < 20 || s.header > s.length) {
		s.header = 20;
		s.word[3] = (s.word[3] & ~0xf0U) | 5 << 4;
	}
	segment_finish(&s);
	return s;
}

static void check_back(const struct sw_flow *f, enum sw_way way, const struct segment *was)
{
	struct sw_flow there = *f, back;
	struct segment s = *was;

	there.flags |= SW_FF_SERVER_SACK | SW_FF_SERVER_TSTAMP;
	there.server_wscale = there.told_wscale;
	there.client_wscale = 0;
	back = there;
	back.seq_delta = -there.seq_delta;
	back.ts_delta = -there.ts_delta;
	translate_segment(&there, way, &s, 1);
	translate_segment(&back, way, &s, 0);
	/* 0 and 0xffff are the same checksum. */
	if (s.word[4] != was->word[4])
		segment_finish(&s);
	MUST(!memcmp(s.word, was->word, s.length));
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct segment was, slow, fast;
	enum sw_way way;
	struct sw_flow f;

	if (size < FLOW_BYTES + 20)
		return 0;
	f = flow_of(data);
	way = data[12] & 1 ? SW_TO_CLIENT : SW_TO_SERVER;
	was = segment_of(data + FLOW_BYTES, size - FLOW_BYTES);
	slow = fast = was;
	translate_segment(&f, way, &slow, 0);
	MUST(segment_sum(&slow) == 0xffff);
	MUST(slow.word[0] == was.word[0]);
	MUST(slow.word[way == SW_TO_SERVER ? 1 : 2] == was.word[way == SW_TO_SERVER ? 1 : 2]);
	MUST((slow.word[3] & 0xffff) == (was.word[3] & 0xffff)); /* data offset and flags */
	MUST(!memcmp((__u8 *)slow.word + was.header, (__u8 *)was.word + was.header,
		     was.length - was.header));
	if (way == SW_TO_CLIENT || f.flags & SW_FF_SERVER_TSTAMP) {
		translate_segment(&f, way, &fast, 1);
		MUST(!memcmp(fast.word, slow.word, slow.length));
	}
	check_back(&f, way, &was);
	return 0;
}
