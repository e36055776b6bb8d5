/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A TCP segment translated as the packet path does it, for the unit tests and the fuzzer. */
#ifndef SYNWARD_TRANSLATED_H
#define SYNWARD_TRANSLATED_H

#include <string.h>

#include "translate.h"

/* Header of up to 60 bytes, then data; the pseudo-header counts as part of the data here. */
struct segment {
	__u32 word[32];
	__u32 header, length; /* bytes, multiples of 4 */
};

static inline __u16 segment_sum(const struct segment *s)
{
	__u64 sum = 0;
	__u32 i;

	for (i = 0; i < s->length / 4; i++)
		sum += s->word[i];
	return sw_csum_fold(sum);
}

static inline void segment_finish(struct segment *s)
{
	__u16 *check = (__u16 *)&s->word[4];

	*check = 0;
	*check = (__u16)~segment_sum(s);
}

static inline __u64 translate_any_options(const struct sw_flow *f, enum sw_way way,
					  struct segment *s)
{
	struct sw_optwrite w;
	__u64 change = 0;
	__u32 length = s->header - 20, i, to;
	int steps = 0;

	memset(&w, 0xa5, sizeof(w));
	memcpy(w.buf.byte, &s->word[5], length);
	sw_optwrite_start(&w, length);
	while (steps++ < SW_OPTWRITE_STEPS && !sw_optwrite_step(f, way, &w))
		;
	for (i = 0; i < length / 4; i++) {
		memcpy(&to, w.buf.byte + 4 * i, 4);
		change += sw_sum_change(s->word[5 + i], to);
		s->word[5 + i] = to;
	}
	return change;
}

/* fast: the way of a segment whose only option is a timestamp, where it is one. */
static inline void translate_segment(const struct sw_flow *f, enum sw_way way, struct segment *s,
				     int fast)
{
	__u16 *check = (__u16 *)&s->word[4];
	__u64 change;

	if (fast && s->header == 32 && s->word[5] == __builtin_bswap32(SW_OPTWORD_NOPS_TS))
		change = sw_translate_tstamp(f, way, &s->word[6]);
	else
		change = translate_any_options(f, way, s);
	change += sw_translate_header(f, way, s->word);
	*check = sw_csum_change(*check, change);
}

#endif
