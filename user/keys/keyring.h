/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which cookie key is in use when, and how one follows another: no cookie still good is
 * ever refused, also not by a frame that is judged in the middle of a change. The clock,
 * the keys and the place they are put are arguments.
 *
 * Shared keys change at the borders of periods of KEYRING_PERIOD epochs on the common
 * clock. While the cookies of one period are good, the next period's key is in its place
 * too: a machine whose clock is ahead makes cookies with it already.
 *
 *     period n                        | n+1
 *     key[0]: n-1, key[1]: n  ->  key[0]: n, key[1]: n+1  -> ...
 *     ^ of cookies from before        ^ for cookies from a clock that is ahead
 *
 * A secret that was replaced counts from the next border on, on every machine at once.
 */
#ifndef SYNWARD_KEYRING_H
#define SYNWARD_KEYRING_H

#include <stdbool.h>

#include "cookie.h"

#define KEYRING_PERIOD 256U /* epochs: 2 h 26 min 36 s */

/* A change takes effect with the first epoch that begins later than this. */
#define KEYRING_SLACK_NS 1000000000ULL

/* Where the keys are used from. put may be called several times, each a state that is right. */
struct keyring {
	struct sw_secret *now; /* what is there; follows put */
	int (*put)(void *arg, const struct sw_secret *secret);
	void *arg;
};

/* The key of a period, from the secret shared. */
typedef void (*keyring_derive)(const void *secret, __u32 period, struct sw_key *ret);

/*
 * Brings in a random key, fresh, with the next epoch. -EAGAIN: the one before came into
 * use so lately that cookies of three keys would be about; ret_wait_s seconds more.
 */
int keyring_rotate(const struct keyring *ring, const struct sw_key *fresh, __u64 clock_ns,
		   __u32 *ret_wait_s);

enum keyring_change {
	KEYRING_SAME,
	KEYRING_NEXT,  /* the next period's key is in its place */
	KEYRING_JOINS, /* the keys that were here are not the group's: its keys count soon */
};

/*
 * Sees to it that the keys are the group's; to be called a few times a period at least.
 * Left alone for longer, a machine goes on with the last key it has and joins again.
 */
int keyring_follow(const struct keyring *ring, const void *secret, keyring_derive derive,
		   __u64 clock_ns, enum keyring_change *ret);

/* Shared keys where there is nothing to be kept: no cookie is about. */
void keyring_first(struct sw_secret *ret, const void *secret, keyring_derive derive,
		   __u64 clock_ns);

/* Whether the key in use is the one other machines of the group use, as far as can be seen. */
bool keyring_is_current(const struct sw_secret *secret, __u64 clock_ns);

/* Seconds since the key in use came into use; 0 if that is not known or just now. */
__u64 keyring_age_s(const struct sw_secret *secret, __u64 clock_ns);

/* Seconds until the other key comes into use; 0: none is to come. */
__u64 keyring_due_s(const struct sw_secret *secret, __u64 clock_ns);

#endif
