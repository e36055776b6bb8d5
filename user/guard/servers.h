/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Proxy path: what is known of servers, beside what their SYN-ACKs teach. */
#ifndef SYNWARD_SERVERS_H
#define SYNWARD_SERVERS_H

/*
 * From a guard of another path: the listeners it answered for are servers from now on, guarded
 * without having been seen, and what their clients were told last is what flows begin with.
 */
int servers_from_listeners(int servers_fd, int listeners_fd);

#endif
