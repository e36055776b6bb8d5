/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SYNWARD_NETLINK_H
#define SYNWARD_NETLINK_H

#include <libmnl/libmnl.h>

/* Sends a request to rtnetlink and gives every answer to each; 0 or a negative errno. */
int netlink_ask(struct nlmsghdr *request, mnl_cb_t each, void *arg);

/* The same of another of netlink's protocols. */
int netlink_ask_of(int protocol, struct nlmsghdr *request, mnl_cb_t each, void *arg);

#endif
