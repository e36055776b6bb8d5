/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What happens, as it happens: the ring buffer `events`, and its words. */
#ifndef SYNWARD_EVENTS_H
#define SYNWARD_EVENTS_H

#include <json-c/json.h>

#include "guard.h"

struct events;

typedef void (*events_seen)(const struct sw_notice *notice, void *arg);

/*
 * Follows a guard's events, through its pin (ring_fd below 0) or a descriptor of the map,
 * which stays the caller's. An event reaches one reader: a second one gets -EBUSY.
 */
int events_open(const struct guard *g, int ring_fd, events_seen seen, void *arg, struct events **ret,
		struct why *why);
void events_close(struct events *events);

/* Can be read when something has happened; for loop_add(). */
int events_fd(const struct events *events);

/* Calls seen for each that waits; how many, or a negative errno. */
int events_read(struct events *events);

/* "service web is under attack ...: armed by syn_rate, syns_per_s 2412, half_open 31" */
void events_text(const struct sw_notice *notice, char *ret, size_t size);

/* {"time": ..., "event": "armed", "service": "web", "reason": "syn_rate", "syns_per_s": ...} */
struct json_object *events_json(const struct sw_notice *notice, const char *ifname);

#endif
