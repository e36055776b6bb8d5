// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/rtnetlink.h>

#include "netlink.h"
#include "way.h"

static int read_attribute(const struct nlattr *attr, void *arg)
{
	struct way *way = arg;

	if (mnl_attr_get_type(attr) == RTA_OIF)
		way->ifindex = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

static int read_route(const struct nlmsghdr *answer, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(answer);
	struct way *way = arg;

	way->local = rtm->rtm_type == RTN_LOCAL;
	return mnl_attr_parse(answer, sizeof(*rtm), read_attribute, way);
}

int way_to(const __u8 addr[16], struct way *ret)
{
	static const __u8 mapped[12] = {[10] = 0xff, 0xff};
	bool v4 = !memcmp(addr, mapped, sizeof(mapped));
	char buffer[128] = {};
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct way way = {};
	struct rtmsg *rtm;
	int err;

	request->nlmsg_type = RTM_GETROUTE;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	rtm = mnl_nlmsg_put_extra_header(request, sizeof(*rtm));
	rtm->rtm_family = v4 ? AF_INET : AF_INET6;
	rtm->rtm_dst_len = v4 ? 32 : 128;
	mnl_attr_put(request, RTA_DST, v4 ? 4 : 16, v4 ? addr + 12 : addr);
	err = netlink_ask(request, read_route, &way);
	if (err)
		return err;
	if (!way.ifindex)
		return -ENETUNREACH;
	*ret = way;
	return 0;
}
