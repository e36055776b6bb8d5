// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "events.h"

struct follow {
	struct cli *cli;
	unsigned long count; /* events; 0: until interrupted */
	unsigned long seen;
	struct guard guard;
};

static const struct argp_option options[] = {{"count", 'c', "N", 0, "End after N events", 0}, {}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct follow *f = state->input;

	switch (key) {
	case 'c':
		f->count = cli_number(state, "count", arg, 1, 1000000000);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_plain(const struct sw_notice *notice)
{
	char text[256], when[32];
	struct timespec now, since;
	struct tm tm;
	time_t at;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_MONOTONIC, &since);
	at = now.tv_sec - since.tv_sec + notice->time_ns / 1000000000ULL;
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S%z", localtime_r(&at, &tm));
	events_text(notice, text, sizeof(text));
	printf("%s %s\n", when, text);
}

static void seen(const struct sw_notice *notice, void *arg)
{
	struct follow *f = arg;
	struct json_object *obj;

	if (f->count && f->seen == f->count)
		return;
	f->seen++;
	if (!f->cli->json) {
		print_plain(notice);
		return;
	}
	obj = events_json(notice, f->guard.ifname);
	puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN));
	json_object_put(obj);
}

static int follow(struct follow *f, struct why *why)
{
	struct events *events;
	struct pollfd ready;
	int err;

	err = guard_by_name(f->cli->ifname, &f->guard, why);
	if (!err)
		err = events_open(&f->guard, -1, seen, f, &events, why);
	if (err)
		return err;
	ready = (struct pollfd){.fd = events_fd(events), .events = POLLIN};
	while (!err && (!f->count || f->seen < f->count)) {
		err = events_read(events);
		if (err >= 0)
			err = fflush(stdout) ? -errno : 0;
		if (!err && (!f->count || f->seen < f->count) && poll(&ready, 1, -1) < 0 &&
		    errno != EINTR)
			err = -errno;
	}
	events_close(events);
	return err ? why_is(why, err, "cannot follow its events: %s", strerror(-err)) : 0;
}

int cmd_events(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "IFACE",
		.doc = "What happens, a line each as it happens: attacks that begin and end, "
		       "tables "
		       "that are full. Those that waited come first. An event is told once: "
		       "'synward run' writes them to its log, and then there are none here.",
	};
	struct follow f = {.cli = cli};
	struct why why = {};
	int err;

	cli_parse(&argp, CLI_INTERFACE, argc, argv, cli, &f);
	say_capture_libraries(cli);
	err = follow(&f, &why);
	if (err)
		say_error(cli, cli->ifname, "%s", why.text[0] ? why.text : strerror(-err));
	return err;
}
