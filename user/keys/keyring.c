// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>

#include "keyring.h"

#define NS_A_SECOND 1000000000ULL

/* a is b or later. */
static bool reached(__u32 a, __u32 b)
{
	return (__s32)(a - b) >= 0;
}

/* The last epoch that may begin before a change is done. */
static __u32 soon(__u64 clock_ns)
{
	return sw_epoch(clock_ns + KEYRING_SLACK_NS);
}

/* Every cookie still good is of key[1]. */
static bool settled(const struct sw_secret *s, __u64 clock_ns)
{
	return reached(sw_epoch(clock_ns) - (SW_EPOCHS_VALID - 1), s->switch_epoch);
}

/* No cookie of key[1] can have been made here. */
static bool pending(const struct sw_secret *s, __u64 clock_ns)
{
	return !reached(soon(clock_ns), s->switch_epoch);
}

/*
 * Before epoch `from` the key in use goes on, from then on it is `next`. In three steps,
 * for XDP may read while one is written: the keys are equal while the border moves, and
 * the one that changes last is not in use yet. The ring must be settled or pending.
 */
static int succeed(const struct keyring *ring, __u32 source, const struct sw_key *next, __u32 from,
		   __u64 clock_ns)
{
	struct sw_secret *s = ring->now;
	int err;

	if (settled(s, clock_ns))
		s->key[0] = s->key[1];
	else
		s->key[1] = s->key[0];
	err = ring->put(ring->arg, s);
	if (err)
		return err;
	s->switch_epoch = from;
	s->source = source;
	err = ring->put(ring->arg, s);
	if (err)
		return err;
	s->key[1] = *next;
	return ring->put(ring->arg, s);
}

static __u32 seconds_until(__u32 epoch, __u64 clock_ns)
{
	__u64 begin_ns = (__u64)epoch << SW_EPOCH_SHIFT;

	return begin_ns > clock_ns ? (begin_ns - clock_ns + NS_A_SECOND - 1) / NS_A_SECOND : 0;
}

int keyring_rotate(const struct keyring *ring, const struct sw_key *fresh, __u64 clock_ns,
		   __u32 *ret_wait_s)
{
	const struct sw_secret *s = ring->now;

	if (!settled(s, clock_ns) && !pending(s, clock_ns)) {
		*ret_wait_s = seconds_until(s->switch_epoch + SW_EPOCHS_VALID - 1, clock_ns);
		return -EAGAIN;
	}
	return succeed(ring, SW_KEYS_RANDOM, fresh, soon(clock_ns) + 1, clock_ns);
}

void keyring_first(struct sw_secret *ret, const void *secret, keyring_derive derive, __u64 clock_ns)
{
	__u32 period = (sw_epoch(clock_ns) - (SW_EPOCHS_VALID - 1)) / KEYRING_PERIOD;

	derive(secret, period, &ret->key[0]);
	derive(secret, period + 1, &ret->key[1]);
	ret->switch_epoch = (period + 1) * KEYRING_PERIOD;
	ret->source = SW_KEYS_SHARED;
}

/* From keys that are not the group's, or no longer: with the next epoch, or a border close by. */
static int join(const struct keyring *ring, const void *secret, keyring_derive derive,
		__u64 clock_ns)
{
	__u32 from = soon(clock_ns) + 1, border = (from / KEYRING_PERIOD + 1) * KEYRING_PERIOD;
	struct sw_key key;
	int err;

	if (border - from <= SW_EPOCHS_VALID)
		from = border;
	derive(secret, from / KEYRING_PERIOD, &key);
	err = succeed(ring, SW_KEYS_SHARED, &key, from, clock_ns);
	explicit_bzero(&key, sizeof(key));
	return err;
}

/* The secret may have been replaced: then the key that nobody uses yet becomes another. */
static int renew_pending(const struct keyring *ring, const void *secret, keyring_derive derive,
			 __u64 clock_ns, enum keyring_change *ret)
{
	struct sw_secret *s = ring->now;
	struct sw_key key;
	int err = 0;

	derive(secret, s->switch_epoch / KEYRING_PERIOD, &key);
	if (memcmp(&key, &s->key[1], sizeof(key))) {
		s->key[1] = key;
		err = ring->put(ring->arg, s);
		*ret = KEYRING_NEXT;
	}
	explicit_bzero(&key, sizeof(key));
	return err;
}

int keyring_follow(const struct keyring *ring, const void *secret, keyring_derive derive,
		   __u64 clock_ns, enum keyring_change *ret)
{
	const struct sw_secret *s = ring->now;
	__u32 next = (s->switch_epoch / KEYRING_PERIOD + 1) * KEYRING_PERIOD;
	bool is_settled = settled(s, clock_ns), is_pending = pending(s, clock_ns);
	struct sw_key key;
	int err;

	*ret = KEYRING_SAME;
	if (!is_settled && !is_pending)
		return 0;
	if (s->source == SW_KEYS_SHARED && is_pending && !keyring_is_current(s, clock_ns))
		is_pending = false; /* a border far ahead: the clock was set back */
	if (s->source == SW_KEYS_SHARED && is_pending)
		return renew_pending(ring, secret, derive, clock_ns, ret);
	if (s->source == SW_KEYS_SHARED && is_settled && !reached(soon(clock_ns), next)) {
		derive(secret, next / KEYRING_PERIOD, &key);
		err = succeed(ring, SW_KEYS_SHARED, &key, next, clock_ns);
		explicit_bzero(&key, sizeof(key));
		*ret = KEYRING_NEXT;
		return err;
	}
	*ret = KEYRING_JOINS;
	return join(ring, secret, derive, clock_ns);
}

bool keyring_is_current(const struct sw_secret *s, __u64 clock_ns)
{
	__u32 now = sw_epoch(clock_ns);

	if (reached(now, s->switch_epoch))
		return now / KEYRING_PERIOD == s->switch_epoch / KEYRING_PERIOD;
	return s->switch_epoch - now <= KEYRING_PERIOD + SW_EPOCHS_VALID;
}

__u64 keyring_age_s(const struct sw_secret *s, __u64 clock_ns)
{
	bool is_second = reached(sw_epoch(clock_ns), s->switch_epoch);
	__u64 since_ns;

	if (!is_second && s->source != SW_KEYS_SHARED)
		return 0;
	since_ns = (__u64)(s->switch_epoch - (is_second ? 0 : KEYRING_PERIOD)) << SW_EPOCH_SHIFT;
	return clock_ns > since_ns ? (clock_ns - since_ns) / NS_A_SECOND : 0;
}

__u64 keyring_due_s(const struct sw_secret *s, __u64 clock_ns)
{
	return seconds_until(s->switch_epoch, clock_ns);
}
