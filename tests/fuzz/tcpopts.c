// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Any bytes as TCP options: reading ends, moves forward only, never looks behind the last
 * byte, and finds nothing that does not stand there.
 */
#include "fuzz.h"

/* True if kind and size stand somewhere in the options, whole, and value behind them. */
static int stands(const __u8 *data, __u32 length, __u8 kind, __u8 size, __u64 value)
{
	__u32 at, i;

	for (at = 0; at + size <= length; at++) {
		__u64 found = 0;

		for (i = 2; i < size; i++)
			found = found << 8 | data[at + i];
		if (data[at] == kind && data[at + 1] == size && found == value)
			return 1;
	}
	return 0;
}

static int scale_stands(const __u8 *data, __u32 length, __u8 wscale)
{
	__u32 shift;

	for (shift = wscale; shift < (wscale == SW_WSCALE_MAX ? 256U : wscale + 1U); shift++)
		if (stands(data, length, SW_TCPOPT_WSCALE, 3, shift))
			return 1;
	return 0;
}

static void check_by_words(const __u8 *data, __u32 length, const struct sw_tcpopts *by_bytes)
{
	struct sw_tcpopts by_words;
	struct sw_optwords w;

	memset(&w, 0xa5, sizeof(w));
	memcpy(&w, data, length < sizeof(w) ? length : sizeof(w));
	if (sw_options_words(&w, (int)length / 4, &by_words))
		MUST(same_options(&by_words, by_bytes));
}

static void check_written(const struct sw_tcpopts *opts)
{
	struct sw_tcpopts ours = *opts, back;
	__u32 word[5], words;

	ours.flags &= SW_OPT_SACK | SW_OPT_TSTAMP;
	words = sw_tcpopts_write(word, &ours);
	MUST(words >= 1 && words <= 5);
	back = read_options((const __u8 *)word, words * 4, 0xff);
	MUST(same_options(&ours, &back));
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	__u32 length = size < SW_TCPOPT_MAX ? (__u32)size : SW_TCPOPT_MAX;
	struct sw_tcpopts opts = read_options(data, length, 0), again;
	static const int rests[] = {1, 2, 3, 4, 8, 10, 255};
	size_t i;

	for (i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
		again = read_options(data, length, rests[i]);
		MUST(same_options(&opts, &again));
	}

	MUST(!(opts.flags & ~(SW_OPT_SACK | SW_OPT_TSTAMP | SW_OPT_SIGNED)));
	MUST(opts.wscale <= SW_WSCALE_NONE);
	if (opts.mss)
		MUST(stands(data, length, SW_TCPOPT_MSS, 4, opts.mss));
	if (opts.wscale != SW_WSCALE_NONE)
		MUST(scale_stands(data, length, opts.wscale));
	if (opts.flags & SW_OPT_SACK)
		MUST(stands(data, length, SW_TCPOPT_SACK_PERM, 2, 0));
	if (opts.flags & SW_OPT_TSTAMP)
		MUST(stands(data, length, SW_TCPOPT_TSTAMP, 10,
			    (__u64)opts.tsval << 32 | opts.tsecr));
	else
		MUST(opts.tsval == 0 && opts.tsecr == 0);
	if (opts.flags & SW_OPT_SIGNED)
		MUST(memchr(data, SW_TCPOPT_MD5, length) || memchr(data, SW_TCPOPT_AO, length));

	if (length % 4 == 0)
		check_by_words(data, length, &opts);
	check_written(&opts);
	return 0;
}
