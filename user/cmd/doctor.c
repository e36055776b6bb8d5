// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "cli.h"
#include "flow_table.h"
#include "keys.h"
#include "netdev.h"
#include "path.h"
#include "setup.h"

struct doctor {
	struct cli *cli;
	bool strict;
	bool proxy; /* what is looked at is guarded on the proxy path */
	__u64 netns_inode;
	struct json_object *findings;
	int failures, warnings;
	/* Of the check that runs: */
	const struct check *check;
	const struct guard *guard;
	bool warned;
};

enum { OPT_STRICT = 256 };

static const struct argp_option options[] = {
	{"strict", OPT_STRICT, NULL, 0, "Warnings count as failures", 0}, {}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct doctor *d = state->input;

	switch (key) {
	case OPT_STRICT:
		d->strict = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void put(struct json_object *obj, const char *key, const char *text)
{
	json_object_object_add(obj, key, json_object_new_string(text));
}

static void find(struct doctor *d, const char *state, const char *text)
{
	struct json_object *obj = json_object_new_object();
	const char *where = d->guard ? d->guard->ifname : "machine";

	put(obj, "check", d->check->name);
	if (d->guard)
		put(obj, "interface", where);
	put(obj, "state", state);
	if (text)
		put(obj, "text", text);
	json_object_array_add(d->findings, obj);
	if (!d->cli->json)
		printf("%-8s %s: %s%s%s\n", state, where, d->check->name, text ? ": " : "",
		       text ?: "");
}

static void warned(void *arg, const char *text)
{
	struct doctor *d = arg;

	d->warned = true;
	d->warnings++;
	find(d, "warning", text);
}

/* All of them, whatever the ones before said. */
static void run_all(struct doctor *d, const struct check *checks, const struct check_scene *scene)
{
	struct why why;
	int err;

	for (; checks->name; checks++) {
		d->check = checks;
		d->warned = false;
		why.text[0] = '\0';
		err = checks->run(scene, &why);
		if (err) {
			d->failures++;
			find(d, "failure", why.text[0] ? why.text : strerror(-err));
		} else if (!d->warned) {
			find(d, "ok", NULL);
		}
	}
}

/* What attach would do, or did. */
static struct plan plan_of(struct doctor *d, const struct guard *g)
{
	static const struct check choice = {.name = "redirected ports"};
	struct setup setup = {.ports_auto = true,
			      .service_paths = 1U << SW_SERVICE_AUTO,
			      .warn = warned,
			      .arg = d};
	struct plan plan = {.ports_auto = true, .mode = SW_XDP_NATIVE, .path = SW_PATH_HOST};
	struct why ignored;
	struct sw_info info;
	enum netdev_peer peer;

	ports_all(&plan.ports);
	if (!guard_info(g, &info) && info.abi == SW_ABI) {
		plan.mode = info.xdp_mode;
		plan.path = info.path;
		plan.hands_over = flow_table_hands_over(g);
		return plan;
	}
	if (!netdev_peer(g->ifindex, &peer) &&
	    (peer == NETDEV_PEER_NO_XDP || peer == NETDEV_PEER_UNSEEN))
		plan.mode = SW_XDP_GENERIC;
	setup.ports = plan.ports;
	d->check = &choice;
	setup_choose_path(&setup, g, &plan.path, &ignored);
	plan.hands_over =
		plan.path == SW_PATH_PROXY && setup_hands_over(&setup, g, &ignored);
	return plan;
}

static void look_at(struct doctor *d, const struct guard *g)
{
	struct check_scene scene = {g, NULL, warned, d};
	struct plan plan;

	d->guard = g;
	plan = plan_of(d, g);
	scene.plan = &plan;
	run_all(d, checks_interface, &scene);
	run_all(d, checks_more_interface, &scene);
	if (plan.path == SW_PATH_PROXY && guard_has(g, "proxy"))
		run_all(d, checks_proxy, &scene);
}

static int look_at_guarded(const struct guard *g, void *arg)
{
	struct doctor *d = arg;

	if (g->netns_inode == d->netns_inode && g->ifname[0])
		look_at(d, g);
	return 0;
}

/* Of one guard on the proxy path, the machine's checks are those of a router. */
static int note_proxy(const struct guard *g, void *arg)
{
	struct doctor *d = arg;
	struct sw_info info;

	if (g->netns_inode != d->netns_inode ||
	    (d->cli->ifname && strcmp(g->ifname, d->cli->ifname)) || guard_info(g, &info))
		return 0;
	d->proxy |= info.path == SW_PATH_PROXY;
	return 0;
}

static void report(struct doctor *d)
{
	const char *result = d->failures ? "failures" : d->warnings ? "warnings" : "ok";
	struct json_object *obj = json_object_new_object();

	put(obj, "result", result);
	json_object_object_add(obj, "failures", json_object_new_int(d->failures));
	json_object_object_add(obj, "warnings", json_object_new_int(d->warnings));
	json_object_object_add(obj, "findings", json_object_get(d->findings));
	if (d->cli->json)
		puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		printf("synward: %d failure%s, %d warning%s\n", d->failures,
		       d->failures == 1 ? "" : "s", d->warnings, d->warnings == 1 ? "" : "s");
	json_object_put(obj);
}

static int doctor(struct doctor *d, struct why *why)
{
	struct check_scene machine = {.warn = warned, .arg = d};
	struct plan router = {.path = SW_PATH_PROXY};
	struct guard g;
	int err;

	err = guard_netns(&d->netns_inode);
	if (!err && d->cli->ifname)
		err = guard_by_name(d->cli->ifname, &g, why);
	if (err)
		return err;
	guard_each(note_proxy, d);
	if (d->proxy)
		machine.plan = &router;
	run_all(d, checks_machine, &machine);
	run_all(d, checks_more_machine, &machine);
	if (d->cli->ifname)
		look_at(d, &g);
	else
		guard_each(look_at_guarded, d);
	report(d);
	return d->failures || (d->strict && d->warnings) ? -ENOTRECOVERABLE : 0;
}

int cmd_doctor(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "[IFACE]",
		.doc = "Everything that would make it fail or disappoint on this machine and "
		       "interface (by default whatever is guarded), and what to do about each. "
		       "Changes nothing. Exit status 1 if something fails.",
	};
	struct doctor d = {.cli = cli, .findings = json_object_new_array()};
	struct why why = {};
	int err;

	cli_parse(&argp, CLI_MAYBE_INTERFACE, argc, argv, cli, &d);
	say_capture_libraries(cli);
	err = doctor(&d, &why);
	if (err && err != -ENOTRECOVERABLE)
		say_error(cli, cli->ifname, "%s", why.text[0] ? why.text : strerror(-err));
	json_object_put(d.findings);
	return err;
}
