// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What a driver says of its XDP: generic netlink family "netdev", Linux 6.3 and later. */
#include <errno.h>
#include <string.h>

#include <linux/genetlink.h>

#include "netdev.h"
#include "netlink.h"

/* linux/netdev.h, which headers of 6.1 lack. */
#define NETDEV_CMD_DEV_GET 1
#define NETDEV_A_DEV_IFINDEX 1
#define NETDEV_A_DEV_XDP_FEATURES 3

static struct nlmsghdr *put_request(char *buffer, __u16 family, __u8 command)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *genl;

	request->nlmsg_type = family;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	genl = mnl_nlmsg_put_extra_header(request, sizeof(*genl));
	genl->cmd = command;
	genl->version = 1;
	return request;
}

static int note_family(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
		*(__u16 *)arg = mnl_attr_get_u16(attr);
	return MNL_CB_OK;
}

static int read_family(const struct nlmsghdr *answer, void *arg)
{
	return mnl_attr_parse(answer, sizeof(struct genlmsghdr), note_family, arg);
}

static int note_features(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == NETDEV_A_DEV_XDP_FEATURES)
		*(int *)arg = (int)(mnl_attr_get_u64(attr) & 0xffff);
	return MNL_CB_OK;
}

static int read_device(const struct nlmsghdr *answer, void *arg)
{
	return mnl_attr_parse(answer, sizeof(struct genlmsghdr), note_features, arg);
}

int netdev_has_xdp(unsigned int ifindex, enum netdev_xdp what)
{
	char buffer[256] = {};
	struct nlmsghdr *request = put_request(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	int has = -EOPNOTSUPP, err;
	__u16 family = 0;

	mnl_attr_put_strz(request, CTRL_ATTR_FAMILY_NAME, "netdev");
	err = netlink_ask_of(NETLINK_GENERIC, request, read_family, &family);
	if (err || !family)
		return -EOPNOTSUPP; /* ENOENT: a kernel from before */
	memset(buffer, 0, sizeof(buffer));
	request = put_request(buffer, family, NETDEV_CMD_DEV_GET);
	mnl_attr_put_u32(request, NETDEV_A_DEV_IFINDEX, ifindex);
	err = netlink_ask_of(NETLINK_GENERIC, request, read_device, &has);
	return err ?: has < 0 ? has : !!(has & what);
}
