/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Address prefixes as the maps have them: 16 bytes, IPv4 as ::ffff:a.b.c.d. */
#ifndef SYNWARD_PREFIX_H
#define SYNWARD_PREFIX_H

#include <linux/types.h>

struct prefix {
	__u8 addr[16];       /* network order, zero behind the prefix */
	unsigned int length; /* 0 to 128; an IPv4 prefix is 96 longer */
};

/* 192.0.2.0/24, 2001:db8::1. -EINVAL if text is none, -ERANGE if bits are set behind its length. */
int prefix_parse(const char *text, struct prefix *ret);

#endif
