// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ports.h"



void ports_set(struct ports *p, unsigned int first, unsigned int last, bool value)
{
	unsigned int port;

	for (port = first; port <= last && port <= PORT_MAX; port++) {
		if (value)
			p->word[port / 64] |= 1ULL << (port % 64);
		else
			p->word[port / 64] &= ~(1ULL << (port % 64));
	}
}

bool ports_have_any(const struct ports *p, unsigned int first, unsigned int last)
{
	unsigned int port;

	for (port = first; port <= last && port <= PORT_MAX; port++) {
		if (ports_have(p, port))
			return true;
	}
	return false;
}

void ports_all(struct ports *ret)
{
	memset(ret, 0xff, sizeof(*ret));
}

/* A number of decimal digits only: strtoul() would take signs and spaces. */
static int parse_port(const char **at, unsigned int *ret)
{
	unsigned int port = 0;
	const char *p = *at;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		port = port * 10 + (*p - '0');
		if (port > PORT_MAX)
			return -EINVAL;
	}
	if (!port)
		return -EINVAL;
	*at = p;
	*ret = port;
	return 0;
}

int ports_parse(const char *text, struct ports *ret, bool *ret_auto)
{
	struct ports ports = {};
	unsigned int first, last;

	if (!strcmp(text, "auto")) {
		ports_all(ret);
		*ret_auto = true;
		return 0;
	}
	for (;;) {
		if (parse_port(&text, &first))
			return -EINVAL;
		last = first;
		if (*text == '-') {
			text++;
			if (parse_port(&text, &last) || last < first)
				return -EINVAL;
		}
		ports_set(&ports, first, last, true);
		if (!*text)
			break;
		if (*text++ != ',')
			return -EINVAL;
	}
	*ret = ports;
	*ret_auto = false;
	return 0;
}

char *ports_text(const struct ports *p)
{
	unsigned int port, first;
	const char *comma = "";
	char *text = NULL;
	size_t size;
	FILE *f;

	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	for (port = 1; port <= PORT_MAX; port++) {
		if (!ports_have(p, port))
			continue;
		first = port;
		while (port < PORT_MAX && ports_have(p, port + 1))
			port++;
		fprintf(f, first == port ? "%s%u" : "%s%u-%u", comma, first, port);
		comma = ",";
	}
	fclose(f);
	return text;
}
