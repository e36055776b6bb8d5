// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/capability.h>

#include "checks.h"
#include "keys.h"
#include "nat.h"
#include "netdev.h"
#include "path.h"
#include "syncookies.h"
#include "sysctl.h"

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

static bool is_compat(const struct check_scene *scene)
{
	return scene->plan && scene->plan->path == SW_PATH_COMPAT;
}

static int check_syncookies(const struct check_scene *scene, struct why *why)
{
	int value;

	if (is_compat(scene)) {
		if (!scene->plan->keep_syncookies || syncookies_are_always())
			return 0;
		return why_is(why, -EINVAL,
			      "the compat path needs net.ipv4.tcp_syncookies=2; sysctl -w "
			      "net.ipv4.tcp_syncookies=2, or --syncookies set");
	}
	if (sysctl_read("net/ipv4/tcp_syncookies", &value) || value)
		return 0;
	return why_is(
		why, -EINVAL,
		"net.ipv4.tcp_syncookies is 0 and the kernel refuses connections that cookies "
		"made; sysctl -w net.ipv4.tcp_syncookies=1");
}

/* The kernel's cookies keep options in timestamps, which BPF can write only without offsets. */
static int check_timestamps(const struct check_scene *scene, struct why *why)
{
	int value;

	if (is_compat(scene) && !sysctl_read("net/ipv4/tcp_timestamps", &value) && value != 2)
		scene->warn(scene->arg,
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

static int check_conntrack(const struct check_scene *scene, struct why *why)
{
	int value;

	if (scene->plan->path == SW_PATH_PROXY) /* where conntrack sees the SYN */
		return 0;
	if (!sysctl_read("net/netfilter/nf_conntrack_tcp_loose", &value) && !value)
		scene->warn(scene->arg,
			    "net.netfilter.nf_conntrack_tcp_loose is 0: conntrack never sees the "
			    "SYN, so a stateful firewall would drop every connection; sysctl -w "
			    "net.netfilter.nf_conntrack_tcp_loose=1");
	return 0;
}

static int check_clock(const struct check_scene *scene, struct why *why)
{
	if (scene->plan->shared && !keys_clock_synchronised())
		scene->warn(scene->arg,
			    "nothing keeps this machine's clock right, and shared keys count on "
			    "it; run chrony or systemd-timesyncd");
	return 0;
}

/* A DNATed port has no listener here, or only a proxy's: a cookie for it would break it. */
static void leave_alone(void *arg, const struct nat_rule *rule)
{
	const struct check_scene *scene = arg;
	struct ports *ports = &scene->plan->ports;
	char text[256];

	if (rule->unread) {
		snprintf(text, sizeof(text),
			 "%s has NAT rules that cannot be read here: name the ports to guard, "
			 "without those it redirects",
			 rule->where);
		scene->warn(scene->arg, text);
		return;
	}
	if (!rule->first) {
		snprintf(text, sizeof(text),
			 "%s redirects without naming a TCP port: give --ports without what it "
			 "takes",
			 rule->where);
		scene->warn(scene->arg, text);
		return;
	}
	if (!ports_have_any(ports, rule->first, rule->last))
		return;
	ports_set(ports, rule->first, rule->last, false);
	if (rule->first == rule->last)
		snprintf(text, sizeof(text),
			 "port %u is redirected (%s): left alone in host mode, the proxy path would "
			 "shield it",
			 rule->first, rule->where);
	else
		snprintf(text, sizeof(text),
			 "ports %u-%u are redirected (%s): left alone in host mode, the proxy path "
			 "would shield them",
			 rule->first, rule->last, rule->where);
	scene->warn(scene->arg, text);
}

int check_nat(const struct check_scene *scene, struct why *why)
{
	if (scene->plan->path == SW_PATH_PROXY)
		return 0;
	/* What cannot be read is no reason not to guard: most hosts have no NAT. */
	nat_each(scene->guard->ifname, leave_alone, (void *)scene);
	return 0;
}

const struct check checks_machine[] = {{"privileges", check_privileges},
				       {"kernel types", check_btf},
				       {"path", check_path},
				       {}};

const struct check checks_interface[] = {
	{"syncookies", check_syncookies},
	{"timestamps", check_timestamps},
	{"vlan", check_vlan},
	{"conntrack", check_conntrack},
	{"clock", check_clock},
	{"nat", check_nat},
	{}};
