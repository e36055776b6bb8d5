// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "keys.h"
#include "pins.h"
#include "rotation.h"
#include "settings.h"

struct scene {
	struct rotation *r;
	const struct log *log;
	const char *ifname;
	int secrets_fd, config_fd;
};

static void say_clock(const struct scene *s)
{
	bool synchronised = keys_clock_synchronised();

	if (!synchronised && !s->r->said_unsynchronised)
		log_say(s->log, LOG_WARNING, s->ifname,
			"nothing keeps this machine's clock right, and shared keys count on it; "
			"run chrony or systemd-timesyncd");
	s->r->said_unsynchronised = !synchronised;
}

static void say_news(const struct scene *s, const struct keys_news *news)
{
	if (news->stepped_s)
		log_say(s->log, LOG_WARNING, s->ifname,
			"the clock of day was set by %+.1f s, and the shared keys follow it%s",
			news->stepped_s,
			fabs(news->stepped_s) > KEYS_STEP_HARMLESS_S
				? "; handshakes that were under way are lost"
				: "");
	if (news->change == KEYRING_NEXT)
		log_say(s->log, LOG_INFO, s->ifname,
			"the next period's shared cookie key is in its place");
	else if (news->change == KEYRING_JOINS)
		log_say(s->log, LOG_NOTICE, s->ifname,
			"shared cookie keys come into use with the next epoch");
}

static int follow(const struct scene *s, const char *path, struct why *why)
{
	struct keyfile_secret secret;
	struct keys_news news;
	int err = keyfile_read(path, &secret, why);

	if (err)
		return err;
	err = keys_follow(s->secrets_fd, s->config_fd, &secret, &news);
	keyfile_wipe(&secret);
	if (err)
		return why_is(why, err, "cannot write the cookie keys: %s", strerror(-err));
	say_clock(s);
	say_news(s, &news);
	return 0;
}

/* Also takes a guard back to keys of its own, once the file names none. */
static int rotate(const struct scene *s, __u64 rotation_ms, struct why *why)
{
	struct keys_state state;
	__u64 offset_ns;
	__u32 wait_s;
	int err;

	err = settings_epoch_offset(s->config_fd, &offset_ns);
	if (!err)
		err = keys_look(s->secrets_fd, offset_ns, &state);
	if (!err && state.source == SW_KEYS_RANDOM && state.age_s * 1000 < rotation_ms)
		return 0;
	if (!err)
		err = keys_rotate(s->secrets_fd, offset_ns, &wait_s);
	if (err == -EAGAIN)
		return 0;
	if (err)
		return why_is(why, err, "cannot rotate the cookie key: %s", strerror(-err));
	log_say(s->log, LOG_INFO, s->ifname, "new cookie key");
	return 0;
}

static void note_trouble(const struct scene *s, const struct why *why)
{
	if (!strncmp(s->r->trouble, why->text, sizeof(s->r->trouble) - 1))
		return;
	snprintf(s->r->trouble, sizeof(s->r->trouble), "%s", why->text);
	log_say(s->log, LOG_ERR, s->ifname, "%s; the keys stay as they are", why->text);
}

void rotation_tick(struct rotation *r, const struct log *log, const char *ifname,
		   const struct host_maps *maps, const struct config_synward *config)
{
	struct scene s = {r, log, ifname, host_maps_fd(maps, "secrets"),
			  host_maps_fd(maps, "config")};
	struct why why = {};
	int err, lock = pins_trylock(&why);

	if (lock == -EAGAIN)
		return; /* the next tick is soon enough */
	if (lock < 0) {
		note_trouble(&s, &why);
		return;
	}
	err = config->key_file[0] ? follow(&s, config->key_file, &why)
				  : rotate(&s, config->key_rotation, &why);
	close(lock);
	if (err)
		note_trouble(&s, &why);
	else
		r->trouble[0] = '\0';
}
