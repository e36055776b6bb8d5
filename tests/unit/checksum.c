// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "checksum.h"

#include <arpa/inet.h>

/* RFC 1071, the plain way: 16-bit words in network order, one's complement addition. */
static __u16 reference(const __u8 *byte, unsigned int length)
{
	__u32 sum = 0;
	unsigned int i;

	for (i = 0; i < length; i++) {
		sum += i & 1 ? byte[i] : (__u32)byte[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (__u16)sum;
}

/* The two zeros of one's complement mean the same. */
static int same_sum(__u16 a, __u16 b)
{
	return a == b || (a % 0xffff == 0 && b % 0xffff == 0);
}

/* The way of the packet path: 32-bit words as memory holds them, the last one filled up. */
static __u64 sum_words(const __u8 *byte, unsigned int length)
{
	__u64 sum = 0;
	unsigned int i;

	for (i = 0; i < length; i += 4) {
		__u32 word = 0;

		memcpy(&word, byte + i, length - i < 4 ? length - i : 4);
		sum += word;
	}
	return sum;
}

static void fill(__u8 *byte, unsigned int length, __u64 *random)
{
	unsigned int i;

	for (i = 0; i < length; i++)
		byte[i] = (__u8)random_u64(random);
}

Test(checksum, of_random_data_of_any_size_is_rfc_1071s)
{
	__u8 data[1500];
	__u64 random = 5;
	unsigned int length;

	for (length = 0; length <= sizeof(data); length++) {
		fill(data, length, &random);
		cr_assert(same_sum(ntohs(sw_csum_fold(sum_words(data, length))),
				   reference(data, length)),
			  "%u bytes", length);
	}
}

Test(checksum, of_the_rfcs_example_is_ddf2)
{
	/* RFC 1071 section 3. */
	static const __u8 data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	cr_assert_eq(ntohs(sw_csum_fold(sum_words(data, sizeof(data)))), 0xddf2);
}

Test(checksum, fold_keeps_every_carry)
{
	__u64 random = 6;
	int i;

	cr_assert_eq(sw_csum_fold(0), 0);
	cr_assert_eq(sw_csum_fold(0xffff), 0xffff);
	cr_assert_eq(sw_csum_fold(0x10000), 1);
	cr_assert_eq(sw_csum_fold((1ULL << 48) - 1), 0xffff);
	for (i = 1; i <= 0x20000; i++) {
		/* Where remainders are smallest and largest, at both ends of what may be summed. */
		cr_assert_eq(sw_csum_fold((__u64)i), (i - 1) % 0xffff + 1);
		cr_assert_eq(sw_csum_fold((1ULL << 48) - (__u64)i), ((1ULL << 48) - i - 1) % 0xffff + 1);
	}
	for (i = 0; i < 1000000; i++) {
		__u64 sum = random_u64(&random) >> (16 + random_below(&random, 48));

		/* Folding is the remainder by 2^16 - 1, which 0 alone leaves as 0. */
		cr_assert_eq(sw_csum_fold(sum), sum ? (sum - 1) % 0xffff + 1 : 0, "%llx", sum);
	}
}

Test(checksum, of_a_64_bit_word_is_that_of_its_bytes)
{
	__u64 random = 7;
	int i;

	for (i = 0; i < 100000; i++) {
		__u64 word = random_u64(&random);
		__u8 bytes[8];

		memcpy(bytes, &word, 8);
		cr_assert(same_sum(ntohs(sw_csum_fold(sw_csum_word64(word))), reference(bytes, 8)));
	}
	cr_assert_eq(sw_csum_word64(~0ULL), 2 * 0xffffffffULL);
}

/* RFC 9293 3.1 and RFC 8200 8.1, byte by byte. */
static __u16 reference_pseudo(const __u8 *addresses, unsigned int size, __u32 length)
{
	__u8 header[40];
	__u8 rest[8] = {length >> 24, length >> 16, length >> 8, length, 0, 0, 0, 6};

	memcpy(header, addresses, size);
	if (size == 8) {
		__u8 v4[4] = {0, 6, length >> 8, length};

		memcpy(header + 8, v4, 4);
		return reference(header, 12);
	}
	memcpy(header + 32, rest, 8);
	return reference(header, 40);
}

Test(checksum, of_the_ipv4_pseudo_header_is_right_for_every_length)
{
	__u64 random = 8;
	__u8 addresses[8];
	__u32 length;

	for (length = 0; length < 65536; length++) {
		fill(addresses, 8, &random);
		cr_assert(same_sum(ntohs(sw_csum_fold(sum_words(addresses, 8) +
						      sw_csum_pseudo(length))),
				   reference_pseudo(addresses, 8, length)),
			  "TCP length %u", length);
	}
}

Test(checksum, of_the_ipv6_pseudo_header_is_right_for_every_length)
{
	__u64 random = 9;
	__u8 addresses[32];
	__u32 length;

	for (length = 0; length < 65536; length++) {
		fill(addresses, 32, &random);
		cr_assert(same_sum(ntohs(sw_csum_fold(sum_words(addresses, 32) +
						      sw_csum_pseudo(length))),
				   reference_pseudo(addresses, 32, length)),
			  "TCP length %u", length);
	}
}

/* A SYN from 10.0.0.2:40000 to 10.0.0.1:80, checksum 0, and the one the plain way finds. */
Test(checksum, of_a_whole_segment_closes_to_ffff)
{
	__u64 random = 10;
	int run;

	for (run = 0; run < 20000; run++) {
		__u8 segment[600] = {0}, addresses[8];
		unsigned int length = 20 + random_below(&random, 580);
		__u64 sum;
		__u16 check;

		fill(segment, length, &random);
		fill(addresses, 8, &random);
		segment[16] = segment[17] = 0;
		sum = sum_words(addresses, 8) + sw_csum_pseudo(length) + sum_words(segment, length);
		check = (__u16)~sw_csum_fold(sum);
		memcpy(segment + 16, &check, 2);
		sum = sum_words(addresses, 8) + sw_csum_pseudo(length) + sum_words(segment, length);
		cr_assert_eq(sw_csum_fold(sum), 0xffff, "%u bytes", length);
	}
}
