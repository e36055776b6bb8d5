/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The secrets: made here, written into the map, never pinned, printed or kept. */
#ifndef SYNWARD_KEYS_H
#define SYNWARD_KEYS_H

#include "abi.h"

/* What takes CLOCK_MONOTONIC to the clock epochs are counted on: that of day, which a cluster
 * shares. */
__u64 keys_epoch_offset_ns(void);

/* The epoch now, on the clock that offset makes. */
__u32 keys_epoch(__u64 epoch_offset_ns);

/* Fresh secrets into the map. */
int keys_fill(int secrets_fd, __u64 epoch_offset_ns);

/*
 * Brings a new key in from the next epoch on, if the one before is old enough. Takes
 * effect without refusing any cookie still good. Returns 1 if it did, 0 if too early.
 */
int keys_rotate(int secrets_fd, __u64 epoch_offset_ns);

/* Seconds since the current key came into use. */
int keys_age_s(int secrets_fd, __u64 epoch_offset_ns, __u64 *ret_age_s);

#endif
