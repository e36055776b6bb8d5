/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The only place that talks to the user beside the tables of status and stats. Plain:
 * results on stdout, errors and warnings on stderr, a line each. With -j: one JSON
 * object on stdout, errors too, warnings collected in it.
 */
#ifndef SYNWARD_SAY_H
#define SYNWARD_SAY_H

#include <stdbool.h>
#include <json-c/json.h>

struct cli {
	bool json, verbose;
	const char *ifname; /* the interface a command was given, or NULL */
	struct json_object *warnings; /* an array once there is one; only with json */
};

#define SAY __attribute__((format(printf, 3, 4)))

/* ifname NULL: not about one interface. */
SAY void say_error(struct cli *cli, const char *ifname, const char *format, ...);
SAY void say_warning(struct cli *cli, const char *ifname, const char *format, ...);

/* What a command did: plain the line, with -j the object (taken over) and the warnings so far. */
SAY void say_done(struct cli *cli, struct json_object *facts, const char *format, ...);

/* Sends libbpf's and libxdp's chatter to stderr if verbose, else keeps it from the user. */
void say_capture_libraries(const struct cli *cli);

/* The last "Kernel error message" that libbpf passed on, "" if none; forgotten with
 * say_forget_kernel(). */
const char *say_kernel_message(void);
void say_forget_kernel(void);

#endif
