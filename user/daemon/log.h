/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the daemon tells: a line each on stderr. In the journal with its priority
 * (sd-daemon(3): <6> in front), in a terminal as the commands do, or as one JSON object
 * a line: {"time": ..., "level": "info", "interface": ..., "message": ...}.
 */
#ifndef SYNWARD_LOG_H
#define SYNWARD_LOG_H

#include <stdbool.h>
#include <syslog.h>
#include <json-c/json.h>

struct log {
	bool json;
	bool journal; /* stderr leads there */
};

void log_open(struct log *ret);

/* priority: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO. ifname may be NULL. */
__attribute__((format(printf, 4, 5))) void log_say(const struct log *log, int priority,
						   const char *ifname, const char *format, ...);

/* The same with facts that JSON shows beside the message; facts (taken over) may be NULL. */
__attribute__((format(printf, 5, 6))) void log_event(const struct log *log, int priority,
						     const char *ifname, struct json_object *facts,
						     const char *format, ...);

#endif
