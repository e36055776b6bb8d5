// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>

#include "netdev.h"
#include "netlink.h"

struct link {
	unsigned int ifindex;
	char ifname[IF_NAMESIZE];
	char kind[16];
	unsigned int lower; /* IFLA_LINK: a veth's peer, a VLAN's interface */
	int lower_netnsid;  /* -1: this namespace */
	bool native_xdp;
	unsigned int downs;
};

static int read_kind(const struct nlattr *attr, void *arg)
{
	struct link *link = arg;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
		snprintf(link->kind, sizeof(link->kind), "%s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

static int read_xdp(const struct nlattr *attr, void *arg)
{
	struct link *link = arg;

	if (mnl_attr_get_type(attr) == IFLA_XDP_DRV_PROG_ID && mnl_attr_get_u32(attr))
		link->native_xdp = true;
	return MNL_CB_OK;
}

static int read_attribute(const struct nlattr *attr, void *arg)
{
	struct link *link = arg;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_IFNAME:
		snprintf(link->ifname, sizeof(link->ifname), "%s", mnl_attr_get_str(attr));
		break;
	case IFLA_LINK:
		link->lower = mnl_attr_get_u32(attr);
		break;
	case IFLA_LINK_NETNSID:
		link->lower_netnsid = (int)mnl_attr_get_u32(attr);
		break;
	case IFLA_CARRIER_DOWN_COUNT:
		link->downs = mnl_attr_get_u32(attr);
		break;
	case IFLA_LINKINFO:
		return mnl_attr_parse_nested(attr, read_kind, link);
	case IFLA_XDP:
		return mnl_attr_parse_nested(attr, read_xdp, link);
	}
	return MNL_CB_OK;
}

static int read_link(const struct nlmsghdr *answer, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(answer);
	struct link *link = arg;

	*link = (struct link){.ifindex = ifi->ifi_index, .lower_netnsid = -1};
	return mnl_attr_parse(answer, sizeof(*ifi), read_attribute, link);
}

/* netnsid: of the namespace to look in, -1 for this one. */
static int get_link(unsigned int ifindex, int netnsid, struct link *ret)
{
	char buffer[256] = {};
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *ifi;
	struct link link = {};
	int err;

	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	ifi = mnl_nlmsg_put_extra_header(request, sizeof(*ifi));
	ifi->ifi_index = ifindex;
	if (netnsid >= 0)
		mnl_attr_put_u32(request, IFLA_TARGET_NETNSID, netnsid);
	err = netlink_ask(request, read_link, &link);
	if (err)
		return err;
	if (link.ifindex != ifindex)
		return -ENODEV;
	*ret = link;
	return 0;
}

int netdev_peer(unsigned int ifindex, enum netdev_peer *ret)
{
	struct link link, peer;
	int err = get_link(ifindex, -1, &link);

	if (err)
		return err;
	if (strcmp(link.kind, "veth"))
		*ret = NETDEV_NOT_VETH;
	else if (!link.lower || get_link(link.lower, link.lower_netnsid, &peer))
		*ret = NETDEV_PEER_UNSEEN;
	else
		*ret = peer.native_xdp ? NETDEV_PEER_HAS_XDP : NETDEV_PEER_NO_XDP;
	return 0;
}

int netdev_link_downs(unsigned int ifindex)
{
	struct link link;
	int err = get_link(ifindex, -1, &link);

	return err ? err : (int)link.downs;
}

struct vlan_search {
	unsigned int below;
	char name[IF_NAMESIZE];
};

static int match_vlan(const struct nlmsghdr *answer, void *arg)
{
	struct vlan_search *search = arg;
	struct link link;

	if (read_link(answer, &link) < 0)
		return MNL_CB_ERROR;
	if (link.lower == search->below && link.lower_netnsid < 0 && !strcmp(link.kind, "vlan"))
		strcpy(search->name, link.ifname);
	return MNL_CB_OK;
}

int netdev_vlan_above(unsigned int ifindex, char ret_name[IF_NAMESIZE])
{
	struct vlan_search search = {.below = ifindex};
	char buffer[256] = {};
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	int err;

	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	err = netlink_ask(request, match_vlan, &search);
	if (err || !search.name[0])
		return err;
	strcpy(ret_name, search.name);
	return 1;
}

/* The index of a feature of interfaces, as ethtool names it, or a negative errno. */
static int feature_index(int fd, struct ifreq *request, const char *name)
{
	struct {
		struct ethtool_sset_info info;
		__u32 count;
	} set = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES}};
	struct ethtool_gstrings *names;
	int found = -ENOENT;
	__u32 i;

	request->ifr_data = (void *)&set;
	if (ioctl(fd, SIOCETHTOOL, request))
		return -errno;
	names = calloc(1, sizeof(*names) + (size_t)set.count * ETH_GSTRING_LEN);
	if (!names)
		return -ENOMEM;
	*names = (struct ethtool_gstrings){
		.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = set.count};
	request->ifr_data = (void *)names;
	if (ioctl(fd, SIOCETHTOOL, request))
		found = -errno;
	for (i = 0; found == -ENOENT && i < names->len; i++) {
		if (!strncmp((char *)names->data + i * ETH_GSTRING_LEN, name, ETH_GSTRING_LEN))
			found = (int)i;
	}
	free(names);
	return found;
}

#define FEATURE_WORDS 8 /* of 32 features; Linux 7 has three */

bool netdev_has_feature(const char *ifname, const char *name)
{
	struct {
		struct ethtool_gfeatures head;
		struct ethtool_get_features_block word[FEATURE_WORDS];
	} all = {.head = {.cmd = ETHTOOL_GFEATURES, .size = FEATURE_WORDS}};
	struct ifreq request = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), at;

	if (fd < 0)
		return false;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	at = feature_index(fd, &request, name);
	request.ifr_data = (void *)&all;
	if (at >= FEATURE_WORDS * 32 || (at >= 0 && ioctl(fd, SIOCETHTOOL, &request)))
		at = -EOPNOTSUPP;
	close(fd);
	return at >= 0 && all.word[at / 32].active >> (at % 32) & 1;
}

static int note_filter(const struct nlmsghdr *answer, void *arg)
{
	*(bool *)arg = true;
	return MNL_CB_OK;
}

static bool has_filters_at(unsigned int ifindex, unsigned int minor)
{
	char buffer[256] = {};
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct tcmsg *tc;
	bool found = false;

	request->nlmsg_type = RTM_GETTFILTER;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	tc = mnl_nlmsg_put_extra_header(request, sizeof(*tc));
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = TC_H_MAKE(TC_H_CLSACT, minor);
	return netlink_ask(request, note_filter, &found) || found;
}

bool netdev_has_filters(unsigned int ifindex)
{
	return has_filters_at(ifindex, TC_H_MIN_INGRESS) ||
	       has_filters_at(ifindex, TC_H_MIN_EGRESS);
}

int netdev_mtu(const char *ifname)
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
