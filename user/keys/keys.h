/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The secrets of a guard: made here, written into its map, never pinned, printed or kept.
 * What changes them is called with pins_lock() held: two at once would undo each other.
 */
#ifndef SYNWARD_KEYS_H
#define SYNWARD_KEYS_H

#include "abi.h"
#include "keyfile.h"
#include "keyring.h"
#include "xdp.h"

/* What takes CLOCK_MONOTONIC to the clock epochs are counted on: that of day, which a cluster
 * shares. */
__u64 keys_epoch_offset_ns(void);

/* Fresh secrets into the map. shared NULL: random cookie keys. */
int keys_fill(int secrets_fd, const struct keyfile_secret *shared, __u64 epoch_offset_ns);

/*
 * Brings a random key in with the next epoch; no cookie still good is refused. -EAGAIN:
 * the one before is too fresh; *ret_wait_s seconds more.
 */
int keys_rotate(int secrets_fd, __u64 epoch_offset_ns, __u32 *ret_wait_s);

struct keys_news {
	enum keyring_change change;
	double stepped_s; /* the clock of day was set by so much since the last look; 0: it was not
			   */
};

/*
 * The group's keys, and the clock of day, which they count on. To be called every few
 * seconds to minutes. A step larger than KEYS_STEP_HARMLESS_S loses the handshakes that
 * are under way.
 */
#define KEYS_STEP_HARMLESS_S 10
int keys_follow(int secrets_fd, int config_fd, const struct keyfile_secret *shared,
		struct keys_news *ret);

struct keys_state {
	enum sw_key_source source;
	__u32 epoch;
	__u64 age_s, due_s; /* keyring_age_s(), keyring_due_s() */
	bool stale;         /* shared, and nobody brought the next period's key in */
	double clock_off_s; /* the clock of epochs less the clock of day */
};

int keys_look(int secrets_fd, __u64 epoch_offset_ns, struct keys_state *ret);

/* The same through a running guard's program, which alone leads to the secrets. */
int keys_look_running(const struct xdp_state *xdp, struct keys_state *ret);

/* What is wrong with a guard's keys and clock, and what to do; NULL: nothing. */
const char *keys_advice(const struct keys_state *state, __u64 cookies_ahead);

/* Whether something keeps the clock of day right, as the kernel was told. */
bool keys_clock_synchronised(void);

#endif
