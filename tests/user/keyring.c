// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Simulated machines: a cookie is made, keys change in whatever way, and it is judged. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "../cookies.h"
#include "../unit/unit.h"
#include "keyring.h"

#define S 1000000000ULL
#define EPOCH_NS (1ULL << SW_EPOCH_SHIFT)
#define LIFETIME_NS (2 * EPOCH_NS) /* at least this long, whenever it was made */

/* The tests' stand-in for HKDF. */
static void derive(const void *secret, __u32 period, struct sw_key *ret)
{
	*ret = (struct sw_key){*(const __u64 *)secret, period};
}

struct machine {
	struct sw_secret secret, staged;
	struct keyring ring;
	__s64 skew_ns;
	__u32 isn, cookie; /* if not 0: every state must take it */
	__u64 clock_ns;
	int puts;
};

static const struct sw_tuple tuple = {.saddr_lo = 1, .daddr_lo = 2, .sport = 3, .dport = 4};
static const struct sw_tcpopts options = {.mss = 1460};

static __u64 time_at(const struct machine *m, __u64 now_ns)
{
	return now_ns + (__u64)m->skew_ns;
}

static __u32 make(const struct machine *m, __u32 isn, __u64 now_ns)
{
	__u32 ts_bits;

	return cookie_made(&m->secret, &tuple, isn, sw_epoch(time_at(m, now_ns)), &options, &ts_bits);
}

static int takes(const struct machine *m, __u32 isn, __u32 cookie, __u64 now_ns)
{
	struct sw_tcpopts seen = {}, agreed;

	return cookie_taken(&m->secret, &tuple, isn, cookie, sw_epoch(time_at(m, now_ns)), &seen, &agreed);
}

/* Word by word, as the kernel copies a map's value: a frame may be judged after each. */
static int put(void *arg, const struct sw_secret *secret)
{
	struct machine *m = arg;
	const __u64 *from = (const __u64 *)secret;
	__u64 *to = (__u64 *)&m->secret;
	size_t i;

	m->puts++;
	for (i = 0; i < sizeof(*secret) / sizeof(*to); i++) {
		to[i] = from[i];
		if (m->cookie)
			cr_assert(takes(m, m->isn, m->cookie, m->clock_ns), "refused within put %d", m->puts);
	}
	return 0;
}

static void start(struct machine *m, const __u64 *secret, __s64 skew_ns, __u64 now_ns)
{
	__u64 seed = (__u64)skew_ns + 1;

	*m = (struct machine){.skew_ns = skew_ns};
	if (secret) {
		keyring_first(&m->secret, secret, derive, time_at(m, now_ns));
	} else {
		m->secret.key[0] = m->secret.key[1] = random_key(&seed);
		m->secret.switch_epoch = sw_epoch(time_at(m, now_ns));
	}
	m->staged = m->secret;
	m->ring = (struct keyring){.now = &m->staged, .put = put, .arg = m};
}

static enum keyring_change follow(struct machine *m, const __u64 *secret, __u64 now_ns)
{
	enum keyring_change change;

	cr_assert_eq(keyring_follow(&m->ring, secret, derive, time_at(m, now_ns), &change), 0);
	return change;
}

Test(keyring, rotation_refuses_no_cookie_within_its_lifetime)
{
	__u64 seed = 7, begin = 1ULL << 60, t, age;
	struct machine m;
	int rotated = 0;

	start(&m, NULL, 0, begin);
	for (t = begin; t < begin + 400 * S; t += 3 * S) {
		struct sw_key fresh = random_key(&seed);
		__u32 isn = (__u32)random_u64(&seed), cookie = make(&m, isn, t), wait = 0;

		for (age = 0; age <= LIFETIME_NS; age += 7 * S) {
			struct sw_key other = random_key(&seed);
			struct machine copy = m;

			copy.ring.arg = &copy;
			copy.ring.now = &copy.staged;
			copy.isn = isn;
			copy.cookie = cookie;
			copy.clock_ns = t + age;
			if (!keyring_rotate(&copy.ring, &other, t + age, &wait))
				cr_assert_leq(copy.secret.switch_epoch * EPOCH_NS, t + age + 36 * S);
			else
				cr_assert(wait && wait <= 104);
			cr_assert(takes(&copy, isn, cookie, t + LIFETIME_NS));
		}
		if (random_below(&seed, 8) == 0)
			rotated += !keyring_rotate(&m.ring, &fresh, t, &wait);
		m.staged = m.secret;
	}
	cr_assert_geq(rotated, 3);
}

Test(keyring, rotation_is_refused_while_two_keys_have_cookies_out_and_said_for_how_long)
{
	__u64 seed = 3, t = 1000 * EPOCH_NS;
	struct sw_key fresh = random_key(&seed);
	struct machine m;
	__u32 wait;

	start(&m, NULL, 0, t - 10 * EPOCH_NS);
	cr_assert_eq(keyring_rotate(&m.ring, &fresh, t, &wait), 0);
	fresh = random_key(&seed);
	cr_assert_eq(keyring_rotate(&m.ring, &fresh, t + S, &wait), 0, "it is not in use yet");
	cr_assert_eq(keyring_rotate(&m.ring, &fresh, t + EPOCH_NS, &wait), -EAGAIN);
	cr_assert_eq(keyring_rotate(&m.ring, &fresh, t + EPOCH_NS + wait * S, &wait), 0);
}

/* Two machines up to 10 s apart, looked after every 5 s, over three borders of periods. */
Test(keyring, machines_ten_seconds_apart_take_each_others_cookies)
{
	static const __s64 skews[] = {-10LL * (__s64)S, -3LL * (__s64)S, 0, 10LL * (__s64)S};
	const __u64 secret = 0x5ec4e7, begin = 100 * KEYRING_PERIOD * EPOCH_NS - 1500 * S;
	__u64 t;
	size_t i;

	for (i = 0; i < sizeof(skews) / sizeof(*skews); i++) {
		struct machine a, b;

		start(&a, &secret, 0, begin);
		start(&b, &secret, skews[i], begin);
		for (t = begin; t < begin + 3 * KEYRING_PERIOD * EPOCH_NS; t += S) {
			__u32 isn = (__u32)t, of_a = make(&a, isn, t), of_b = make(&b, isn, t);

			cr_assert(takes(&b, isn, of_a, t), "a to b, skew %lld", skews[i]);
			cr_assert(takes(&a, isn, of_b, t), "b to a, skew %lld", skews[i]);
			if (t / S % 5 == 0) {
				a.isn = b.isn = isn;
				a.cookie = of_b;
				b.cookie = of_a;
				a.clock_ns = b.clock_ns = t;
				follow(&a, &secret, t);
				follow(&b, &secret, t);
			}
		}
	}
}

Test(keyring, cookies_last_across_borders_and_machines)
{
	const __u64 secret = 0x5ec4e7, border = 200 * KEYRING_PERIOD * EPOCH_NS;
	__u64 made, t;

	for (made = border - 3 * EPOCH_NS; made < border + 3 * EPOCH_NS; made += 5 * S) {
		struct machine a, b;
		__u32 cookie;

		start(&a, &secret, 0, border - 600 * S);
		start(&b, &secret, 10LL * (__s64)S, border - 600 * S);
		for (t = border - 600 * S; t < made; t += 5 * S) {
			follow(&a, &secret, t);
			follow(&b, &secret, t);
		}
		cookie = make(&a, 77, made);
		for (; t < made + LIFETIME_NS - 10 * S; t += 5 * S) {
			follow(&a, &secret, t);
			follow(&b, &secret, t);
			cr_assert(takes(&a, 77, cookie, t));
			cr_assert(takes(&b, 77, cookie, t));
		}
	}
}

Test(keyring, a_machine_with_keys_of_its_own_joins_without_refusing_its_cookies)
{
	const __u64 secret = 9, border = 300 * KEYRING_PERIOD * EPOCH_NS;
	__u64 begin, t;

	for (begin = border - 6 * EPOCH_NS; begin < border + 2 * EPOCH_NS; begin += 7 * S) {
		struct machine group, m;
		__u32 cookie;

		start(&group, &secret, 0, begin);
		start(&m, NULL, 0, begin - 500 * S);
		cookie = make(&m, 5, begin);
		m.isn = 5;
		m.cookie = cookie;
		for (t = begin; t < begin + LIFETIME_NS; t += 5 * S) {
			m.clock_ns = t;
			follow(&m, &secret, t);
			follow(&group, &secret, t);
			cr_assert(takes(&m, 5, cookie, t));
		}
		m.cookie = 0;
		for (; t < begin + 12 * EPOCH_NS; t += 5 * S) {
			follow(&m, &secret, t);
			follow(&group, &secret, t);
		}
		cr_assert(takes(&m, 6, make(&group, 6, t), t));
		cr_assert(takes(&group, 6, make(&m, 6, t), t));
		cr_assert_eq(follow(&m, &secret, t), KEYRING_SAME);
	}
}

Test(keyring, a_new_secret_counts_from_the_next_border_on_everywhere)
{
	const __u64 old = 1, new = 2, border = 400 * KEYRING_PERIOD * EPOCH_NS;
	struct machine a, b;
	__u64 t;

	start(&a, &old, 0, border - 2000 * S);
	start(&b, &old, -10LL * (__s64)S, border - 2000 * S);
	for (t = border - 2000 * S; t < border + 1000 * S; t += 5 * S) {
		/* It reaches b a quarter of an hour after a. */
		follow(&a, t < border - 1500 * S ? &old : &new, t);
		follow(&b, t < border - 600 * S ? &old : &new, t);
		cr_assert(takes(&a, 1, make(&b, 1, t), t));
		cr_assert(takes(&b, 1, make(&a, 1, t), t));
	}
}

Test(keyring, left_alone_it_is_stale_and_joins_again)
{
	const __u64 secret = 4, begin = 500 * KEYRING_PERIOD * EPOCH_NS + 200 * S;
	__u64 later = begin + 3 * KEYRING_PERIOD * EPOCH_NS;
	struct machine m, group;

	start(&m, &secret, 0, begin);
	start(&group, &secret, 0, later);
	cr_assert(keyring_is_current(&m.secret, begin));
	cr_assert(keyring_is_current(&m.secret, begin + KEYRING_PERIOD * EPOCH_NS));
	cr_assert_not(keyring_is_current(&m.secret, later));
	cr_assert_eq(follow(&m, &secret, later), KEYRING_JOINS);
	later += 2 * EPOCH_NS;
	cr_assert(takes(&m, 6, make(&group, 6, later), later));
}

/* The border ahead is no border to wait for. */
Test(keyring, joins_again_when_the_clock_was_set_back)
{
	const __u64 secret = 4, begin = 600 * KEYRING_PERIOD * EPOCH_NS + 200 * S;
	__u64 back = begin - 3 * KEYRING_PERIOD * EPOCH_NS;
	struct machine m;

	start(&m, &secret, 0, begin);
	cr_assert_eq(follow(&m, &secret, back), KEYRING_JOINS);
	cr_assert(keyring_is_current(&m.secret, back + 2 * EPOCH_NS));
}
