// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "cli.h"
#include "install.h"
#include "pins.h"

struct detach {
	struct cli *cli;
	const char *ifname;
	bool all;
	struct json_object *done; /* names of interfaces */
	__u64 netns_inode;
};

static const struct argp_option options[] = {
	{"all", 'A', NULL, 0, "Every guarded interface of this network namespace", 0}, {}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct detach *d = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = d->cli;
		return 0;
	case 'A':
		d->all = true;
		return 0;
	case ARGP_KEY_ARG:
		if (d->ifname)
			argp_error(state, "one interface at a time");
		d->ifname = arg;
		return 0;
	case ARGP_KEY_END:
		if (!d->ifname == !d->all)
			argp_error(state,
				   d->all ? "an interface or --all, not both" : "which interface?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int detach_one(struct detach *d, struct why *why)
{
	struct xdp_state state;
	struct guard g;
	int err;

	err = guard_by_name(d->ifname, &g, why);
	if (!err)
		err = xdp_look(&g, &state, why);
	if (err)
		return err;
	if (!state.ours_count && !guard_has(&g, NULL))
		return why_is(why, -ENOENT, "is not guarded; 'synward status' lists what is");
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
	static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {}};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "IFACE\n--all",
		.doc = "Takes the guard off and leaves nothing behind.",
		.children = children,
	};
	struct detach d = {.cli = cli, .done = json_object_new_array()};
	struct why why = {};
	int err;

	cli_parse(&argp, argc, argv, &d);
	say_capture_libraries(cli);
	err = detach(&d, &why);
	if (err)
		say_error(cli, d.ifname, "%s", why.text[0] ? why.text : strerror(-err));
	json_object_put(d.done);
	return err;
}
