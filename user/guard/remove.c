// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "forward.h"
#include "install.h"
#include "pins.h"
#include "syncookies.h"
#include "tc.h"

int install_remove(const struct guard *g, struct why *why)
{
	struct xdp_state state;
	int err;

	err = xdp_look(g, &state, why);
	if (!err)
		err = xdp_detach(g, &state, why);
	if (!err)
		err = tc_detach(g, why);
	if (err)
		return err;
	forward_detach(g);
	syncookies_leave(g);
	err = pins_drop_all(g);
	return err ? why_is(why, err, "cannot remove pins below " GUARD_ROOT ": %s", strerror(-err))
		   : 0;
}

/*
 * Proven dead: an index of this namespace that no interface has, or a link that says its
 * interface is gone. Guards of other namespaces are left alone without such proof.
 */
static bool is_dead(const struct guard *g, __u64 here)
{
	if (g->netns_inode == here)
		return !g->ifname[0];
	return tc_proves_dead(g);
}

static int sweep_one(const struct guard *g, void *arg)
{
	const __u64 *here = arg;

	if (!is_dead(g, *here))
		return 0;
	if (g->netns_inode == *here)
		syncookies_leave(g);
	pins_drop_all(g);
	return 0;
}

void install_sweep(void)
{
	__u64 here;

	if (!guard_netns(&here))
		guard_each(sweep_one, &here);
}
