// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "translated.h"

#define ROUNDS 20000

static struct sw_flow answered_flow(__u64 *state, __u8 client_wscale, __u8 told_wscale,
				    struct sw_answer *a)
{
	struct sw_flow f = {
		.client_isn = (__u32)random_u64(state),
		.cookie = (__u32)random_u64(state),
		.ts_told = (__u32)random_u64(state),
		.client_wscale = client_wscale,
		.told_wscale = told_wscale,
		.server_wscale = SW_WSCALE_NONE,
		.flags = SW_FF_SACK | SW_FF_TSTAMP,
	};

	a->isn = (__u32)random_u64(state);
	a->tsval = (__u32)random_u64(state);
	a->flags = SW_OPT_SACK | SW_OPT_TSTAMP;
	sw_flow_answered(&f, a);
	return f;
}

static struct sw_flow same_scale_flow(__u64 *state)
{
	__u8 told = (__u8)random_below(state, SW_WSCALE_MAX + 1);
	struct sw_answer a = {.wscale = told};

	return answered_flow(state, (__u8)random_below(state, SW_WSCALE_MAX + 1), told, &a);
}

static __u32 host(__u32 word)
{
	return __builtin_bswap32(word);
}

static struct segment random_segment(__u64 *state, __u8 flags, __u32 options)
{
	struct segment s = {.header = 20 + options,
			    .length = 20 + options + 4 * random_below(state, 10)};
	__u32 i;

	for (i = 0; i < s.length / 4; i++)
		s.word[i] = (__u32)random_u64(state);
	s.word[3] = host((s.header / 4) << 28 | (__u32)flags << 16 | random_below(state, 65536));
	return s;
}

static void put_tstamp(struct segment *s, __u32 tsval, __u32 tsecr)
{
	s->word[5] = host(SW_OPTWORD_NOPS_TS);
	s->word[6] = host(tsval);
	s->word[7] = host(tsecr);
}

/* NOP NOP SACK of so many edges, at that word. */
static void put_sack(struct segment *s, __u32 at, __u32 edges, __u64 *state)
{
	__u32 i;

	s->word[at] = host(0x01010000 | SW_TCPOPT_SACK << 8 | (2 + 4 * edges));
	for (i = 0; i < edges; i++)
		s->word[at + 1 + i] = (__u32)random_u64(state);
}

Test(translate, leaves_the_checksum_right_both_ways)
{
	__u64 state = 1;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct sw_answer a = {.wscale = (__u8)random_below(&state, 16)};
		struct sw_flow f = answered_flow(&state, (__u8)random_below(&state, 16),
						 (__u8)random_below(&state, 15), &a);
		struct segment s = random_segment(&state, 0x10, i & 1 ? 12 : 32);

		put_tstamp(&s, (__u32)random_u64(&state), (__u32)random_u64(&state));
		if (!(i & 1))
			put_sack(&s, 8, 4, &state);
		segment_finish(&s);
		translate_segment(&f, i & 2 ? SW_TO_CLIENT : SW_TO_SERVER, &s, i & 4);
		cr_assert_eq(segment_sum(&s), 0xffff, "round %d", i);
	}
}

Test(translate, one_way_and_back_is_the_identity)
{
	__u64 state = 2;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct sw_flow f = same_scale_flow(&state), back = f;
		struct segment s = random_segment(&state, 0x10, 12), was;

		/* Whoever counts the other way round. */
		back.seq_delta = -f.seq_delta;
		back.ts_delta = -f.ts_delta;
		put_tstamp(&s, (__u32)random_u64(&state), (__u32)random_u64(&state));
		segment_finish(&s);
		was = s;
		translate_segment(&f, SW_TO_CLIENT, &s, i & 1);
		translate_segment(&back, SW_TO_CLIENT, &s, i & 2);
		cr_assert_arr_eq(s.word, was.word, s.length, "to the client, round %d", i);
		translate_segment(&f, SW_TO_SERVER, &s, i & 1);
		translate_segment(&back, SW_TO_SERVER, &s, i & 2);
		cr_assert_arr_eq(s.word, was.word, s.length, "to the server, round %d", i);
	}
}

Test(translate, what_the_client_echoes_is_what_the_server_sent)
{
	__u64 state = 3;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct sw_flow f = same_scale_flow(&state);
		struct segment out = random_segment(&state, 0x10, 12),
			       in = random_segment(&state, 0x10, 32);
		__u32 seq = host(out.word[1]), tsval = (__u32)random_u64(&state);

		put_tstamp(&out, tsval, 0);
		translate_segment(&f, SW_TO_CLIENT, &out, i & 1);
		/* The client acknowledges it, reports two holes around it, and echoes its time. */
		in.word[2] = out.word[1];
		put_tstamp(&in, 7, host(out.word[6]));
		put_sack(&in, 8, 4, &state);
		in.word[9] = in.word[12] = out.word[1];
		translate_segment(&f, SW_TO_SERVER, &in, 0);
		cr_assert_eq(host(in.word[2]), seq);
		cr_assert_eq(host(in.word[9]), seq);
		cr_assert_eq(host(in.word[12]), seq);
		cr_assert_eq(host(in.word[7]), tsval);
		cr_assert_eq(host(in.word[6]), 7);
	}
}

Test(translate, touches_nothing_else)
{
	__u64 state = 4;
	struct sw_flow f = same_scale_flow(&state);
	struct segment s = random_segment(&state, 0x18, 12), was;

	put_tstamp(&s, 1, 2);
	was = s;
	translate_segment(&f, SW_TO_SERVER, &s, 1);
	cr_assert_eq(s.word[0], was.word[0]);
	cr_assert_eq(s.word[1], was.word[1], "the client's own number");
	cr_assert_eq(s.word[3], was.word[3]);
	cr_assert_eq(s.word[6], was.word[6], "the client's own time");
	cr_assert_eq(s.word[4] >> 16, was.word[4] >> 16, "the urgent pointer");
	was = s;
	translate_segment(&f, SW_TO_CLIENT, &s, 1);
	cr_assert_eq(s.word[2], was.word[2],
		     "what the server acknowledges is in the client's numbers");
	cr_assert_eq(s.word[7], was.word[7]);
}

Test(translate, windows_never_promise_more_than_was_meant)
{
	int from, to, i;

	for (from = 0; from <= SW_WSCALE_MAX; from++) {
		for (to = 0; to <= SW_WSCALE_MAX; to++) {
			for (i = 0; i < 65536; i += i < 64 ? 1 : 61) {
				__u64 meant = (__u64)i << from,
				      told = (__u64)sw_rescale((__u16)i, from, to) << to;
				__u64 largest = 65535ULL << to;

				if (meant && meant < 1ULL << to)
					cr_assert_eq(told, 1ULL << to, "open stays open");
				else if (meant > largest)
					cr_assert_eq(told, largest);
				else
					cr_assert(told <= meant && meant - told < 1ULL << to);
			}
		}
	}
}

Test(translate, a_server_without_scaling_reads_windows_as_they_are)
{
	__u64 state = 5;
	struct sw_answer a = {.wscale = SW_WSCALE_NONE};
	struct sw_flow f = answered_flow(&state, 7, 10, &a);

	cr_assert_eq(sw_window_to_server(&f, 100), 12800);
	cr_assert_eq(sw_window_to_server(&f, 65535), 65535);
	cr_assert_eq(sw_window_to_client(&f, 5840), 5);
	cr_assert_eq(sw_window_to_client(&f, 0), 0);
}

Test(translate, a_client_without_scaling_gets_none)
{
	__u64 state = 6;
	struct sw_answer a = {.wscale = 9};
	struct sw_flow f = answered_flow(&state, SW_WSCALE_NONE, 0, &a);

	cr_assert_eq(f.server_wscale, SW_WSCALE_NONE, "the SYN did not offer it");
	cr_assert_eq(sw_window_to_client(&f, 4000), 4000);
	cr_assert_eq(sw_window_to_server(&f, 4000), 4000);
}

Test(translate, options_the_server_lacks_become_nops)
{
	__u64 state = 7;
	struct sw_answer a = {.wscale = 7};
	struct sw_flow f = answered_flow(&state, 7, 7, &a);
	struct segment s = random_segment(&state, 0x10, 32);
	__u32 i;

	f.flags &= ~(SW_FF_SERVER_SACK | SW_FF_SERVER_TSTAMP);
	put_tstamp(&s, 1, 2);
	put_sack(&s, 8, 4, &state);
	segment_finish(&s);
	translate_segment(&f, SW_TO_SERVER, &s, 0);
	for (i = 5; i < 13; i++)
		cr_assert_eq(s.word[i], SW_OPTWORD_NOPS, "word %u", i);
	cr_assert_eq(segment_sum(&s), 0xffff);
}

Test(translate, the_clock_the_client_sees_goes_on_from_the_syn_ack)
{
	__u64 state = 8;
	struct sw_answer a = {.wscale = 7};
	struct sw_flow f = answered_flow(&state, 7, 7, &a);

	cr_assert_eq(a.tsval + f.ts_delta, f.ts_told);
	cr_assert_eq(a.isn + f.seq_delta, f.cookie);
}

Test(translate, what_the_client_did_not_offer_the_server_has_not)
{
	struct sw_answer a = {.flags = SW_OPT_SACK | SW_OPT_TSTAMP | SW_OPT_ECN, .tsval = 99};
	struct sw_flow f = {.ts_told = 7};

	sw_flow_answered(&f, &a);
	cr_assert_eq(f.flags, SW_FF_ANSWERED);
	cr_assert_eq(f.ts_delta, 0);
}
