// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "tcpopts.h"

/* What a listener would know after tcp_parse_options() of the kernel has read a SYN. */
struct kernel_opts {
	int mss_clamp, wscale_ok, snd_wscale, sack_ok, saw_tstamp, saw_signature;
	__u32 rcv_tsval, rcv_tsecr;
};

/*
 * The kernel's way through the options: a pointer and what is left, kind and size read
 * off in turn. Of all sysctls on, for a SYN.
 */
static struct kernel_opts kernel_parse(const __u8 *ptr, int length)
{
	struct kernel_opts o = {0};

	while (length > 0) {
		int kind = *ptr++, size;

		if (kind == 0)
			break;
		if (kind == 1) {
			length--;
			continue;
		}
		if (length < 2)
			break;
		size = *ptr++;
		if (size < 2 || size > length)
			break;
		if (kind == 2 && size == 4) {
			int mss = ptr[0] << 8 | ptr[1];

			if (mss)
				o.mss_clamp = mss;
		} else if (kind == 3 && size == 3) {
			o.wscale_ok = 1;
			o.snd_wscale = ptr[0] > 14 ? 14 : ptr[0];
		} else if (kind == 4 && size == 2) {
			o.sack_ok = 1;
		} else if (kind == 8 && size == 10) {
			o.saw_tstamp = 1;
			o.rcv_tsval = (__u32)ptr[0] << 24 | ptr[1] << 16 | ptr[2] << 8 | ptr[3];
			o.rcv_tsecr = (__u32)ptr[4] << 24 | ptr[5] << 16 | ptr[6] << 8 | ptr[7];
		} else if (kind == 19 || kind == 29) {
			o.saw_signature = 1;
		}
		ptr += size - 2;
		length -= size;
	}
	return o;
}

static int same(const struct sw_tcpopts *a, const struct sw_tcpopts *b)
{
	return a->mss == b->mss && a->wscale == b->wscale && a->flags == b->flags &&
	       a->tsval == b->tsval && a->tsecr == b->tsecr;
}

/* Reads the way the packet path does. Behind the options stand bytes that must not count. */
static struct sw_tcpopts parse_before(const __u8 *byte, __u32 length, __u8 rest)
{
	struct sw_tcpopts one_by_one = {.wscale = SW_WSCALE_NONE};
	struct sw_optread r;
	__u32 at, next;

	memset(&r.buf, rest, sizeof(r.buf));
	memcpy(r.buf.byte, byte, length);
	sw_optread_all(&r, length);
	for (at = 0; at < length; at = next) {
		next = sw_tcpopt_one(&r.buf, at, length, &one_by_one);
		cr_assert_gt(next, at, "goes forward");
		cr_assert_leq(next, length, "stays inside");
	}
	cr_assert(same(&r.opts, &one_by_one), "reads all of them");
	return r.opts;
}

static struct sw_tcpopts parse(const __u8 *byte, __u32 length)
{
	static const __u8 rest[] = {0, 1, 2, 4, 8, 255};
	struct sw_tcpopts first = parse_before(byte, length, rest[0]);
	unsigned int i;

	for (i = 1; i < sizeof(rest); i++) {
		struct sw_tcpopts again = parse_before(byte, length, rest[i]);

		cr_assert(same(&first, &again), "reads past the end");
	}
	return first;
}

#define PARSE(...) parse((const __u8[]){__VA_ARGS__}, sizeof((const __u8[]){__VA_ARGS__}))

static void check_agrees(const __u8 *byte, __u32 length)
{
	/* On the heap, so that the sanitizer sees the reference stay inside as well. */
	__u8 *copy = malloc(length ? length : 1);
	struct kernel_opts k;
	struct sw_tcpopts o = parse_before(byte, length, byte[0]);

	memcpy(copy, byte, length);
	k = kernel_parse(copy, (int)length);
	free(copy);
	cr_assert_eq(o.mss, k.mss_clamp);
	cr_assert_eq(o.wscale, k.wscale_ok ? k.snd_wscale : SW_WSCALE_NONE);
	cr_assert_eq(!!(o.flags & SW_OPT_SACK), k.sack_ok);
	cr_assert_eq(!!(o.flags & SW_OPT_TSTAMP), k.saw_tstamp);
	cr_assert_eq(!!(o.flags & SW_OPT_SIGNED), k.saw_signature);
	cr_assert_eq(o.flags & SW_OPT_ECN, 0);
	cr_assert_eq(o.tsval, k.rcv_tsval);
	cr_assert_eq(o.tsecr, k.rcv_tsecr);
}

Test(tcpopts, reader_agrees_with_the_kernel_on_random_bytes)
{
	__u64 random = 21;
	int run;

	for (run = 0; run < 100000; run++) {
		__u8 byte[SW_TCPOPT_MAX];
		__u32 length = 4 * random_below(&random, 11), i;

		for (i = 0; i < sizeof(byte); i++)
			byte[i] = (__u8)random_u64(&random);
		check_agrees(byte, length);
	}
}

/* Kinds that mean something and sizes about right reach further than noise does. */
Test(tcpopts, reader_agrees_with_the_kernel_on_nearly_right_options)
{
	static const __u8 kinds[] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 8, 8, 19, 29, 34, 254};
	static const __u8 sizes[] = {2, 2, 4, 4, 3, 3, 2, 2, 10, 10, 0, 1, 18, 16, 40, 255};
	static const __u8 right[256] = {[2] = 4,   [3] = 3,   [4] = 2,  [5] = 10, [8] = 10,
					[19] = 18, [29] = 16, [34] = 4, [254] = 6};
	__u64 random = 22;
	int run;

	for (run = 0; run < 300000; run++) {
		__u8 byte[2 * SW_TCPOPT_MAX];
		__u32 length = random_below(&random, 41), at = 0, i;

		for (i = 0; i < sizeof(byte); i++)
			byte[i] = (__u8)random_u64(&random);
		while (at < length) {
			__u8 kind = kinds[random_below(&random, sizeof(kinds))];
			__u8 size = right[kind];

			byte[at++] = kind;
			if (kind < 2)
				continue;
			if (random_below(&random, 5) == 0)
				size = sizes[random_below(&random, sizeof(sizes))];
			byte[at] = size;
			at += size < 2 || size > 40 ? 1 : size - 1;
		}
		check_agrees(byte, length);
	}
}

Test(tcpopts, reader_agrees_with_the_kernel_on_every_two_bytes_at_every_place_of_the_end)
{
	__u32 kind, size, left;

	for (left = 2; left <= 12; left++) {
		__u8 byte[SW_TCPOPT_MAX];
		__u32 at = SW_TCPOPT_MAX - left;

		for (kind = 0; kind < 256; kind++) {
			for (size = 0; size < 256; size++) {
				memset(byte, SW_TCPOPT_NOP, sizeof(byte));
				byte[at] = (__u8)kind;
				byte[at + 1] = (__u8)size;
				check_agrees(byte, SW_TCPOPT_MAX);
			}
		}
	}
}

Test(tcpopts, nothing_offered_reads_as_nothing)
{
	struct sw_tcpopts o = parse((const __u8[]){0}, 0);

	cr_assert_eq(o.mss, 0);
	cr_assert_eq(o.wscale, SW_WSCALE_NONE);
	cr_assert_eq(o.flags, 0);
	o = PARSE(1, 1, 1, 1);
	cr_assert_eq(o.mss, 0);
	cr_assert_eq(o.wscale, SW_WSCALE_NONE);
	cr_assert_eq(o.flags, 0);
}

Test(tcpopts, everything_a_linux_syn_offers_is_read)
{
	struct sw_tcpopts o = PARSE(2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0x80, 0xff, 0x7f, 0x01, 0x81,
				    0x02, 0x83, 0x04, 1, 3, 3, 7);

	cr_assert_eq(o.mss, 1460);
	cr_assert_eq(o.wscale, 7);
	cr_assert_eq(o.flags, SW_OPT_SACK | SW_OPT_TSTAMP);
	cr_assert_eq(o.tsval, 0x80ff7f01);
	cr_assert_eq(o.tsecr, 0x81028304);
}

Test(tcpopts, an_mss_of_0_is_no_offer)
{
	struct sw_tcpopts o = PARSE(2, 4, 0, 0);

	cr_assert_eq(o.mss, 0);
	o = PARSE(2, 4, 5, 0xb4, 2, 4, 0, 0);
	cr_assert_eq(o.mss, 1460);
}

Test(tcpopts, of_two_the_last_counts)
{
	struct sw_tcpopts o = PARSE(2, 4, 5, 0xb4, 3, 3, 7, 2, 4, 2, 0x18, 3, 3, 2);

	cr_assert_eq(o.mss, 536);
	cr_assert_eq(o.wscale, 2);
	o = PARSE(8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 8, 10, 0, 0, 0, 3, 0, 0, 0, 4);
	cr_assert_eq(o.tsval, 3);
	cr_assert_eq(o.tsecr, 4);
}

Test(tcpopts, a_size_of_0_or_1_ends_the_list)
{
	struct sw_tcpopts o = PARSE(2, 4, 5, 0xb4, 77, 0, 4, 2);

	cr_assert_eq(o.mss, 1460);
	cr_assert_eq(o.flags, 0);
	o = PARSE(77, 1, 4, 2);
	cr_assert_eq(o.flags, 0);
	o = PARSE(4, 0, 4, 2);
	cr_assert_eq(o.flags, 0);
}

Test(tcpopts, an_option_that_ends_past_the_list_is_not_read)
{
	struct sw_tcpopts o = PARSE(2, 4, 5);

	cr_assert_eq(o.mss, 0);
	o = PARSE(1, 3, 3);
	cr_assert_eq(o.wscale, SW_WSCALE_NONE);
	o = PARSE(4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7);
	cr_assert_eq(o.flags, SW_OPT_SACK);
	o = PARSE(1, 1, 1, 4);
	cr_assert_eq(o.flags, 0);
}

Test(tcpopts, nothing_behind_the_end_of_options_is_read)
{
	struct sw_tcpopts o = PARSE(4, 2, 0, 2, 4, 5, 0xb4, 0);

	cr_assert_eq(o.flags, SW_OPT_SACK);
	cr_assert_eq(o.mss, 0);
}

Test(tcpopts, unknown_options_are_passed_over)
{
	struct sw_tcpopts o = PARSE(254, 6, 4, 2, 4, 2, 34, 2, 4, 2, 2, 4, 5, 0xb4);

	cr_assert_eq(o.flags, SW_OPT_SACK);
	cr_assert_eq(o.mss, 1460);
}

Test(tcpopts, an_option_of_the_wrong_size_is_passed_over)
{
	struct sw_tcpopts o = PARSE(2, 3, 5, 2, 5, 5, 0xb4, 9, 3, 2, 3, 4, 7, 7, 4, 3, 9, 8, 4, 1,
				    1, 8, 12, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1);

	cr_assert_eq(o.mss, 0);
	cr_assert_eq(o.wscale, SW_WSCALE_NONE);
	cr_assert_eq(o.flags, 0);
}

Test(tcpopts, a_scale_above_14_reads_as_14)
{
	int shift;

	for (shift = 0; shift < 256; shift++) {
		struct sw_tcpopts o = PARSE(3, 3, (__u8)shift, 0);

		cr_assert_eq(o.wscale, shift > 14 ? 14 : shift);
	}
}

Test(tcpopts, a_signature_is_seen)
{
	struct sw_tcpopts o = PARSE(19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);

	cr_assert_eq(o.flags, SW_OPT_SIGNED);
	o = PARSE(29, 8, 1, 1, 0, 0, 0, 0);
	cr_assert_eq(o.flags, SW_OPT_SIGNED);
}

Test(tcpopts, the_last_option_may_end_with_the_40th_byte)
{
	static const struct {
		__u8 byte[10], size, flags;
		__u16 mss;
		__u8 wscale;
	} last[] = {
		{{2, 4, 5, 0xb4}, 4, 0, 1460, SW_WSCALE_NONE},
		{{3, 3, 9}, 3, 0, 0, 9},
		{{4, 2}, 2, SW_OPT_SACK, 0, SW_WSCALE_NONE},
		{{8, 10, 1, 2, 3, 4, 5, 6, 7, 8}, 10, SW_OPT_TSTAMP, 0, SW_WSCALE_NONE},
	};
	unsigned int i;

	for (i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
		__u8 byte[SW_TCPOPT_MAX];
		struct sw_tcpopts o;

		memset(byte, SW_TCPOPT_NOP, sizeof(byte));
		memcpy(byte + SW_TCPOPT_MAX - last[i].size, last[i].byte, last[i].size);
		o = parse(byte, SW_TCPOPT_MAX);
		cr_assert_eq(o.mss, last[i].mss);
		cr_assert_eq(o.wscale, last[i].wscale);
		cr_assert_eq(o.flags, last[i].flags);
		/* One byte less of it is nothing. */
		memmove(byte + 1, byte, SW_TCPOPT_MAX - 1);
		o = parse(byte, SW_TCPOPT_MAX);
		cr_assert(o.mss == 0 && o.wscale == SW_WSCALE_NONE && o.flags == 0);
	}
}

/* The layouts that are read by whole words, and what the packet path reads otherwise. */
static const struct {
	const char *stack;
	__u8 words;
	__u8 byte[24];
} layouts[] = {
	{"old stacks", 0, {0}},
	{"embedded", 1, {2, 4, 5, 0xb4}},
	{"Windows, no scaling", 2, {2, 4, 5, 0xb4, 1, 1, 4, 2}},
	{"Windows", 3, {2, 4, 5, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2}},
	{"ACK", 3, {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}},
	{"Linux", 5, {2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7}},
	{"FreeBSD", 5, {2, 4, 5, 0xb4, 1, 3, 3, 6, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}},
	{"macOS", 6, {2, 4, 5, 0xb4, 1, 3, 3, 6, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 4, 2, 0, 0}},
};
#define LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

static int read_words(const __u8 *byte, int words, struct sw_tcpopts *ret)
{
	struct sw_optwords w;

	memset(&w, 0xa5, sizeof(w));
	memcpy(w.word, byte, words < 6 ? words * 4 : 24);
	return sw_options_words(&w, words, ret);
}

Test(tcpopts, each_common_layout_is_read_by_words)
{
	struct sw_tcpopts o;
	unsigned int i;

	for (i = 0; i < LAYOUTS; i++)
		cr_assert(read_words(layouts[i].byte, layouts[i].words, &o), "%s",
			  layouts[i].stack);
}

/* If words say yes they must say what the bytes say, also of a layout with bits changed. */
Test(tcpopts, reading_by_words_says_the_same_as_reading_by_bytes)
{
	unsigned int i, bit, taken = 0, run;
	__u64 random = 23;

	for (i = 0; i < LAYOUTS; i++) {
		for (run = 0; run < 20000; run++) {
			struct sw_tcpopts by_words, by_bytes;
			__u8 byte[24];

			memcpy(byte, layouts[i].byte, 24);
			for (bit = random_below(&random, 5); bit && layouts[i].words; bit--) {
				__u32 at = random_below(&random, layouts[i].words * 4);

				byte[at] = random_below(&random, 2)
						   ? (__u8)random_u64(&random)
						   : byte[at] ^ 1 << random_below(&random, 8);
			}
			if (!read_words(byte, layouts[i].words, &by_words))
				continue;
			by_bytes = parse_before(byte, layouts[i].words * 4, 0xff);
			cr_assert(same(&by_words, &by_bytes), "%s", layouts[i].stack);
			taken++;
		}
	}
	cr_assert_gt(taken, 20000);
}

Test(tcpopts, reading_by_words_leaves_every_other_length_alone)
{
	struct sw_tcpopts o;

	cr_assert_not(read_words(layouts[5].byte, 4, &o));
	cr_assert_not(read_words(layouts[5].byte, 7, &o));
	cr_assert_not(read_words(layouts[5].byte, 10, &o));
}

Test(tcpopts, reading_by_words_takes_no_layout_with_an_option_missing)
{
	unsigned int i, at;

	for (i = 1; i < LAYOUTS; i++) {
		for (at = 0; at + 1 < layouts[i].words * 4U; at++) {
			struct sw_tcpopts o;
			__u8 byte[24];

			memcpy(byte, layouts[i].byte, 24);
			if (byte[at] != 4 || byte[at + 1] != 2) /* SACK-permitted */
				continue;
			byte[at] = byte[at + 1] = SW_TCPOPT_NOP;
			if (read_words(byte, layouts[i].words, &o))
				cr_assert_eq(o.flags & SW_OPT_SACK, 0, "%s", layouts[i].stack);
		}
	}
}

/* tcp_options_write() of Linux: MSS 1460, TSval 01020304, TSecr a1b2c3d4, scale 7. */
static const struct {
	int tstamp, sack, wscale;
	__u32 words;
	__u8 byte[20];
} synacks[] = {
	{0, 0, 0, 1, {2, 4, 5, 0xb4}},
	{0, 0, 1, 2, {2, 4, 5, 0xb4, 1, 3, 3, 7}},
	{0, 1, 0, 2, {2, 4, 5, 0xb4, 1, 1, 4, 2}},
	{0, 1, 1, 3, {2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7}},
	{1, 0, 0, 4, {2, 4, 5, 0xb4, 1, 1, 8, 10, 1, 2, 3, 4, 0xa1, 0xb2, 0xc3, 0xd4}},
	{1, 0, 1, 5, {2, 4, 5, 0xb4, 1, 1, 8, 10, 1, 2, 3, 4, 0xa1, 0xb2, 0xc3, 0xd4, 1, 3, 3, 7}},
	{1, 1, 0, 4, {2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0xa1, 0xb2, 0xc3, 0xd4}},
	{1, 1, 1, 5, {2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0xa1, 0xb2, 0xc3, 0xd4, 1, 3, 3, 7}},
};

Test(tcpopts, writer_lays_out_all_eight_synacks_as_the_kernel_does)
{
	unsigned int i, j;

	for (i = 0; i < 8; i++) {
		struct sw_tcpopts o = {
			.mss = 1460,
			.tsval = 0x01020304,
			.tsecr = 0xa1b2c3d4,
			.wscale = synacks[i].wscale ? 7 : SW_WSCALE_NONE,
			.flags = (__u8)((synacks[i].tstamp ? SW_OPT_TSTAMP : 0) |
					(synacks[i].sack ? SW_OPT_SACK : 0)),
		};
		__u32 word[5];
		__u8 *byte = (void *)word;

		memset(word, 0xee, sizeof(word));
		cr_assert_eq(sw_tcpopts_write(word, &o), synacks[i].words);
		cr_assert_arr_eq(byte, synacks[i].byte, synacks[i].words * 4);
		for (j = synacks[i].words * 4; j < sizeof(word); j++)
			cr_assert_eq(byte[j], 0xee, "writes past its end");
	}
}

Test(tcpopts, what_is_written_reads_back_the_same)
{
	__u64 random = 24;
	int run;

	for (run = 0; run < 100000; run++) {
		struct sw_tcpopts back, o = {
						.mss = (__u16)(1 + random_below(&random, 65535)),
						.wscale = (__u8)random_below(&random, 16),
						.flags = (__u8)random_below(&random, 4),
					};
		__u32 word[5], words;

		if (o.flags & SW_OPT_TSTAMP) {
			o.tsval = (__u32)random_u64(&random);
			o.tsecr = (__u32)random_u64(&random);
		}
		words = sw_tcpopts_write(word, &o);
		back = parse_before((void *)word, words * 4, 0xff);
		cr_assert(same(&o, &back));
	}
}

Test(tcpopts, writer_says_nothing_of_ecn_or_signatures)
{
	struct sw_tcpopts o = {
		.mss = 1460, .wscale = SW_WSCALE_NONE, .flags = SW_OPT_ECN | SW_OPT_SIGNED};
	__u32 word[5];

	cr_assert_eq(sw_tcpopts_write(word, &o), 1);
}
