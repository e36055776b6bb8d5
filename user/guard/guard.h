/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A guard: one interface of one network namespace, and the directory below bpffs that
 * keeps it on without a process. The directory is named after what stays the same when
 * an interface is renamed and differs between namespaces: inode and index.
 */
#ifndef SYNWARD_GUARD_H
#define SYNWARD_GUARD_H

#include <net/if.h>
#include <stdbool.h>
#include <linux/types.h>

#include "abi.h"
#include "why.h"

#define GUARD_BPFFS "/sys/fs/bpf"
#define GUARD_ROOT GUARD_BPFFS "/synward"
#define GUARD_PATH 96 /* bytes, with a pin's name */

/* Pins beside those of the maps, which are named like the maps. */
#define GUARD_XDP_LINK "xdp_link"
#define GUARD_TC_LINK "tc_link"
#define GUARD_TC_NEXT "tc_next" /* the other way's, until it is tc_link */
#define GUARD_TC_HAND "tc_hand" /* proxy path: tc ingress, where the kernel takes our program for it */
#define GUARD_CLSACT "made_clsact" /* an empty directory: the qdisc is ours to remove */

struct guard {
	char ifname[IF_NAMESIZE]; /* "" if the interface is gone */
	unsigned int ifindex;
	__u64 netns_inode;
};

int guard_netns(__u64 *ret_inode);

/* The guard of that interface of this namespace, whether attached or not. */
int guard_by_name(const char *ifname, struct guard *ret, struct why *why);

/* Path of the guard's directory (name NULL), or of a pin in it. */
void guard_path(const struct guard *g, const char *name, char path[GUARD_PATH]);
bool guard_has(const struct guard *g, const char *name);

/* Of a guard that was found, after a while: 0, -ENODEV or -ENOENT, and what became of it. */
int guard_lasts(const struct guard *g, struct why *why);

/* Calls each for every directory below GUARD_ROOT, of any namespace, until it returns non-zero. */
int guard_each(int (*each)(const struct guard *g, void *arg), void *arg);

/* The info map's value; works without privileges. */
int guard_info(const struct guard *g, struct sw_info *ret);

#endif
