// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <bpf/bpf.h>

#include "keys.h"

static __u64 clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

__u64 keys_epoch_offset_ns(void)
{
	return clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
}

__u32 keys_epoch(__u64 epoch_offset_ns)
{
	return sw_epoch(clock_ns(CLOCK_MONOTONIC) + epoch_offset_ns);
}

/* Up to 256 bytes come whole or not at all (getrandom(2)). */
static int fill_random(void *to, size_t length)
{
	while (getrandom(to, length, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int write_secrets(int fd, const struct sw_secrets *secrets)
{
	__u32 zero = 0;

	return bpf_map_update_elem(fd, &zero, secrets, BPF_ANY) ? -errno : 0;
}

static int read_secrets(int fd, struct sw_secrets *ret)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(fd, &zero, ret) ? -errno : 0;
}

int keys_fill(int secrets_fd, __u64 epoch_offset_ns)
{
	struct sw_secrets secrets = {};
	int err;

	err = fill_random(&secrets.cookie.key[1], sizeof(secrets.cookie.key[1]));
	if (!err)
		err = fill_random(secrets.hash_seed, sizeof(secrets.hash_seed));
	if (!err) {
		secrets.cookie.key[0] = secrets.cookie.key[1];
		secrets.cookie.switch_epoch = keys_epoch(epoch_offset_ns);
		err = write_secrets(secrets_fd, &secrets);
	}
	explicit_bzero(&secrets, sizeof(secrets));
	return err;
}

int keys_rotate(int secrets_fd, __u64 epoch_offset_ns)
{
	__u32 epoch = keys_epoch(epoch_offset_ns);
	struct sw_secrets secrets;
	struct sw_secret *cookie = &secrets.cookie;
	int err;

	err = read_secrets(secrets_fd, &secrets);
	if (err)
		goto out;
	if ((__s32)(epoch - cookie->switch_epoch) < SW_EPOCHS_VALID)
		goto out;
	/*
	 * In two updates, because XDP may read half of one: in the first both keys are the
	 * one in use, in the second only the key changes that nobody uses yet. The epoch after
	 * the next: one that begins between the two, or has begun on another box, does no harm.
	 */
	cookie->key[0] = cookie->key[1];
	cookie->switch_epoch = epoch + 2;
	err = write_secrets(secrets_fd, &secrets);
	if (err)
		goto out;
	err = fill_random(&cookie->key[1], sizeof(cookie->key[1]));
	if (!err)
		err = write_secrets(secrets_fd, &secrets);
	if (!err)
		err = 1;
out:
	explicit_bzero(&secrets, sizeof(secrets));
	return err;
}

int keys_age_s(int secrets_fd, __u64 epoch_offset_ns, __u64 *ret_age_s)
{
	struct sw_secrets secrets;
	__u64 now_ns = clock_ns(CLOCK_MONOTONIC) + epoch_offset_ns, since_ns;
	int err;

	err = read_secrets(secrets_fd, &secrets);
	if (!err) {
		since_ns = (__u64)secrets.cookie.switch_epoch << SW_EPOCH_SHIFT;
		*ret_age_s = now_ns > since_ns ? (now_ns - since_ns) / 1000000000ULL : 0;
	}
	explicit_bzero(&secrets, sizeof(secrets));
	return err;
}
