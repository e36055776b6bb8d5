// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "../cookies.h"

#define EPOCH 1000U /* of most cookies here */
#define EPOCH_NS (1ULL << SW_EPOCH_SHIFT)

/* A SYN that came, what was agreed on, and the cookie it got. */
struct handshake {
	struct sw_secret secret;
	struct sw_tuple tuple;
	__u32 isn, epoch;
	struct sw_tcpopts agreed;
	__u32 cookie, ts_bits;
};

static void answer(struct handshake *h)
{
	h->cookie =
		cookie_made(&h->secret, &h->tuple, h->isn, h->epoch, &h->agreed, &h->ts_bits);
}

/* The options of the ACK: the timestamp echoed, with what else stands above its low byte. */
static struct sw_tcpopts echo(const struct handshake *h)
{
	struct sw_tcpopts seen = {.wscale = SW_WSCALE_NONE};

	if (h->agreed.flags & SW_OPT_TSTAMP) {
		seen.flags = SW_OPT_TSTAMP;
		seen.tsval = 0x11223344;
		seen.tsecr = 0xabcdef00 | h->ts_bits;
	}
	return seen;
}

static int is_accepted_at(const struct handshake *h, __u32 now_epoch, struct sw_tcpopts *ret)
{
	struct sw_tcpopts seen = echo(h);

	return cookie_taken(&h->secret, &h->tuple, h->isn, h->cookie, now_epoch, &seen, ret);
}

static int is_accepted(const struct handshake *h)
{
	struct sw_tcpopts agreed;

	return is_accepted_at(h, h->epoch, &agreed);
}

static struct handshake random_handshake(__u64 *random, int v6, int tstamp)
{
	struct handshake h = {.epoch = (__u32)random_u64(random) >> 4};

	h.secret.key[0] = random_key(random);
	h.secret.key[1] = random_key(random);
	h.tuple = random_tuple(random, v6);
	h.isn = (__u32)random_u64(random);
	h.agreed.mss = (__u16)(1220 + random_below(random, 8000));
	h.agreed.wscale = (__u8)random_below(random, 16);
	h.agreed.flags = (__u8)((random_below(random, 2) ? SW_OPT_SACK : 0) |
				(tstamp && random_below(random, 2) ? SW_OPT_ECN : 0) |
				(tstamp ? SW_OPT_TSTAMP : 0));
	answer(&h);
	return h;
}

/* All four kinds: IPv4 and IPv6, with and without timestamps. */
#define FOR_EACH_KIND(v6, tstamp)                                                                  \
	for (int v6 = 0; v6 < 2; v6++)                                                             \
		for (int tstamp = 0; tstamp < 2; tstamp++)

/* The message under the MAC as docs/cookie.md gives it, byte by byte. */
static __u32 reference_mac(const struct sw_key *key, const struct sw_tuple *t, __u32 isn,
			   __u32 epoch, __u32 option_bits)
{
	__u8 m[47];
	unsigned int n = 0, i;

	if (t->family_v6) {
		memcpy(m, &t->daddr_hi, 8);
		memcpy(m + 8, &t->daddr_lo, 8);
		memcpy(m + 16, &t->saddr_hi, 8);
		memcpy(m + 24, &t->saddr_lo, 8);
		n = 32;
	} else {
		memcpy(m, &t->daddr_lo, 4);
		n = 4;
	}
	for (i = 0; i < 32; i += 8)
		m[n++] = epoch >> i & 0xff;
	if (!t->family_v6) {
		memcpy(m + n, &t->saddr_lo, 4);
		n += 4;
	}
	for (i = 0; i < 32; i += 8)
		m[n++] = isn >> i & 0xff;
	m[n++] = t->dport & 0xff;
	m[n++] = t->dport >> 8;
	m[n++] = t->sport & 0xff;
	m[n++] = t->sport >> 8;
	for (i = 0; i < 24; i += 8)
		m[n++] = option_bits >> i & 0xff;
	return (__u32)(hash_bytes(key, m, n) >> 32);
}

Test(cookie, mac_is_siphash_of_the_bytes_documented)
{
	__u64 random = 31;
	int run;

	FOR_EACH_KIND(v6, tstamp)
	{
		for (run = 0; run < 5000; run++) {
			struct handshake h = random_handshake(&random, v6, tstamp);
			__u32 bits = (__u32)random_u64(&random) >> 8;

			cr_assert_eq(
				cookie_mac(&h.secret.key[0], &h.tuple, h.isn, h.epoch, bits),
				reference_mac(&h.secret.key[0], &h.tuple, h.isn, h.epoch, bits));
		}
	}
}

/* Other boxes of a cluster may run another version: the cookie is a wire format. */
Test(cookie, stays_what_it_was)
{
	struct handshake h = {
		.secret = {.key = {{0, 0}, {0x0706050403020100, 0x0f0e0d0c0b0a0908}}},
		.tuple = {.saddr_lo = 0x020200c0,
			  .daddr_lo = 0x010200c0,
			  .sport = 54321,
			  .dport = 443},
		.isn = 0x12345678,
		.epoch = EPOCH,
		.agreed = {.mss = 1460, .wscale = 7, .flags = SW_OPT_SACK | SW_OPT_TSTAMP},
	};

	answer(&h);
	cr_assert_eq(h.ts_bits, 3 << 6 | 1 << 4 | 7);
	cr_assert_eq(h.cookie, (reference_mac(&h.secret.key[1], &h.tuple, h.isn, EPOCH,
					      1 << 16 | h.ts_bits << 8 | 0) &
				~7U) | 0);
	cr_assert_eq(h.cookie, 0x1d9f9988); /* both by openssl: docs/cookie.md */
	h.agreed.flags = SW_OPT_SACK;
	answer(&h);
	cr_assert_eq(h.ts_bits, 0);
	cr_assert_eq(h.cookie & 0x1ff, 0 << 7 | 1 << 6 | 7 << 2 | 3);
	cr_assert_eq(h.cookie, 0x902c7a5f);
}

Test(cookie, is_accepted_when_it_comes_back)
{
	__u64 random = 32;
	int run;

	FOR_EACH_KIND(v6, tstamp)
	{
		for (run = 0; run < 20000; run++) {
			struct handshake h = random_handshake(&random, v6, tstamp);

			cr_assert(is_accepted(&h));
		}
	}
}

/*
 * Flipping any one bit. A MAC of 23 bits lets one in 2^23 pass by chance; the numbers are
 * the same in every run, and these have no such luck.
 */
#define FLIP_RUNS 200

static void flip_address(__u64 *hi, __u64 *lo, int bit)
{
	*(bit < 64 ? lo : hi) ^= 1ULL << (bit & 63);
}

static void check_flips(int bits, void (*flip)(struct handshake *h, int bit))
{
	__u64 random = 33;
	int run, bit;

	FOR_EACH_KIND(v6, tstamp)
	{
		for (run = 0; run < FLIP_RUNS; run++) {
			struct handshake h = random_handshake(&random, v6, tstamp);

			for (bit = 0; bit < bits; bit++) {
				struct handshake other = h;

				if (!v6 && bits == 128 && bit >= 32)
					break;
				flip(&other, bit);
				cr_assert_not(is_accepted(&other), "bit %d, IPv%d, %s", bit,
					      v6 ? 6 : 4, tstamp ? "timestamps" : "plain");
			}
		}
	}
}

static void flip_saddr(struct handshake *h, int bit)
{
	flip_address(&h->tuple.saddr_hi, &h->tuple.saddr_lo, bit);
}

static void flip_daddr(struct handshake *h, int bit)
{
	flip_address(&h->tuple.daddr_hi, &h->tuple.daddr_lo, bit);
}

static void flip_sport(struct handshake *h, int bit)
{
	h->tuple.sport ^= 1U << bit;
}

static void flip_dport(struct handshake *h, int bit)
{
	h->tuple.dport ^= 1U << bit;
}

static void flip_isn(struct handshake *h, int bit)
{
	h->isn ^= 1U << bit;
}

static void flip_cookie(struct handshake *h, int bit)
{
	h->cookie ^= 1U << bit;
}

static void flip_key(struct handshake *h, int bit)
{
	flip_address(&h->secret.key[1].k1, &h->secret.key[1].k0, bit);
}

Test(cookie, is_refused_with_any_bit_of_the_clients_address_changed)
{
	check_flips(128, flip_saddr);
}

Test(cookie, is_refused_with_any_bit_of_the_servers_address_changed)
{
	check_flips(128, flip_daddr);
}

Test(cookie, is_refused_with_any_bit_of_the_clients_port_changed)
{
	check_flips(16, flip_sport);
}

Test(cookie, is_refused_with_any_bit_of_the_servers_port_changed)
{
	check_flips(16, flip_dport);
}

Test(cookie, is_refused_with_any_bit_of_the_isn_changed)
{
	check_flips(32, flip_isn);
}

Test(cookie, is_refused_with_any_bit_of_the_ack_changed)
{
	check_flips(32, flip_cookie);
}

Test(cookie, is_refused_under_a_key_with_any_bit_changed)
{
	__u64 random = 34;
	int run, bit;

	FOR_EACH_KIND(v6, tstamp)
	{
		for (run = 0; run < FLIP_RUNS; run++) {
			struct handshake h = random_handshake(&random, v6, tstamp);

			for (bit = 0; bit < 128; bit++) {
				struct handshake other = h;

				flip_key(&other, bit);
				cr_assert_not(is_accepted(&other), "bit %d", bit);
			}
		}
	}
}

Test(cookie, is_refused_with_any_low_bit_of_the_echoed_timestamp_changed)
{
	__u64 random = 35;
	int run, v6, bit;

	for (v6 = 0; v6 < 2; v6++) {
		for (run = 0; run < 20 * FLIP_RUNS; run++) {
			struct handshake h = random_handshake(&random, v6, 1);

			for (bit = 0; bit < SW_COOKIE_TS_BITS; bit++) {
				struct handshake other = h;

				other.ts_bits ^= 1U << bit;
				cr_assert_not(is_accepted(&other), "bit %d", bit);
			}
		}
	}
}

/* The rest of the echo is the clock's: it is not remembered, and not bound. */
Test(cookie, is_accepted_whatever_the_upper_bits_of_the_echoed_timestamp)
{
	__u64 random = 36;
	int bit;
	struct handshake h = random_handshake(&random, 0, 1);

	for (bit = SW_COOKIE_TS_BITS; bit < 32; bit++) {
		struct sw_tcpopts seen = echo(&h), agreed;

		seen.tsecr ^= 1U << bit;
		cr_assert(cookie_taken(&h.secret, &h.tuple, h.isn, h.cookie, h.epoch, &seen,
					  &agreed));
	}
}

Test(cookie, mac_changes_with_any_bit_of_the_epoch)
{
	__u64 random = 37;
	int run, bit;

	FOR_EACH_KIND(v6, tstamp)
	{
		for (run = 0; run < FLIP_RUNS; run++) {
			struct handshake h = random_handshake(&random, v6, tstamp);
			__u32 mac = cookie_mac(&h.secret.key[1], &h.tuple, h.isn, h.epoch, 7);

			for (bit = 0; bit < 32; bit++)
				cr_assert((mac ^ cookie_mac(&h.secret.key[1], &h.tuple, h.isn,
							       h.epoch ^ 1U << bit, 7)) &
					  SW_COOKIE_MAC_PLAIN);
		}
	}
}

Test(cookie, mac_changes_with_any_option_bit)
{
	__u64 random = 38;
	int run, bit;

	FOR_EACH_KIND(v6, tstamp)
	{
		for (run = 0; run < FLIP_RUNS; run++) {
			struct handshake h = random_handshake(&random, v6, tstamp);
			__u32 bits = (__u32)random_u64(&random) >> 8;
			__u32 mac = cookie_mac(&h.secret.key[1], &h.tuple, h.isn, h.epoch, bits);

			for (bit = 0; bit < 24; bit++)
				cr_assert((mac ^ cookie_mac(&h.secret.key[1], &h.tuple, h.isn,
							       h.epoch, bits ^ 1U << bit)) &
					  SW_COOKIE_MAC_PLAIN);
		}
	}
}

/* Another option than the one agreed on: the same cookie, with its bits swapped for others. */
Test(cookie, is_refused_with_any_other_options_in_it)
{
	__u64 random = 39;
	int run, v6;
	__u32 low, ts;

	for (v6 = 0; v6 < 2; v6++) {
		for (run = 0; run < 50; run++) {
			struct handshake plain = random_handshake(&random, v6, 0);
			struct handshake stamped = random_handshake(&random, v6, 1), other;

			for (low = 1; low < 512; low++) {
				other = plain;
				other.cookie ^= low;
				cr_assert_not(is_accepted(&other));
			}
			for (low = 0; low < 8; low++) {
				for (ts = low ? 0 : 1; ts < 256; ts++) {
					other = stamped;
					other.cookie ^= low;
					other.ts_bits ^= ts;
					cr_assert_not(is_accepted(&other));
				}
			}
		}
	}
}

/*
 * The kernel's own test program loses the ISN from its hash wherever the port's top bit
 * is set: (u64)isn << 32 | sport << 16, the right side widened with its sign.
 */
Test(cookie, binds_the_isn_whatever_the_ports)
{
	static const __u16 ports[] = {0, 1, 0x00ff, 0x7fff, 0x8000, 0x8001, 0x80ff, 0xff80, 0xffff};
	__u64 random = 40;
	unsigned int i, j, bit;

	FOR_EACH_KIND(v6, tstamp)
	{
		struct handshake h = random_handshake(&random, v6, tstamp);

		for (i = 0; i < sizeof(ports) / 2; i++) {
			for (j = 0; j < sizeof(ports) / 2; j++) {
				h.tuple.sport = ports[i];
				h.tuple.dport = ports[j];
				answer(&h);
				cr_assert(is_accepted(&h));
				for (bit = 0; bit < 32; bit++) {
					struct handshake other = h;

					other.isn ^= 1U << bit;
					cr_assert_not(is_accepted(&other), "ports %u, %u", ports[i],
						      ports[j]);
				}
			}
		}
	}
}

Test(cookie, binds_the_isn_for_every_port_above_32767)
{
	__u64 random = 41;
	struct handshake h = random_handshake(&random, 0, 0);
	__u32 port;

	for (port = 0x8000; port <= 0xffff; port++) {
		struct handshake other;

		h.tuple.sport = (__u16)port;
		answer(&h);
		other = h;
		other.isn = (__u32)random_u64(&random);
		cr_assert_not(is_accepted(&other));
	}
}

Test(cookie, of_ipv4_is_refused_over_ipv6_and_the_other_way_round)
{
	__u64 random = 42;
	int run, tstamp;

	for (tstamp = 0; tstamp < 2; tstamp++) {
		for (run = 0; run < 5000; run++) {
			struct handshake four = random_handshake(&random, 0, tstamp);
			struct handshake six = random_handshake(&random, 1, tstamp);

			four.tuple.family_v6 = 1;
			cr_assert_not(is_accepted(&four));
			/* ::ffff:a.b.c.d */
			four.tuple.saddr_lo = four.tuple.saddr_lo << 32 | 0xffff0000;
			four.tuple.daddr_lo = four.tuple.daddr_lo << 32 | 0xffff0000;
			cr_assert_not(is_accepted(&four));
			six.tuple.family_v6 = 0;
			six.tuple.saddr_hi = six.tuple.daddr_hi = 0;
			six.tuple.saddr_lo &= 0xffffffff;
			six.tuple.daddr_lo &= 0xffffffff;
			cr_assert_not(is_accepted(&six));
		}
	}
}

/* An attacker who adds the option, or leaves it out, gets the other layout and nothing else. */
Test(cookie, of_one_layout_is_refused_in_the_other)
{
	__u64 random = 43;
	int run, v6;
	__u32 ts;

	for (v6 = 0; v6 < 2; v6++) {
		for (run = 0; run < 500; run++) {
			struct handshake plain = random_handshake(&random, v6, 0);
			struct handshake stamped = random_handshake(&random, v6, 1);

			stamped.agreed.flags &= ~SW_OPT_TSTAMP;
			cr_assert_not(is_accepted(&stamped));
			plain.agreed.flags |= SW_OPT_TSTAMP;
			for (ts = 0; ts < 256; ts++) {
				plain.ts_bits = ts;
				cr_assert_not(is_accepted(&plain));
			}
		}
	}
}

/* Option bits of the two layouts can be equal but for the bit that tells them apart. */
Test(cookie, layouts_differ_in_the_mac_even_where_their_bits_are_the_same)
{
	struct handshake h;
	__u64 random = 44;
	int run;

	for (run = 0; run < 2000; run++) {
		__u32 plain, stamped;

		h = random_handshake(&random, 0, 0);
		/* Plain with all low bits 0; with timestamps, scale 0, least MSS, epoch % 4 == 0.
		 */
		h.epoch &= ~3U;
		h.agreed = (struct sw_tcpopts){.mss = 536};
		answer(&h);
		plain = h.cookie;
		h.agreed.flags = SW_OPT_TSTAMP;
		answer(&h);
		stamped = h.cookie;
		cr_assert_eq(h.ts_bits, 0);
		cr_assert((plain ^ stamped) & SW_COOKIE_MAC_PLAIN);
	}
}

Test(cookie, never_hands_on_an_mss_above_the_offer)
{
	__u64 random = 45;

	FOR_EACH_KIND(v6, tstamp)
	{
		struct handshake h = random_handshake(&random, v6, tstamp);
		__u32 mss;

		for (mss = v6 ? 1220 : 536; mss <= 65535; mss++) {
			struct sw_tcpopts agreed = {0};

			h.agreed.mss = (__u16)mss;
			answer(&h);
			cr_assert(is_accepted_at(&h, h.epoch, &agreed));
			cr_assert_leq(agreed.mss, mss);
			cr_assert_geq(agreed.mss, v6 ? 1220 : 536, "the kernel refuses less");
		}
	}
}

Test(cookie, names_the_largest_mss_of_its_table_that_is_not_above_the_offer)
{
	static const __u16 tables[2][2][8] = {
		{{536, 1300, 1440, 1460}, {536, 1200, 1300, 1400, 1440, 1452, 1460, 8960}},
		{{1220, 1360, 1420, 1440}, {1220, 1280, 1340, 1380, 1420, 1432, 1440, 8940}},
	};

	FOR_EACH_KIND(v6, tstamp)
	{
		const __u16 *table = tables[v6][tstamp];
		__u32 entries = tstamp ? 8 : 4, mss, i;

		for (mss = v6 ? 1220 : 536; mss <= 65535; mss++) {
			__u32 best = 0;

			for (i = 0; i < entries; i++)
				if (table[i] <= mss)
					best = i;
			cr_assert_eq(sw_mss_index((__u16)mss, v6, tstamp), best, "mss %u", mss);
			cr_assert_eq(sw_mss_value(best, v6, tstamp), table[best]);
		}
		/* The index of a value of the table is its place. */
		for (i = 0; i < entries; i++)
			cr_assert_eq(sw_mss_index(sw_mss_value(i, v6, tstamp), v6, tstamp), i);
		/* What is offered below the least: the packet path leaves it to the kernel. */
		for (mss = 0; mss < table[0]; mss++)
			cr_assert_eq(sw_mss_index((__u16)mss, v6, tstamp), 0);
	}
}

Test(cookie, keeps_every_window_scale_with_and_without_timestamps)
{
	__u64 random = 46;

	FOR_EACH_KIND(v6, tstamp)
	{
		__u8 wscale;

		for (wscale = 0; wscale <= SW_WSCALE_NONE; wscale++) {
			struct handshake h = random_handshake(&random, v6, tstamp);
			struct sw_tcpopts agreed;

			h.agreed.wscale = wscale;
			answer(&h);
			cr_assert(is_accepted_at(&h, h.epoch, &agreed));
			cr_assert_eq(agreed.wscale, wscale);
		}
	}
}

Test(cookie, keeps_all_that_was_agreed_on)
{
	__u64 random = 47;
	int run;

	FOR_EACH_KIND(v6, tstamp)
	{
		for (run = 0; run < 20000; run++) {
			struct handshake h = random_handshake(&random, v6, tstamp);
			struct sw_tcpopts agreed, seen = echo(&h);

			cr_assert(is_accepted_at(&h, h.epoch, &agreed));
			cr_assert_eq(agreed.flags, h.agreed.flags);
			cr_assert_eq(agreed.wscale, h.agreed.wscale);
			cr_assert_eq(agreed.tsval, seen.tsval);
			cr_assert_eq(agreed.tsecr, seen.tsecr);
		}
	}
}

Test(cookie, without_timestamps_says_nothing_of_ecn)
{
	__u64 random = 48;
	struct handshake h = random_handshake(&random, 0, 0);
	struct sw_tcpopts agreed;

	h.agreed.flags = SW_OPT_ECN | SW_OPT_SACK;
	answer(&h);
	cr_assert(is_accepted_at(&h, h.epoch, &agreed));
	cr_assert_eq(agreed.flags, SW_OPT_SACK);
	cr_assert_eq(h.ts_bits, 0);
}

/* What the ACK itself offers is no agreement: only the cookie's word counts. */
Test(cookie, takes_nothing_from_the_ack_but_its_timestamp)
{
	__u64 random = 49;
	struct handshake h = random_handshake(&random, 0, 0);
	struct sw_tcpopts seen = {
		.mss = 9000, .wscale = 3, .flags = SW_OPT_SACK | SW_OPT_ECN | SW_OPT_SIGNED};
	struct sw_tcpopts agreed;

	h.agreed = (struct sw_tcpopts){.mss = 1300, .wscale = SW_WSCALE_NONE};
	answer(&h);
	cr_assert(cookie_taken(&h.secret, &h.tuple, h.isn, h.cookie, h.epoch, &seen, &agreed));
	cr_assert_eq(agreed.mss, 1300);
	cr_assert_eq(agreed.wscale, SW_WSCALE_NONE);
	cr_assert_eq(agreed.flags, 0);
}

Test(cookie, leaves_its_answer_alone_when_it_refuses)
{
	__u64 random = 50;
	struct handshake h = random_handshake(&random, 1, 1);
	struct sw_tcpopts agreed, before;

	memset(&agreed, 0x5a, sizeof(agreed));
	before = agreed;
	h.isn++;
	cr_assert_not(is_accepted_at(&h, h.epoch, &agreed));
	cr_assert_arr_eq(&agreed, &before, sizeof(agreed));
}

static void check_epochs(__u32 epoch)
{
	__u64 random = 51 + epoch;

	FOR_EACH_KIND(v6, tstamp)
	{
		struct handshake h = random_handshake(&random, v6, tstamp);
		struct sw_tcpopts agreed;
		int later;

		h.epoch = epoch;
		answer(&h);
		for (later = -500; later <= 500; later++)
			cr_assert_eq(is_accepted_at(&h, epoch + later, &agreed),
				     later >= -1 && later <= 2, "%d epochs later", later);
	}
}

Test(cookie, is_accepted_in_its_epoch_the_two_after_it_and_the_one_before_and_in_no_other)
{
	__u32 epoch;

	for (epoch = EPOCH; epoch < EPOCH + 8; epoch++)
		check_epochs(epoch);
}

Test(cookie, is_refused_three_epochs_later)
{
	__u64 random = 52;
	int run;

	FOR_EACH_KIND(v6, tstamp)
	{
		for (run = 0; run < 1000; run++) {
			struct handshake h = random_handshake(&random, v6, tstamp);
			struct sw_tcpopts agreed;

			cr_assert(is_accepted_at(&h, h.epoch + 2, &agreed));
			cr_assert_not(is_accepted_at(&h, h.epoch + 3, &agreed));
			/* The two bits in the cookie are the same again: the MAC knows better. */
			cr_assert_not(is_accepted_at(&h, h.epoch + 4, &agreed));
		}
	}
}

Test(cookie, epoch_wraps_around)
{
	check_epochs(0);
	check_epochs(1);
	check_epochs(0xfffffffe);
	check_epochs(0xffffffff);
	check_epochs(0x7fffffff);
}

Test(cookie, epoch_bits_mean_one_ahead_this_one_or_two_back)
{
	__u32 now, bits;

	for (now = EPOCH; now < EPOCH + 8; now++) {
		for (bits = 0; bits < 4; bits++) {
			__u32 epoch = sw_cookie_epoch(bits, now);

			cr_assert_eq(epoch & 3, bits);
			cr_assert((__s32)(epoch - now) >= -2 && (__s32)(epoch - now) <= 1);
		}
	}
}

static int is_good_after(__u64 made_ns, __u64 age_ns)
{
	__u64 random = 53;
	struct handshake h = random_handshake(&random, 0, 1);
	struct sw_tcpopts agreed;

	h.epoch = sw_epoch(made_ns);
	answer(&h);
	return is_accepted_at(&h, sw_epoch(made_ns + age_ns), &agreed);
}

#define S 1000000000ULL

Test(cookie, is_good_for_64_seconds_at_least_and_128_at_most)
{
	__u64 first = 123456789 * EPOCH_NS, into, age;

	for (into = 0; into < EPOCH_NS; into += EPOCH_NS / 97) {
		for (age = 0; age <= 64 * S; age += S / 2)
			cr_assert(is_good_after(first + into, age), "%llu ns old", age);
		for (age = 128 * S; age < 1000 * S; age += 7 * S)
			cr_assert_not(is_good_after(first + into, age), "%llu ns old", age);
	}
	/* Exactly: two epochs and what is left of the one it was made in. */
	cr_assert(is_good_after(first, 3 * EPOCH_NS - 1));
	cr_assert_not(is_good_after(first, 3 * EPOCH_NS));
	cr_assert(is_good_after(first + EPOCH_NS - 1, 2 * EPOCH_NS));
	cr_assert_not(is_good_after(first + EPOCH_NS - 1, 2 * EPOCH_NS + 1));
	cr_assert_geq(2 * EPOCH_NS, 64 * S);
	cr_assert_leq(3 * EPOCH_NS, 128 * S);
}

/* A box whose clock is ahead makes cookies that live longer on the others, by as much. */
Test(cookie, of_a_box_up_to_24_seconds_ahead_dies_within_128_seconds_elsewhere)
{
	__u64 first = 1000 * EPOCH_NS, into, ahead = 24 * S;

	for (into = 0; into < EPOCH_NS; into += EPOCH_NS / 997) {
		__u64 made = first + into + ahead; /* by the clock of the box ahead */
		__u64 random = 54;
		struct handshake h = random_handshake(&random, 0, 0);
		struct sw_tcpopts agreed;

		h.epoch = sw_epoch(made);
		answer(&h);
		cr_assert(is_accepted_at(&h, sw_epoch(first + into), &agreed));
		cr_assert_not(is_accepted_at(&h, sw_epoch(first + into + 128 * S), &agreed));
	}
}

Test(cookie, of_one_box_is_accepted_by_another_one_epoch_ahead_or_behind)
{
	__u64 random = 55;
	int run;

	FOR_EACH_KIND(v6, tstamp)
	{
		for (run = 0; run < 1000; run++) {
			struct handshake h = random_handshake(&random, v6, tstamp);
			struct sw_tcpopts agreed;

			cr_assert(is_accepted_at(&h, h.epoch + 1, &agreed));
			cr_assert(is_accepted_at(&h, h.epoch - 1, &agreed));
			/* The box ahead still takes it in the epoch after, the one behind for
			 * longer. */
			cr_assert(is_accepted_at(&h, h.epoch + 2, &agreed));
		}
	}
}

static struct sw_secret rotate(const struct sw_secret *old, struct sw_key fresh, __u32 switch_epoch)
{
	return (struct sw_secret){.key = {old->key[1], fresh}, .switch_epoch = switch_epoch};
}

/*
 * Keys change again and again, as fast as the rule allows: written one epoch ahead of the
 * switch, which comes three epochs after the switch before. Two boxes, the second up to an
 * epoch behind. No cookie that is young enough is ever refused.
 */
Test(cookie, made_before_or_after_a_rotation_is_accepted_for_its_lifetime)
{
	__u64 random = 56;
	__u32 now, made, behind;

	for (behind = 0; behind < 2; behind++) {
		struct handshake h[64];
		struct sw_secret secret = {.key = {random_key(&random), random_key(&random)},
					   .switch_epoch = EPOCH};

		for (now = EPOCH; now < EPOCH + 64; now++) {
			struct handshake *mine = &h[now - EPOCH];

			/* The next switch is at a multiple of 3; this is the last epoch before it.
			 */
			if ((now + 1 - EPOCH) % 3 == 0)
				secret = rotate(&secret, random_key(&random), now + 1);
			*mine = random_handshake(&random, now & 1, now >> 1 & 1);
			mine->secret = secret;
			mine->epoch = now;
			answer(mine);
			for (made = now > EPOCH + 2 ? now - 2 : EPOCH; made <= now; made++) {
				struct handshake old = h[made - EPOCH];
				struct sw_tcpopts agreed;

				old.secret = secret;
				cr_assert(is_accepted_at(&old, now - behind, &agreed),
					  "made in epoch %u, now %u", made, now);
			}
		}
	}
}

Test(cookie, of_the_old_key_is_refused_in_epochs_of_the_new_one)
{
	__u64 random = 57;
	struct handshake h = random_handshake(&random, 0, 1);
	struct sw_tcpopts agreed;

	h.secret.switch_epoch = h.epoch + 1;
	answer(&h);
	cr_assert(is_accepted_at(&h, h.epoch, &agreed));
	cr_assert(is_accepted_at(&h, h.epoch + 2, &agreed), "made before the switch");
	h.secret.switch_epoch = h.epoch;
	cr_assert_not(is_accepted_at(&h, h.epoch, &agreed), "made with a key of before");
}

Test(cookie, key_switches_at_its_epoch_also_over_the_wrap)
{
	struct sw_secret secret = {.switch_epoch = 0};
	__u32 at;

	cr_assert_eq(sw_epoch_key(&secret, 0xffffffff), &secret.key[0]);
	cr_assert_eq(sw_epoch_key(&secret, 0), &secret.key[1]);
	for (at = EPOCH; at < EPOCH + 5; at++) {
		secret.switch_epoch = at;
		cr_assert_eq(sw_epoch_key(&secret, at - 1), &secret.key[0]);
		cr_assert_eq(sw_epoch_key(&secret, at), &secret.key[1]);
		cr_assert_eq(sw_epoch_key(&secret, at + 1), &secret.key[1]);
	}
}

static void check_tsval(__u32 clock_ms, __u32 ts_bits)
{
	__u32 tsval = sw_cookie_tsval(clock_ms, ts_bits), behind = clock_ms - tsval;

	cr_assert_eq(tsval & SW_COOKIE_TS_MASK, ts_bits);
	cr_assert_leq(behind, 255, "clock %u bits %u: %d behind", clock_ms, ts_bits, (__s32)behind);
}

Test(cookie, tsval_is_never_ahead_of_the_clock_and_255_ms_behind_at_most)
{
	__u64 random = 58;
	__u32 bits, clock, run;

	for (bits = 0; bits < 256; bits++) {
		for (clock = 0; clock < 1024; clock++) {
			check_tsval(clock - 512, bits); /* over the wrap */
			check_tsval(0x80000000 - 512 + clock, bits);
		}
		for (run = 0; run < 2000; run++)
			check_tsval((__u32)random_u64(&random), bits);
	}
}

/* The two lists of MAC bits and low bits cover the word and do not overlap. */
Test(cookie, has_29_mac_bits_with_timestamps_and_23_without)
{
	cr_assert_eq(__builtin_popcount(SW_COOKIE_MAC_TS), 29);
	cr_assert_eq(__builtin_popcount(SW_COOKIE_MAC_PLAIN), 23);
	cr_assert_eq(SW_COOKIE_TS_MASK, 255);
}

Test(cookie, secret_is_two_keys_and_an_epoch)
{
	cr_assert_eq(sizeof(struct sw_secret), 40);
}
