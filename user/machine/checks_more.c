// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What attach sees to itself, and what a running guard lacks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "checks.h"
#include "counters.h"
#include "keys.h"
#include "netdev.h"
#include "path.h"
#include "tc.h"

static int check_bpffs(const struct check_scene *scene, struct why *why)
{
	struct statfs fs;

	if (statfs(GUARD_BPFFS, &fs))
		return why_is(why, -errno, "%s: %s; is /sys mounted?", GUARD_BPFFS,
			      strerror(errno));
	if (fs.f_type != BPF_FS_MAGIC)
		check_warn(scene,
			   "no bpffs at %s: attach mounts one, but a guard is on only as long as "
			   "that is; mount it at boot, or run where it is (not in 'ip netns exec')",
			   GUARD_BPFFS);
	return 0;
}

static int check_best_path(const struct check_scene *scene, struct why *why)
{
	struct why lacks, ignored;
	enum sw_path path;

	if (!path_choose(PATH_AUTO, &path, &lacks, &ignored) && lacks.text[0])
		check_warn(scene, "%s path, not host: %s; see docs/compat.md", path_name(path),
			   lacks.text);
	return 0;
}

static int check_foreign(const struct check_scene *scene, struct why *why)
{
	struct xdp_state xdp;
	int err = xdp_look(scene->guard, &xdp, why);

	if (err || !xdp.foreign_id)
		return err;
	return why_is(
		why, -EBUSY,
		"XDP program '%s' (id %u) is on the interface and shares with nobody; ip link "
		"set %s xdp off, or load it with xdp-loader",
		xdp.foreign_name, xdp.foreign_id, scene->guard->ifname);
}

/* Generic mode is right where native would hold replies back, but it costs. */
static int check_mode(const struct check_scene *scene, struct why *why)
{
	const char *ifname = scene->guard->ifname;
	enum netdev_peer peer;
	struct xdp_state xdp;
	struct why ignored;

	if (netdev_peer(scene->guard->ifindex, &peer))
		return 0;
	if (peer == NETDEV_PEER_NO_XDP)
		check_warn(
			scene,
			"veth whose peer has no XDP program: native XDP would hold replies back, "
			"generic is taken, which costs about twice as much; an XDP program on the "
			"peer that passes all makes it native");
	else if (peer == NETDEV_PEER_UNSEEN)
		check_warn(scene,
			   "veth whose peer is in a namespace that cannot be seen: generic XDP is "
			   "taken unless told otherwise (--xdp native, if it has an XDP program)");
	else if (!netdev_has_xdp(scene->guard->ifindex, NETDEV_XDP_NATIVE))
		check_warn(scene, "the driver has no native XDP: generic is taken, which costs "
				  "about twice as much; "
				  "a NIC whose driver has it does better in a flood");
	else if (!xdp_look(scene->guard, &xdp, &ignored) && xdp.ours_count &&
		 xdp.mode == SW_XDP_GENERIC)
		check_warn(
			scene,
			"guarded in generic mode, which costs about twice as much as native; "
			"'synward detach %s', then 'synward attach %s --xdp native' tells whether "
			"the driver can",
			ifname, ifname);
	return 0;
}

/* A guard that is on: whether it really is. */
static int check_hooks(const struct check_scene *scene, struct why *why)
{
	const struct guard *g = scene->guard;
	enum sw_tc_kind kind;
	struct xdp_state xdp;
	struct sw_info info;
	int err;

	if (!guard_has(g, NULL))
		return 0;
	err = guard_info(g, &info);
	if (err || info.abi != SW_ABI)
		return why_is(why, -EPROTO, "guarded by %s; 'synward attach %s'",
			      err ? "half" : "another version", g->ifname);
	err = xdp_look(g, &xdp, why);
	if (err)
		return err;
	if (!xdp.ours_count)
		return why_is(why, -ENOLINK, "the XDP program is gone; 'synward attach %s'",
			      g->ifname);
	if (info.tc_kind != SW_TC_NONE && !tc_look(g, &kind))
		return why_is(why, -ENOLINK, "the tc program is gone; 'synward attach %s'",
			      g->ifname);
	return 0;
}

/* What a driver that keeps no XDP metadata, or a program behind, makes of validated connections. */
static int check_hand_over(const struct check_scene *scene, struct why *why)
{
	const char *ifname = scene->guard->ifname;
	struct sw_counters c;
	struct why ignored;
	int fd;

	if (!guard_has(scene->guard, NULL))
		return 0;
	fd = counters_open(scene->guard, &ignored);
	if (fd < 0 || counters_read(fd, &c))
		memset(&c, 0, sizeof(c));
	if (fd >= 0)
		close(fd);
	if (c.verdict[SW_NO_ROOM])
		check_warn(
			scene,
			"%llu frames had no room for an answer or for XDP metadata in the driver's "
			"buffer; 'synward detach %s', then 'synward attach %s --xdp generic' has "
			"it",
			c.verdict[SW_NO_ROOM], ifname, ifname);
	if (c.event[SW_EV_HANDOFF_REFUSED])
		check_warn(scene,
			   "the kernel refused %llu validated connections; 'synward events %s' "
			   "says with "
			   "which error",
			   c.event[SW_EV_HANDOFF_REFUSED], ifname);
	return 0;
}

/* Only keys that are shared count on the clock of day. */
static int check_keys(const struct check_scene *scene, struct why *why)
{
	struct keys_state state;
	struct xdp_state xdp;
	struct why ignored;
	const char *advice;

	if (xdp_look(scene->guard, &xdp, &ignored) || keys_look_running(&xdp, &state))
		return 0;
	advice = keys_advice(&state, 0);
	if (advice)
		check_warn(scene, "%s", advice);
	return 0;
}

const struct check checks_more_machine[] = {
	{"bpffs", check_bpffs}, {"best path", check_best_path}, {}};

const struct check checks_more_interface[] = {{"other XDP programs", check_foreign},
					      {"XDP mode", check_mode},
					      {"hooks", check_hooks},
					      {"hand-over", check_hand_over},
					      {"keys and clock", check_keys},
					      {}};
