/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which way this machine would send to an address. */
#ifndef SYNWARD_WAY_H
#define SYNWARD_WAY_H

#include <stdbool.h>
#include <linux/types.h>

struct way {
	unsigned int ifindex; /* it leaves by */
	bool local;           /* it does not: the address is this machine's own */
};

/* addr: network order, IPv4 as ::ffff:a.b.c.d. A negative errno if there is no way. */
int way_to(const __u8 addr[16], struct way *ret);

#endif
