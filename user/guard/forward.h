/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* --forward: the second program of the proxy path, on the interface of the servers. */
#ifndef SYNWARD_FORWARD_H
#define SYNWARD_FORWARD_H

#include "host.h"

/* The interface's index into *ret, 0 for ""; refuses what can never forward. */
int forward_resolve(const struct guard *g, const char *ifname, enum sw_xdp_mode mode,
		    unsigned int *ret, struct why *why);

/*
 * Puts the program there and takes one off that runs elsewhere; ifindex 0: only that.
 * Between the two, frames take the stack.
 */
int forward_attach(const struct guard *g, const struct host *host, enum sw_xdp_mode mode,
		   unsigned int ifindex, struct why *why);

void forward_detach(const struct guard *g);

/* True if the program is on that interface. */
bool forward_is_on(const struct guard *g, unsigned int ifindex);

#endif
