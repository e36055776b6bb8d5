// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include "monitor.h"

/* Reads until nothing is left. ENOBUFS means that more came than fits: changed all the same. */
static void drain(struct mnl_socket *sock)
{
	char buffer[16384];
	ssize_t got;

	do {
		got = recv(mnl_socket_get_fd(sock), buffer, sizeof(buffer), MSG_DONTWAIT);
	} while (got > 0 || (got < 0 && (errno == ENOBUFS || errno == EINTR)));
}

static int hear_links(void *arg)
{
	struct monitor *m = arg;

	drain(m->links);
	return m->links_changed(m->arg);
}

static int hear_routes(void *arg)
{
	struct monitor *m = arg;

	drain(m->routes);
	m->routes_changed = true;
	return 0;
}

static int hear_rules(void *arg)
{
	struct monitor *m = arg;

	drain(m->rules);
	m->rules_changed = true;
	return 0;
}

static int join(struct mnl_socket *sock, int group)
{
	return mnl_socket_setsockopt(sock, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) ? -errno
											  : 0;
}

/* group2 0: none */
static int open_socket(struct monitor *m, struct mnl_socket **ret, int bus, int group, int group2,
		       loop_ready ready)
{
	struct mnl_socket *sock = mnl_socket_open2(bus, SOCK_CLOEXEC);
	int err;

	if (!sock)
		return -errno;
	err = mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : join(sock, group);
	if (!err && group2)
		err = join(sock, group2);
	if (!err)
		err = loop_add(m->loop, mnl_socket_get_fd(sock), ready, m);
	if (err)
		mnl_socket_close(sock);
	else
		*ret = sock;
	return err;
}

int monitor_open(struct monitor *m, struct loop *loop, loop_ready links_changed, void *arg)
{
	int err;

	*m = (struct monitor){.loop = loop, .links_changed = links_changed, .arg = arg};
	err = open_socket(m, &m->links, NETLINK_ROUTE, RTNLGRP_LINK, 0, hear_links);
	if (!err)
		err = open_socket(m, &m->routes, NETLINK_ROUTE, RTNLGRP_IPV4_ROUTE,
				  RTNLGRP_IPV6_ROUTE, hear_routes);
	if (err)
		monitor_close(m);
	else
		open_socket(m, &m->rules, NETLINK_NETFILTER, NFNLGRP_NFTABLES, 0, hear_rules);
	return err;
}

static void close_socket(struct monitor *m, struct mnl_socket *sock)
{
	if (!sock)
		return;
	loop_remove(m->loop, mnl_socket_get_fd(sock));
	mnl_socket_close(sock);
}

void monitor_close(struct monitor *m)
{
	close_socket(m, m->links);
	close_socket(m, m->routes);
	close_socket(m, m->rules);
}
