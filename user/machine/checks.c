// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/capability.h>

#include "checks.h"
#include "keys.h"
#include "listeners.h"
#include "nat.h"
#include "netdev.h"
#include "path.h"
#include "syncookies.h"
#include "sysctl.h"

void check_warn(const struct check_scene *scene, const char *format, ...)
{
	char text[384];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	scene->warn(scene->arg, text);
}

int checks_run(const struct check *checks, const struct check_scene *scene, struct why *why)
{
	int err = 0;

	for (; !err && checks->name; checks++)
		err = checks->run(scene, why);
	return err;
}

static int effective_capabilities(__u64 *ret)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	int err = -ENOENT;

	if (!f)
		return -errno;
	while (err && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "CapEff: %llx", ret) == 1)
			err = 0;
	}
	fclose(f);
	return err;
}

static bool has(__u64 capabilities, int which)
{
	return capabilities >> which & 1;
}

int check_privileges(const struct check_scene *scene, struct why *why)
{
	__u64 have;
	bool bpf, perfmon, net;

	if (effective_capabilities(&have)) /* the kernel will say */
		return 0;
	net = has(have, CAP_NET_ADMIN);
	bpf = has(have, CAP_BPF) || has(have, CAP_SYS_ADMIN);
	perfmon = has(have, CAP_PERFMON) || has(have, CAP_SYS_ADMIN);
	if (net && bpf && perfmon)
		return 0;
	return why_is(why, -EPERM, "missing%s%s%s; run as root or with these capabilities",
		      net ? "" : " CAP_NET_ADMIN", bpf ? "" : " CAP_BPF",
		      perfmon ? "" : " CAP_PERFMON");
}

static int check_btf(const struct check_scene *scene, struct why *why)
{
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		return 0;
	return why_is(why, -ENOENT,
		      "the kernel describes no types (/sys/kernel/btf/vmlinux); use one built with "
		      "CONFIG_DEBUG_INFO_BTF");
}

static int check_path(const struct check_scene *scene, struct why *why)
{
	int asked = scene->plan ? (int)scene->plan->path : PATH_AUTO;
	struct why lacks;
	enum sw_path path;

	return path_choose(asked, &path, &lacks, why);
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
			check_warn(scene, "net.ipv4.%s is 0: %s; sysctl -w net.ipv4.%s=1",
				   options[i].name, options[i].loss, options[i].name);
	}
	return 0;
}

/* The proxy path shields others' listeners. */
static int check_listeners(const struct check_scene *scene, struct why *why)
{
	struct listeners_elsewhere e;

	if (scene->plan && scene->plan->path == SW_PATH_PROXY)
		return 0;
	if (listeners_count("thread-self"))
		return 0;
	e = listeners_elsewhere();
	if (e.namespaces)
		check_warn(
			scene,
			"nothing listens in this network namespace, but in %d other%s (as that of "
			"process %s): host mode guards listeners of its own namespace; attach "
			"there "
			"(nsenter --net -t %s), or 'attach --path proxy' here",
			e.namespaces, e.namespaces == 1 ? "" : "s", e.pid, e.pid);
	else
		check_warn(scene,
			   "nothing listens in this network namespace: nothing to guard yet");
	return 0;
}

static bool is_compat(const struct check_scene *scene)
{
	return scene->plan && scene->plan->path == SW_PATH_COMPAT;
}

/* On the proxy path connections that are translated are made by SYNs. */
static bool makes_of_cookies(const struct check_scene *scene)
{
	return scene->plan->path != SW_PATH_PROXY || scene->plan->hands_over;
}

static int check_refused(struct why *why)
{
	int value;

	if (sysctl_read("net/ipv4/tcp_syncookies", &value) || value)
		return 0;
	return why_is(
		why, -EINVAL,
		"net.ipv4.tcp_syncookies is 0 and the kernel refuses connections that cookies "
		"made; sysctl -w net.ipv4.tcp_syncookies=1");
}

static int check_syncookies(const struct check_scene *scene, struct why *why)
{
	if (!makes_of_cookies(scene))
		return 0;
	if (is_compat(scene)) {
		if (!scene->plan->keep_syncookies || syncookies_are_always())
			return 0;
		return why_is(why, -EINVAL,
			      "the compat path needs net.ipv4.tcp_syncookies=2; sysctl -w "
			      "net.ipv4.tcp_syncookies=2, or --syncookies set");
	}
	return check_refused(why);
}

/* The kernel's cookies keep options in timestamps, which BPF can write only without offsets. */
static int check_timestamps(const struct check_scene *scene, struct why *why)
{
	int value;

	if (is_compat(scene) && !sysctl_read("net/ipv4/tcp_timestamps", &value) && value != 2)
		check_warn(scene,
			   "compat path: connections get no window scale, SACK, timestamps or "
			   "ECN; sysctl -w net.ipv4.tcp_timestamps=2 keeps them for clients with "
			   "timestamps, and lets clients see how long this machine is up");
	return 0;
}

static int check_vlan(const struct check_scene *scene, struct why *why)
{
	const struct guard *g = scene->guard;
	char vlan[IF_NAMESIZE];

	if (scene->plan->mode != SW_XDP_NATIVE ||
	    !netdev_has_feature(g->ifname, NETDEV_STRIPS_VLAN) ||
	    netdev_vlan_above(g->ifindex, vlan) != 1)
		return 0;
	return why_is(why, -EINVAL,
		      "the NIC takes VLAN tags off before XDP sees them and %s needs them in the "
		      "replies; ethtool -K %s rxvlan off",
		      vlan, g->ifname);
}

#define MTU_MIN_V4 576  /* the kernel refuses hand-overs with an MSS under 536 */
#define MTU_MIN_V6 1280 /* RFC 8200 5 */

static int check_mss(const struct guard *g, struct why *why)
{
	int mtu = netdev_mtu(g->ifname);

	if (mtu <= 0 || mtu >= MTU_MIN_V4)
		return 0;
	return why_is(why, -EINVAL,
		      "MTU %d: the kernel takes no connection with an MSS under 536 from a "
		      "cookie; ip link set %s mtu %d or more",
		      mtu, g->ifname, MTU_MIN_V4);
}

int check_takes_cookies(const struct guard *g, struct why *why)
{
	int err = check_refused(why);

	return err ?: check_mss(g, why);
}

static int check_mtu(const struct check_scene *scene, struct why *why)
{
	int mtu = netdev_mtu(scene->guard->ifname);
	int err = makes_of_cookies(scene) ? check_mss(scene->guard, why) : 0;

	if (err)
		return err;
	if (mtu > 0 && mtu < MTU_MIN_V6)
		check_warn(scene,
			   "MTU %d: no IPv6 over this interface; ip link set %s mtu %d or more",
			   mtu, scene->guard->ifname, MTU_MIN_V6);
	return 0;
}

static int check_conntrack(const struct check_scene *scene, struct why *why)
{
	int value;

	if (!makes_of_cookies(scene)) /* conntrack sees the SYN */
		return 0;
	if (!sysctl_read("net/netfilter/nf_conntrack_tcp_loose", &value) && !value)
		check_warn(scene,
			   "net.netfilter.nf_conntrack_tcp_loose is 0: conntrack never sees the "
			   "SYN, so a stateful firewall would drop every connection; sysctl -w "
			   "net.netfilter.nf_conntrack_tcp_loose=1");
	return 0;
}

static int check_clock(const struct check_scene *scene, struct why *why)
{
	if (scene->plan->shared && !keys_clock_synchronised())
		check_warn(scene,
			   "nothing keeps this machine's clock right, and shared keys count on "
			   "it; run chrony or systemd-timesyncd");
	return 0;
}

/* A DNATed port has no listener here, or only a proxy's: a cookie for it would break it. */
static void leave_alone(void *arg, const struct nat_rule *rule)
{
	const struct check_scene *scene = arg;
	struct ports *ports = &scene->plan->ports;

	if (rule->unread) {
		check_warn(scene,
			   "%s has NAT rules that cannot be read here: name the ports to guard, "
			   "without those it redirects",
			   rule->where);
		return;
	}
	if (!rule->first) {
		check_warn(scene,
			   "%s redirects without naming a TCP port: give --ports without what it "
			   "takes",
			   rule->where);
		return;
	}
	if (!ports_have_any(ports, rule->first, rule->last))
		return;
	ports_set(ports, rule->first, rule->last, false);
	if (rule->first == rule->last)
		check_warn(scene,
			   "port %u is redirected (%s): left alone in host mode, the proxy path "
			   "would shield it",
			   rule->first, rule->where);
	else
		check_warn(scene,
			   "ports %u-%u are redirected (%s): left alone in host mode, the proxy "
			   "path would shield them",
			   rule->first, rule->last, rule->where);
}

int check_nat(const struct check_scene *scene, struct why *why)
{
	char where[128];

	if (scene->plan->path == SW_PATH_PROXY)
		return 0;
	if (scene->plan->path == SW_PATH_HOST && nat_is_on(where))
		check_warn(scene,
			   "NAT is on here (%s), and the kernel's NAT loses every connection that "
			   "the host path hands over; --path compat or proxy",
			   where);
	/* What cannot be read is no reason not to guard: most hosts have no NAT. */
	nat_each(scene->guard->ifname, leave_alone, (void *)scene);
	return 0;
}

const struct check checks_machine[] = {{"privileges", check_privileges},
				       {"kernel types", check_btf},
				       {"path", check_path},
				       {"TCP options", check_options},
				       {}};

const struct check checks_interface[] = {{"syncookies", check_syncookies},
					 {"timestamps", check_timestamps},
					 {"vlan", check_vlan},
					 {"MTU", check_mtu},
					 {"conntrack", check_conntrack},
					 {"clock", check_clock},
					 {"nat", check_nat},
					 {"listeners", check_listeners},
					 {}};
