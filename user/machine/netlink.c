// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>

#include <linux/rtnetlink.h>

#include "netlink.h"

#define BUFFER 32768 /* bytes; what the kernel fills at most in one dump message */

int netlink_ask_of(int protocol, struct nlmsghdr *request, mnl_cb_t each, void *arg)
{
	struct mnl_socket *sock = mnl_socket_open(protocol);
	char buffer[BUFFER];
	unsigned int seq = 1;
	ssize_t length;
	int more, err = 0;

	if (!sock)
		return -errno;
	request->nlmsg_seq = seq;
	if (mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(sock, request, request->nlmsg_len) < 0)
		goto fail;
	do {
		length = mnl_socket_recvfrom(sock, buffer, sizeof(buffer));
		if (length < 0)
			goto fail;
		more = mnl_cb_run(buffer, length, seq, mnl_socket_get_portid(sock), each, arg);
		if (more < 0)
			goto fail;
	} while (more > 0);
	goto out;
fail:
	err = -errno;
out:
	mnl_socket_close(sock);
	return err;
}

int netlink_ask(struct nlmsghdr *request, mnl_cb_t each, void *arg)
{
	return netlink_ask_of(NETLINK_ROUTE, request, each, arg);
}
