// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "prefix.h"

#define IPV4_OFFSET 12 /* bytes of ::ffff: before the address */

static int parse_address(const char *text, struct prefix *ret, unsigned int *ret_most)
{
	if (inet_pton(AF_INET6, text, ret->addr) == 1) {
		*ret_most = 128;
		return 0;
	}
	memcpy(ret->addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", IPV4_OFFSET);
	*ret_most = 32;
	return inet_pton(AF_INET, text, ret->addr + IPV4_OFFSET) == 1 ? 0 : -EINVAL;
}

/* At most three digits and nothing else. */
static int parse_length(const char *text, unsigned int most, unsigned int *ret)
{
	unsigned int length = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9' && p - text < 3; p++)
		length = length * 10 + (*p - '0');
	if (p == text || *p || length > most)
		return -EINVAL;
	*ret = length;
	return 0;
}

static int has_bits_behind(const struct prefix *p)
{
	unsigned int bit;

	for (bit = p->length; bit < 128; bit++) {
		if (p->addr[bit / 8] >> (7 - bit % 8) & 1)
			return 1;
	}
	return 0;
}

int prefix_parse(const char *text, struct prefix *ret)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t size = slash ? (size_t)(slash - text) : strlen(text);
	struct prefix p = {};
	unsigned int most;

	if (size >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, size);
	address[size] = '\0';
	if (parse_address(address, &p, &most))
		return -EINVAL;
	p.length = most;
	if (slash && parse_length(slash + 1, most, &p.length))
		return -EINVAL;
	p.length += 128 - most;
	if (has_bits_behind(&p))
		return -ERANGE;
	*ret = p;
	return 0;
}
