// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "checks.h"
#include "cli.h"
#include "flow_table.h"
#include "install.h"
#include "pins.h"

struct detach {
	struct cli *cli;
	bool all;
	long drain_s; /* how long to wait for translated connections to end; -1: not at all */
	struct json_object *done; /* names of interfaces */
	__u64 netns_inode;
};

static const struct argp_option options[] = {
	{"all", 'A', NULL, 0, "Every guarded interface of this network namespace", 0},
	{"drain", 'd', "SECONDS", 0,
	 "On the proxy path, take no new connections and wait for those translated to end, "
	 "so long at most",
	 0},
	{}};

#define DRAIN_MAX_S 604800 /* a week */
#define DRAIN_LOOK_MS 200
#define DRAIN_TELL_S 5

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct detach *d = state->input;

	switch (key) {
	case 'A':
		d->all = true;
		return 0;
	case 'd':
		d->drain_s = (long)cli_number(state, "number of seconds", arg, 0, DRAIN_MAX_S);
		return 0;
	case ARGP_KEY_END:
		if (!d->cli->ifname == !d->all)
			argp_error(state,
				   d->all ? "an interface or --all, not both" : "which interface?");
		if (d->all && d->drain_s >= 0)
			argp_error(state, "--drain is for one interface");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Until the last flow is over or the time is up; the flows left, or a negative errno. */
static long wait_for_flows(struct detach *d, const struct guard *g, struct why *why)
{
	const struct timespec pause = {.tv_nsec = DRAIN_LOOK_MS * 1000000L};
	__u64 began_ns = flow_table_now_ns(), waited_s, told_s = 0;
	long left;

	for (;;) {
		left = flow_table_live(g, why);
		waited_s = (flow_table_now_ns() - began_ns) / SW_NS_PER_S;
		if (left <= 0 || waited_s >= (__u64)d->drain_s)
			return left;
		if (cli_interrupted)
			return why_is(why, -EINTR,
				      "interrupted with %ld connections left; it stays guarded",
				      left);
		if (!d->cli->json && waited_s >= told_s + DRAIN_TELL_S) {
			told_s = waited_s;
			fprintf(stderr, "synward: %s: %ld connections left after %llu s\n",
				g->ifname, left, waited_s);
		}
		nanosleep(&pause, NULL);
	}
}

/* Without the lock, which others may want meanwhile. */
static int drain(struct detach *d, struct why *why)
{
	struct why ignored;
	struct guard g;
	long left;
	int err;

	err = guard_by_name(d->cli->ifname, &g, why);
	if (!err)
		err = flow_table_drain(&g, true, why);
	if (err)
		return err;
	cli_end_on_signals();
	left = wait_for_flows(d, &g, why);
	if (left < 0)
		flow_table_drain(&g, false, &ignored);
	return left < 0 ? (int)left : 0;
}

/* What is translated ends with the guard. */
static void warn_of_flows(struct detach *d, const struct guard *g)
{
	struct why ignored;
	long left = flow_table_live(g, &ignored);

	if (left > 0)
		say_warning(d->cli, g->ifname, "%ld translated connections are lost%s", left,
			    d->drain_s < 0 ? "; --drain waits for them to end" : "");
}

static int detach_one(struct detach *d, struct why *why)
{
	struct xdp_state state;
	struct guard g;
	int err;

	err = guard_by_name(d->cli->ifname, &g, why);
	if (!err)
		err = xdp_look(&g, &state, why);
	if (err)
		return err;
	if (!state.ours_count && !guard_has(&g, NULL))
		return why_is(why, -ENOENT, "is not guarded; 'synward status' lists what is");
	warn_of_flows(d, &g);
	err = install_remove(&g, why);
	if (!err)
		json_object_array_add(d->done, json_object_new_string(g.ifname));
	return err;
}

/* Goes on after a failure: the others are no worse for it. */
static int detach_each(const struct guard *g, void *arg)
{
	struct detach *d = arg;
	struct why why = {};

	if (g->netns_inode != d->netns_inode || !g->ifname[0])
		return 0;
	warn_of_flows(d, g);
	if (install_remove(g, &why))
		say_warning(d->cli, g->ifname, "%s", why.text);
	else
		json_object_array_add(d->done, json_object_new_string(g->ifname));
	return 0;
}

static int detach_all(struct detach *d, struct why *why)
{
	int err = guard_netns(&d->netns_inode);

	if (!err)
		err = guard_each(detach_each, d);
	if (err)
		why_is(why, err, "cannot list " GUARD_ROOT ": %s", strerror(-err));
	return err;
}

static void report(struct detach *d)
{
	struct json_object *facts = json_object_new_object();
	size_t count = json_object_array_length(d->done), i;

	for (i = 0; !d->cli->json && i < count; i++)
		printf("synward: %s: detached\n",
		       json_object_get_string(json_object_array_get_idx(d->done, i)));
	json_object_object_add(facts, "detached", json_object_get(d->done));
	if (d->cli->json || !count)
		say_done(d->cli, facts, "synward: nothing is guarded");
	else
		json_object_put(facts);
}

static int detach(struct detach *d, struct why *why)
{
	int lock, err;

	err = check_privileges(NULL, why);
	if (!err && d->drain_s >= 0)
		err = drain(d, why);
	if (err)
		return err;
	lock = pins_lock(why);
	if (lock < 0)
		return lock;
	err = d->all ? detach_all(d, why) : detach_one(d, why);
	install_sweep();
	close(lock);
	if (!err)
		report(d);
	return err;
}

int cmd_detach(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "IFACE\n--all",
		.doc = "Takes the guard off and leaves nothing behind.",
	};
	struct detach d = {.cli = cli, .drain_s = -1, .done = json_object_new_array()};
	struct why why = {};
	int err;

	cli_parse(&argp, CLI_MAYBE_INTERFACE, argc, argv, cli, &d);
	say_capture_libraries(cli);
	err = detach(&d, &why);
	if (err)
		say_error(cli, cli->ifname, "%s", why.text[0] ? why.text : strerror(-err));
	json_object_put(d.done);
	return err;
}
