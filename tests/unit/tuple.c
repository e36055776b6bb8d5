// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "tuple.h"

static const __u64 seed_words[2] = {0x0123456789abcdefULL, 0xfedcba9876543210ULL};

Test(tuple, struct_has_no_hidden_padding)
{
	cr_assert_eq(sizeof(struct sw_tuple), 40);
}

static void flip(struct sw_tuple *t, int v6, int bit)
{
	int address = v6 ? 128 : 32;

	if (bit < address)
		*(bit < 64 ? &t->saddr_lo : &t->saddr_hi) ^= 1ULL << (bit & 63);
	else if ((bit -= address) < address)
		*(bit < 64 ? &t->daddr_lo : &t->daddr_hi) ^= 1ULL << (bit & 63);
	else if ((bit -= address) < 16)
		t->sport ^= 1U << bit;
	else
		t->dport ^= 1U << (bit - 16);
}

static void check_flips(int v6)
{
	int bits = v6 ? 288 : 96, bit, run;
	__u64 random = 2;

	for (run = 0; run < 500; run++) {
		struct sw_tuple t = random_tuple(&random, v6);

		for (bit = 0; bit < bits; bit++) {
			struct sw_tuple other = t;

			flip(&other, v6, bit);
			cr_assert_neq(sw_tuple_hash(&t, seed_words),
				      sw_tuple_hash(&other, seed_words), "bit %d", bit);
		}
	}
}

Test(tuple, hash_of_ipv4_changes_with_any_bit)
{
	check_flips(0);
}

Test(tuple, hash_of_ipv6_changes_with_any_bit)
{
	check_flips(1);
}

Test(tuple, hash_changes_with_any_bit_of_the_seed)
{
	__u64 random = 3;
	struct sw_tuple t = random_tuple(&random, 1);
	int bit;

	for (bit = 0; bit < 128; bit++) {
		__u64 other[2] = {seed_words[0], seed_words[1]};

		other[bit / 64] ^= 1ULL << (bit & 63);
		cr_assert_neq(sw_tuple_hash(&t, seed_words), sw_tuple_hash(&t, other));
	}
}

Test(tuple, hash_tells_client_from_server)
{
	struct sw_tuple t = {.saddr_lo = 1, .daddr_lo = 2, .sport = 3, .dport = 4};
	struct sw_tuple addresses = {.saddr_lo = 2, .daddr_lo = 1, .sport = 3, .dport = 4};
	struct sw_tuple ports = {.saddr_lo = 1, .daddr_lo = 2, .sport = 4, .dport = 3};
	int v6;

	for (v6 = 0; v6 < 2; v6++) {
		t.family_v6 = addresses.family_v6 = ports.family_v6 = (__u8)v6;
		cr_assert_neq(sw_tuple_hash(&t, seed_words), sw_tuple_hash(&addresses, seed_words));
		cr_assert_neq(sw_tuple_hash(&t, seed_words), sw_tuple_hash(&ports, seed_words));
	}
}

Test(tuple, hash_ignores_padding)
{
	struct sw_tuple t = {.saddr_lo = 1, .daddr_lo = 2, .sport = 3, .dport = 4}, other = t;

	other.pad[0] = other.pad[1] = other.pad[2] = 0xff;
	cr_assert_eq(sw_tuple_hash(&t, seed_words), sw_tuple_hash(&other, seed_words));
}

/* One client that opens connection after connection must not fill one corner of a table. */
Test(tuple, hash_spreads_one_clients_ports_evenly)
{
	struct sw_tuple t = {.saddr_lo = 0x0100000a, .daddr_lo = 0x0200000a, .dport = 443};
	static unsigned int low[256], high[256];
	unsigned int port, i;

	for (port = 0; port < 65536; port++) {
		__u64 hash;

		t.sport = (__u16)port;
		hash = sw_tuple_hash(&t, seed_words);
		low[hash & 255]++;
		high[hash >> 56]++;
	}
	/* 256 each; the standard deviation is 16. */
	for (i = 0; i < 256; i++) {
		cr_assert(low[i] > 176 && low[i] < 336, "low byte %u: %u", i, low[i]);
		cr_assert(high[i] > 176 && high[i] < 336, "high byte %u: %u", i, high[i]);
	}
}

Test(tuple, place_is_inside_the_table_and_reaches_all_of_it)
{
	static unsigned char taken[1 << 10];
	unsigned int port, used = 0;
	__u64 random = 14;
	int i;

	for (port = 0; port < 65536; port++)
		taken[sw_place(port, 10)] = 1; /* out of bounds: the sanitizer stops it */
	for (port = 0; port < sizeof(taken); port++)
		used += taken[port];
	cr_assert_eq(used, sizeof(taken));
	for (i = 0; i < 100000; i++)
		cr_assert_lt(sw_place(random_u64(&random), 10), 1U << 10);
}
