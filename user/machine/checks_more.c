// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What attach need not ask each time: what would disappoint, and what a running guard lacks. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>
#include <linux/sockios.h>

#include "checks.h"
#include "counters.h"
#include "keys.h"
#include "netdev.h"
#include "path.h"
#include "sysctl.h"
#include "tc.h"

__attribute__((format(printf, 2, 3))) static void warn(const struct check_scene *scene,
						       const char *format, ...)
{
	char text[384];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	scene->warn(scene->arg, text);
}

static int check_bpffs(const struct check_scene *scene, struct why *why)
{
	struct statfs fs;

	if (statfs(GUARD_BPFFS, &fs))
		return why_is(why, -errno, "%s: %s; is /sys mounted?", GUARD_BPFFS,
			      strerror(errno));
	if (fs.f_type != BPF_FS_MAGIC)
		warn(scene,
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
		warn(scene, "%s path, not host: %s; see docs/compat.md", path_name(path),
		     lacks.text);
	return 0;
}

/* What a sysctl takes from every connection, guarded or not. */
static int check_options(const struct check_scene *scene, struct why *why)
{
	static const struct {
		const char *name, *loss;
	} options[] = {
		{"tcp_timestamps", "connections have no timestamps, and guarded ones lose ECN and "
				   "have the MSS in 4 steps instead of 8"},
		{"tcp_sack", "connections have no SACK: each loss costs more retransmissions"},
		{"tcp_window_scaling", "windows end at 64 KiB: slow wherever it is far"},
	};
	char path[64];
	size_t i;
	int value;

	for (i = 0; i < sizeof(options) / sizeof(*options); i++) {
		snprintf(path, sizeof(path), "net/ipv4/%s", options[i].name);
		if (!sysctl_read(path, &value) && !value)
			warn(scene, "net.ipv4.%s is 0: %s; sysctl -w net.ipv4.%s=1",
			     options[i].name, options[i].loss, options[i].name);
	}
	return 0;
}

#define TCP_LISTEN 10

/* Listeners in a namespace's table, as that process sees it. */
static int count_listeners(const char *pid)
{
	static const char *const tables[] = {"tcp", "tcp6"};
	unsigned int state;
	char path[300], line[256];
	int count = 0;
	size_t i;
	FILE *f;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%s/net/%s", pid, tables[i]);
		f = fopen(path, "re");
		if (!f)
			continue;
		while (fgets(line, sizeof(line), f)) {
			if (sscanf(line, " %*d: %*s %*s %x", &state) == 1)
				count += state == TCP_LISTEN;
		}
		fclose(f);
	}
	return count;
}

#define NAMESPACES_MAX 256

struct elsewhere {
	ino_t seen[NAMESPACES_MAX];
	int namespaces, with_listeners;
	char pid[256]; /* of a process in one with listeners */
};

static void look_at_process(struct elsewhere *e, const char *pid)
{
	char path[300];
	struct stat st;
	int i;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	if (stat(path, &st) || e->namespaces == NAMESPACES_MAX)
		return;
	for (i = 0; i < e->namespaces; i++) {
		if (e->seen[i] == st.st_ino)
			return;
	}
	e->seen[e->namespaces++] = st.st_ino;
	if (!count_listeners(pid))
		return;
	if (!e->with_listeners++)
		snprintf(e->pid, sizeof(e->pid), "%s", pid);
}

static struct elsewhere look_elsewhere(void)
{
	struct elsewhere e = {};
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	struct stat st;

	if (!stat("/proc/thread-self/ns/net", &st))
		e.seen[e.namespaces++] = st.st_ino;
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			look_at_process(&e, entry->d_name);
	}
	if (dir)
		closedir(dir);
	return e;
}

static int check_listeners(const struct check_scene *scene, struct why *why)
{
	struct elsewhere e;

	if (count_listeners("thread-self"))
		return 0;
	e = look_elsewhere();
	if (e.with_listeners)
		warn(scene,
		     "nothing listens in this network namespace, but in %d other%s (as that of "
		     "process %s): host mode guards listeners of its own namespace; attach there "
		     "(nsenter --net -t %s), or 'attach --path proxy' here",
		     e.with_listeners, e.with_listeners == 1 ? "" : "s", e.pid, e.pid);
	else
		warn(scene, "nothing listens in this network namespace: nothing to guard yet");
	return 0;
}

static int read_mtu(const char *ifname)
{
	struct ifreq request = {};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	err = ioctl(fd, SIOCGIFMTU, &request) ? -errno : request.ifr_mtu;
	close(fd);
	return err;
}

#define MTU_MIN_V4 576  /* the kernel refuses hand-overs with an MSS under 536 */
#define MTU_MIN_V6 1280 /* RFC 8200 5 */

static int check_mtu(const struct check_scene *scene, struct why *why)
{
	int mtu = read_mtu(scene->guard->ifname);

	if (mtu > 0 && mtu < MTU_MIN_V4)
		return why_is(why, -EINVAL,
			      "MTU %d: the kernel takes no connection with an MSS under 536 from a "
			      "cookie; ip link set %s mtu %d or more",
			      mtu, scene->guard->ifname, MTU_MIN_V4);
	if (mtu > 0 && mtu < MTU_MIN_V6)
		warn(scene, "MTU %d: no IPv6 over this interface; ip link set %s mtu %d or more",
		     mtu, scene->guard->ifname, MTU_MIN_V6);
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
		warn(scene,
		     "veth whose peer has no XDP program: native XDP would hold replies back, "
		     "generic is taken, which costs about twice as much; an XDP program on the "
		     "peer that passes all makes it native");
	else if (peer == NETDEV_PEER_UNSEEN)
		warn(scene, "veth whose peer is in a namespace that cannot be seen: generic XDP is "
			    "taken unless told otherwise (--xdp native, if it has an XDP program)");
	else if (!netdev_native_xdp(scene->guard->ifindex))
		warn(scene,
		     "the driver has no native XDP: generic is taken, which costs about twice as much; "
		     "a NIC whose driver has it does better in a flood");
	else if (!xdp_look(scene->guard, &xdp, &ignored) && xdp.ours_count &&
		 xdp.mode == SW_XDP_GENERIC)
		warn(scene,
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
		warn(scene,
		     "%llu frames had no room for an answer or for XDP metadata in the driver's "
		     "buffer; 'synward detach %s', then 'synward attach %s --xdp generic' has it",
		     c.verdict[SW_NO_ROOM], ifname, ifname);
	if (c.event[SW_EV_HANDOFF_REFUSED])
		warn(scene,
		     "the kernel refused %llu validated connections; 'synward events %s' says with "
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
		warn(scene, "%s", advice);
	return 0;
}

const struct check checks_more_machine[] = {{"bpffs", check_bpffs},
					    {"best path", check_best_path},
					    {"TCP options", check_options},
					    {"listeners", check_listeners},
					    {}};

const struct check checks_more_interface[] = {{"other XDP programs", check_foreign},
					      {"XDP mode", check_mode},
					      {"MTU", check_mtu},
					      {"hooks", check_hooks},
					      {"hand-over", check_hand_over},
					      {"keys and clock", check_keys},
					      {}};
