/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the command line of flood asks for. */
#ifndef FLOOD_SETTINGS_H
#define FLOOD_SETTINGS_H

#include <netinet/in.h>
#include <stdbool.h>

#include "flood.h"
#include "frame.h"
#include "run.h"

struct prefix {
	bool all;
	int family;
	unsigned int length;
	struct in6_addr address;
};

struct settings {
	const char *interface;
	unsigned int ifindex;
	int family;
	struct frame_spec spec;
	const struct frame_kind *kinds[FLOOD_FRAMES];
	unsigned int kind_count;
	struct prefix sources;
	bool have_mac, json;
	int cpu;
	struct run_limits limits;
};

/* Fills s, which holds the defaults; ends the program with status 2 on a wrong command line. */
void settings_parse(struct settings *s, int argc, char **argv);

#endif
