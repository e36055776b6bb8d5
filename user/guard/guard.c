// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "guard.h"
#include "pins.h"

int guard_netns(__u64 *ret_inode)
{
	struct stat st;

	if (stat("/proc/thread-self/ns/net", &st) && stat("/proc/self/ns/net", &st))
		return -errno;
	*ret_inode = st.st_ino;
	return 0;
}

int guard_by_name(const char *ifname, struct guard *ret, struct why *why)
{
	struct guard g = {};
	int err;

	if (strlen(ifname) >= sizeof(g.ifname))
		return why_is(why, -ENODEV, "no such interface; the name is too long for one");
	g.ifindex = if_nametoindex(ifname);
	if (!g.ifindex)
		return why_is(why, -ENODEV,
			      "no such interface in this network namespace; see 'ip link'");
	strcpy(g.ifname, ifname);
	err = guard_netns(&g.netns_inode);
	if (err)
		return why_is(why, err, "cannot tell the network namespace: %s; is /proc mounted?",
			      strerror(-err));
	*ret = g;
	return 0;
}

void guard_path(const struct guard *g, const char *name, char path[GUARD_PATH])
{
	snprintf(path, GUARD_PATH, GUARD_ROOT "/%llu-%u%s%s", g->netns_inode, g->ifindex,
		 name ? "/" : "", name ? name : "");
}

bool guard_has(const struct guard *g, const char *name)
{
	char path[GUARD_PATH];

	guard_path(g, name, path);
	return !access(path, F_OK);
}

int guard_lasts(const struct guard *g, struct why *why)
{
	char name[IF_NAMESIZE];

	if (!if_indextoname(g->ifindex, name))
		return why_is(why, -ENODEV, "the interface is gone");
	if (!guard_has(g, "counters"))
		return why_is(why, -ENOENT, "the guard was taken off");
	return 0;
}

static bool parse_directory(const char *name, struct guard *ret)
{
	struct guard g = {};
	__u64 here;
	int end = 0;

	if (sscanf(name, "%llu-%u%n", &g.netns_inode, &g.ifindex, &end) != 2 || name[end])
		return false;
	if (!guard_netns(&here) && here == g.netns_inode && !if_indextoname(g.ifindex, g.ifname))
		g.ifname[0] = '\0';
	*ret = g;
	return true;
}

int guard_each(int (*each)(const struct guard *g, void *arg), void *arg)
{
	struct dirent *entry;
	struct guard g;
	DIR *dir;
	int err = 0;

	dir = opendir(GUARD_ROOT);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (entry = readdir(dir))) {
		if (parse_directory(entry->d_name, &g))
			err = each(&g, arg);
	}
	closedir(dir);
	return err;
}

int guard_info(const struct guard *g, struct sw_info *ret)
{
	int fd = pins_open_readonly(g, "info");
	struct sw_info info = {}; /* another version's may be shorter */
	__u32 zero = 0;
	int err = 0;

	if (fd < 0)
		return fd;
	if (bpf_map_lookup_elem(fd, &zero, &info))
		err = -errno;
	close(fd);
	if (!err)
		*ret = info;
	return err;
}
