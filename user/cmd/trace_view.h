/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How `synward trace` shows a segment: a rung of a ladder, or a JSON object. */
#ifndef SYNWARD_TRACE_VIEW_H
#define SYNWARD_TRACE_VIEW_H

#include <json-c/json.h>

#include "flows.h"

/* What became of it, or who sent it: "synack_sent (tx): SYN answered with a SYN cookie". */
#define TRACE_FATE_TEXT 256
void trace_fate(const struct segment *s, char text[TRACE_FATE_TEXT]);

struct ladder {
	const char *ifname;
	bool utf8, all;		 /* all: hide nothing */
	struct flow *last; /* whose rung was printed last */
	__u64 last_began_ns;
};

/* False: in the middle of a connection, counted and summed up later. */
bool ladder_print(struct ladder *l, struct flow *f, const struct segment *s);

/* The sum of what was hidden of the last connection and not told yet. */
void ladder_end(const struct ladder *l);

struct json_object *trace_json(const char *ifname, const struct flow *f, const struct segment *s);

#endif
