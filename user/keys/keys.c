// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "keys.h"
#include "settings.h"

#define STEP_S 0.5 /* less is what two readings of two clocks may differ by on a busy machine */

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

static __u64 epoch_clock_ns(__u64 epoch_offset_ns)
{
	return clock_ns(CLOCK_MONOTONIC) + epoch_offset_ns;
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

/* The map as a ring's place; secrets.cookie is the ring's state. */
struct place {
	int fd;
	struct sw_secrets secrets;
};

static int put(void *arg, const struct sw_secret *ignored)
{
	const struct place *place = arg;

	return write_secrets(place->fd, &place->secrets);
}

static struct keyring ring_of(struct place *place)
{
	return (struct keyring){.now = &place->secrets.cookie, .put = put, .arg = place};
}

static int fill_cookie_keys(struct sw_secret *cookie, const struct keyfile_secret *shared,
			    __u64 now_ns)
{
	int err;

	if (shared) {
		keyring_first(cookie, shared, keyfile_derive, now_ns);
		return 0;
	}
	err = fill_random(&cookie->key[1], sizeof(cookie->key[1]));
	cookie->key[0] = cookie->key[1];
	cookie->switch_epoch = sw_epoch(now_ns);
	cookie->source = SW_KEYS_RANDOM;
	return err;
}

int keys_fill(int secrets_fd, const struct keyfile_secret *shared, __u64 epoch_offset_ns)
{
	struct sw_secrets secrets = {};
	int err;

	err = fill_cookie_keys(&secrets.cookie, shared, epoch_clock_ns(epoch_offset_ns));
	if (!err)
		err = fill_random(secrets.hash_seed, sizeof(secrets.hash_seed));
	if (!err)
		err = write_secrets(secrets_fd, &secrets);
	explicit_bzero(&secrets, sizeof(secrets));
	return err;
}

int keys_rotate(int secrets_fd, __u64 epoch_offset_ns, __u32 *ret_wait_s)
{
	struct place place = {.fd = secrets_fd};
	struct keyring ring = ring_of(&place);
	struct sw_key fresh;
	int err;

	err = fill_random(&fresh, sizeof(fresh));
	if (!err)
		err = read_secrets(secrets_fd, &place.secrets);
	if (!err)
		err = keyring_rotate(&ring, &fresh, epoch_clock_ns(epoch_offset_ns), ret_wait_s);
	explicit_bzero(&place, sizeof(place));
	explicit_bzero(&fresh, sizeof(fresh));
	return err;
}

/*
 * CLOCK_MONOTONIC is slewed as CLOCK_REALTIME is, but never set: what they differ by
 * changes only when the clock of day is set. Of a larger step no cookie survives, so the
 * keys are made anew for the right time rather than in good order.
 */
static int follow_clock(struct place *place, int config_fd, const struct keyfile_secret *shared,
			__u64 *offset_ns, double *ret_stepped_s)
{
	__u64 now_ns = keys_epoch_offset_ns();
	double stepped_s = (double)(__s64)(now_ns - *offset_ns) / 1e9;
	int err;

	if (fabs(stepped_s) < STEP_S)
		return 0;
	*ret_stepped_s = stepped_s;
	*offset_ns = now_ns;
	err = settings_set_epoch_offset(config_fd, now_ns);
	if (!err && fabs(stepped_s) > KEYS_STEP_HARMLESS_S) {
		keyring_first(&place->secrets.cookie, shared, keyfile_derive,
			      epoch_clock_ns(now_ns));
		err = write_secrets(place->fd, &place->secrets);
	}
	return err;
}

int keys_follow(int secrets_fd, int config_fd, const struct keyfile_secret *shared,
		struct keys_news *ret)
{
	struct place place = {.fd = secrets_fd};
	struct keyring ring = ring_of(&place);
	struct keys_news news = {};
	__u64 offset_ns;
	int err;

	err = settings_epoch_offset(config_fd, &offset_ns);
	if (!err)
		err = read_secrets(secrets_fd, &place.secrets);
	if (!err)
		err = follow_clock(&place, config_fd, shared, &offset_ns, &news.stepped_s);
	if (!err)
		err = keyring_follow(&ring, shared, keyfile_derive, epoch_clock_ns(offset_ns),
				     &news.change);
	explicit_bzero(&place, sizeof(place));
	if (!err)
		*ret = news;
	return err;
}

int keys_look(int secrets_fd, __u64 epoch_offset_ns, struct keys_state *ret)
{
	__u64 now_ns = epoch_clock_ns(epoch_offset_ns);
	struct sw_secrets secrets;
	int err;

	err = read_secrets(secrets_fd, &secrets);
	if (!err)
		*ret = (struct keys_state){
			.source = secrets.cookie.source,
			.epoch = sw_epoch(now_ns),
			.age_s = keyring_age_s(&secrets.cookie, now_ns),
			.due_s = keyring_due_s(&secrets.cookie, now_ns),
			.stale = secrets.cookie.source == SW_KEYS_SHARED &&
				 !keyring_is_current(&secrets.cookie, now_ns),
			.clock_off_s =
				(double)(__s64)(epoch_offset_ns - keys_epoch_offset_ns()) / 1e9,
		};
	explicit_bzero(&secrets, sizeof(secrets));
	return err;
}

int keys_look_running(const struct xdp_state *xdp, struct keys_state *ret)
{
	int prog_fd = xdp->ours_count ? xdp_open_ours(xdp) : -ENOENT, err;
	struct host_maps maps = {};
	__u64 offset_ns;

	if (prog_fd < 0)
		return prog_fd;
	err = host_maps_of(prog_fd, &maps);
	close(prog_fd);
	if (err)
		return err;
	err = settings_epoch_offset(host_maps_fd(&maps, "config"), &offset_ns);
	if (!err)
		err = keys_look(host_maps_fd(&maps, "secrets"), offset_ns, ret);
	host_maps_close(&maps);
	return err;
}

const char *keys_advice(const struct keys_state *state, __u64 cookies_ahead)
{
	if (state->stale)
		return "nobody brought the present period's key in: other machines refuse what "
		       "this one makes; 'synward run', or 'synward key rotate' hourly";
	if (state->source == SW_KEYS_SHARED && fabs(state->clock_off_s) > KEYS_STEP_HARMLESS_S)
		return "the clock of day was set since the keys were; 'synward key rotate'";
	if (cookies_ahead)
		return "cookies of a machine whose clock is ahead of this one's were refused; "
		       "compare the clocks of the group";
	if (state->source == SW_KEYS_SHARED && !keys_clock_synchronised())
		return "nothing keeps this machine's clock right; run chrony or systemd-timesyncd";
	return NULL;
}

bool keys_clock_synchronised(void)
{
	struct timex t = {};

	return adjtimex(&t) != TIME_ERROR && !(t.status & STA_UNSYNC);
}
