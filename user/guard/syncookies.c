// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "syncookies.h"
#include "sysctl.h"

#define SETTING "net/ipv4/tcp_syncookies"
#define ALWAYS	2

bool syncookies_are_always(void)
{
	int value;

	return !sysctl_read(SETTING, &value) && value == ALWAYS;
}

struct search {
	const struct guard *self;
	bool another; /* compat guard in the same namespace */
	__u32 before; /* what one of them remembers */
};

static int look_at(const struct guard *g, void *arg)
{
	struct search *s = arg;
	struct sw_info info;

	if (g->netns_inode != s->self->netns_inode || g->ifindex == s->self->ifindex ||
	    !g->ifname[0])
		return 0;
	if (guard_info(g, &info) || info.abi != SW_ABI || info.path != SW_PATH_COMPAT)
		return 0;
	s->another = true;
	s->before = info.syncookies_before;
	return 0;
}

static struct search look_for_others(const struct guard *g)
{
	struct search s = {.self = g};

	guard_each(look_at, &s);
	return s;
}

int syncookies_before(const struct guard *g, __u32 *ret, struct why *why)
{
	struct search s = look_for_others(g);
	int value, err = sysctl_read(SETTING, &value);

	if (err)
		return why_is(why, err, "cannot read net.ipv4.tcp_syncookies: %s", strerror(-err));
	*ret = value != ALWAYS ? (__u32)value + 1 : s.another ? s.before : 0;
	return 0;
}

int syncookies_set(struct why *why)
{
	int err = syncookies_are_always() ? 0 : sysctl_write(SETTING, ALWAYS);

	return err ? why_is(why, err,
			    "the compat path needs net.ipv4.tcp_syncookies=2 and setting it failed: "
			    "%s; sysctl -w net.ipv4.tcp_syncookies=2",
			    strerror(-err))
		   : 0;
}

void syncookies_leave(const struct guard *g)
{
	struct sw_info info;

	if (guard_info(g, &info) || info.abi != SW_ABI || info.path != SW_PATH_COMPAT ||
	    !info.syncookies_before)
		return;
	/* Somebody's own choice since then stays. */
	if (look_for_others(g).another || !syncookies_are_always())
		return;
	sysctl_write(SETTING, (int)info.syncookies_before - 1);
}
