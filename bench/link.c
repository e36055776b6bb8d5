// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"

#define NEIGHBOUR_TRIES 20
#define NEIGHBOUR_WAIT_US 50000

static size_t address_length(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

/* Sends one request and hands each answer to read_one. */
static int ask(struct nlmsghdr *request, mnl_cb_t read_one, void *arg)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	char buf[32768];
	ssize_t n;
	int r = -1;

	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		goto out;
	do {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		r = n < 0 ? -1 : mnl_cb_run(buf, n, 0, mnl_socket_get_portid(nl), read_one, arg);
	} while (r > MNL_CB_STOP && request->nlmsg_flags & NLM_F_DUMP);
out:
	r = r < 0 ? -errno : 0;
	mnl_socket_close(nl);
	return r;
}

/* The family's own header is the message's payload. */
static struct nlmsghdr *request(char *buf, uint16_t type, uint16_t flags, size_t family_header)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	mnl_nlmsg_put_extra_header(nlh, family_header);
	return nlh;
}

static int read_kind(const struct nlattr *attr, void *arg)
{
	struct link_info *info = arg;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
		info->veth = !strcmp(mnl_attr_get_str(attr), "veth");
	return MNL_CB_OK;
}

static int read_link_attr(const struct nlattr *attr, void *arg)
{
	struct link_info *info = arg;
	struct rtnl_link_stats64 stats;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(attr) == ETHER_ADDR_LEN)
			memcpy(&info->mac, mnl_attr_get_payload(attr), ETHER_ADDR_LEN);
		break;
	case IFLA_LINKINFO:
		mnl_attr_parse_nested(attr, read_kind, info);
		break;
	case IFLA_STATS64:
		memcpy(&stats, mnl_attr_get_payload(attr), sizeof(stats));
		info->tx_packets = stats.tx_packets;
		info->tx_dropped = stats.tx_dropped;
		break;
	}
	return MNL_CB_OK;
}

static int read_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);

	((struct link_info *)arg)->up = ifi->ifi_flags & IFF_UP;
	mnl_attr_parse(nlh, sizeof(*ifi), read_link_attr, arg);
	return MNL_CB_STOP;
}

int link_read(unsigned int ifindex, struct link_info *ret)
{
	struct link_info info = {};
	char buf[256];
	struct nlmsghdr *nlh = request(buf, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	int r;

	ifi->ifi_index = ifindex;
	r = ask(nlh, read_link, &info);
	if (!r)
		*ret = info;
	return r;
}

static int read_gateway_attr(const struct nlattr *attr, void *arg)
{
	struct in6_addr *hop = arg;

	if (mnl_attr_get_type(attr) == RTA_GATEWAY)
		memcpy(hop, mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
	return MNL_CB_OK;
}

static int read_gateway(const struct nlmsghdr *nlh, void *arg)
{
	mnl_attr_parse(nlh, sizeof(struct rtmsg), read_gateway_attr, arg);
	return MNL_CB_STOP;
}

/* hop: the destination; becomes its gateway if there is one. */
static int find_gateway(unsigned int ifindex, int family, struct in6_addr *hop)
{
	char buf[256];
	struct nlmsghdr *nlh = request(buf, RTM_GETROUTE, 0, sizeof(struct rtmsg));
	struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);

	rtm->rtm_family = family;
	rtm->rtm_dst_len = address_length(family) * 8;
	mnl_attr_put(nlh, RTA_DST, address_length(family), hop);
	mnl_attr_put_u32(nlh, RTA_OIF, ifindex);
	return ask(nlh, read_gateway, hop);
}

struct neighbour {
	unsigned int ifindex;
	int family;
	struct in6_addr address;
	struct ether_addr mac;
	bool found;
};

struct neighbour_attrs {
	const void *address, *mac;
	size_t mac_length;
};

static int read_neighbour_attr(const struct nlattr *attr, void *arg)
{
	struct neighbour_attrs *attrs = arg;

	if (mnl_attr_get_type(attr) == NDA_DST) {
		attrs->address = mnl_attr_get_payload(attr);
	} else if (mnl_attr_get_type(attr) == NDA_LLADDR) {
		attrs->mac = mnl_attr_get_payload(attr);
		attrs->mac_length = mnl_attr_get_payload_len(attr);
	}
	return MNL_CB_OK;
}

static int read_neighbour(const struct nlmsghdr *nlh, void *arg)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	struct neighbour_attrs attrs = {};
	struct neighbour *wanted = arg;

	if (ndm->ndm_ifindex != (int)wanted->ifindex || ndm->ndm_family != wanted->family)
		return MNL_CB_OK;
	mnl_attr_parse(nlh, sizeof(*ndm), read_neighbour_attr, &attrs);
	if (attrs.address && attrs.mac && attrs.mac_length == ETHER_ADDR_LEN &&
	    !memcmp(attrs.address, &wanted->address, address_length(wanted->family))) {
		memcpy(&wanted->mac, attrs.mac, ETHER_ADDR_LEN);
		wanted->found = true;
	}
	return MNL_CB_OK;
}

static int find_neighbour(struct neighbour *wanted)
{
	char buf[256];
	struct nlmsghdr *nlh = request(buf, RTM_GETNEIGH, NLM_F_DUMP, sizeof(struct ndmsg));
	struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);

	ndm->ndm_family = wanted->family;
	ndm->ndm_ifindex = wanted->ifindex;
	return ask(nlh, read_neighbour, wanted);
}

/* Makes the kernel resolve the next hop: one datagram to the discard port. */
static void provoke(unsigned int ifindex, int family, const struct in6_addr *to)
{
	struct sockaddr_in6 sa6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = *to};
	struct sockaddr_in sa4 = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char name[IF_NAMESIZE];

	if (fd < 0)
		return;
	memcpy(&sa4.sin_addr, to, sizeof(sa4.sin_addr));
	if (if_indextoname(ifindex, name))
		(void)setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, strlen(name));
	if (family == AF_INET6)
		(void)sendto(fd, "", 1, 0, (void *)&sa6, sizeof(sa6));
	else
		(void)sendto(fd, "", 1, 0, (void *)&sa4, sizeof(sa4));
	close(fd);
}

int link_next_hop_mac(unsigned int ifindex, int family, const struct in6_addr *to,
		      struct ether_addr *ret)
{
	struct neighbour hop = {.ifindex = ifindex, .family = family, .address = *to};
	int r = find_gateway(ifindex, family, &hop.address);

	for (int i = 0; !r && i < NEIGHBOUR_TRIES; i++) {
		r = find_neighbour(&hop);
		if (!r && hop.found) {
			*ret = hop.mac;
			return 0;
		}
		if (!i)
			provoke(ifindex, family, to);
		usleep(NEIGHBOUR_WAIT_US);
	}
	return r ?: -EHOSTUNREACH;
}
