// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "cli.h"
#include "install.h"
#include "netdev.h"
#include "pins.h"
#include "tc.h"

enum { MODE_AUTO = 0 };    /* beside enum sw_xdp_mode */
enum { KIND_RUNNING = 0 }; /* beside enum sw_attach_kind: what runs, libxdp at first */

struct attach {
	struct cli *cli;
	const char *ifname;
	struct ports ports;
	bool ports_auto;
	int mode;
	int kind;
};

static const struct argp_option options[] = {
	{"ports", 'p', "LIST|auto", 0,
	 "Ports to guard, as 80,443,8000-8100 (default: auto, whatever listens)", 0},
	{"xdp", 'x', "MODE", 0,
	 "auto, native or generic (auto: native where replies leave at once)", 0},
	{"attach", 'a', "KIND", 0,
	 "libxdp: chain with other XDP programs where the kernel can; "
	 "link: alone (default: libxdp)",
	 0},
	{}};

struct word {
	const char *name;
	int value;
};

static const struct word modes[] = {
	{"auto", MODE_AUTO}, {"native", SW_XDP_NATIVE}, {"generic", SW_XDP_GENERIC}, {}};
static const struct word kinds[] = {{"libxdp", SW_ATTACH_LIBXDP}, {"link", SW_ATTACH_LINK}, {}};

static int find_word(struct argp_state *state, const struct word *words, const char *arg,
		     const char *what)
{
	const struct word *w;

	for (w = words; w->name; w++) {
		if (!strcmp(w->name, arg))
			return w->value;
	}
	argp_error(state, "no %s '%s'", what, arg);
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct attach *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = a->cli;
		return 0;
	case 'p':
		if (ports_parse(arg, &a->ports, &a->ports_auto))
			argp_error(state, "no list of ports: '%s'", arg);
		return 0;
	case 'x':
		a->mode = find_word(state, modes, arg, "XDP mode");
		return 0;
	case 'a':
		a->kind = find_word(state, kinds, arg, "way to attach");
		return 0;
	case ARGP_KEY_ARG:
		if (a->ifname)
			argp_error(state, "one interface at a time");
		a->ifname = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which interface?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Where native mode would hold replies back, auto takes generic and says why. */
static enum sw_xdp_mode choose_mode(const struct attach *a, const struct guard *g)
{
	enum netdev_peer peer;
	const char *reason = NULL;

	if (a->mode == SW_XDP_GENERIC || netdev_peer(g->ifindex, &peer))
		return a->mode == MODE_AUTO ? SW_XDP_NATIVE : a->mode;
	if (peer == NETDEV_PEER_NO_XDP)
		reason = "veth peer has no XDP program: replies would wait in its ring";
	else if (peer == NETDEV_PEER_UNSEEN)
		reason = "veth peer is in a namespace that cannot be seen: without an XDP program "
			 "there replies would wait in its ring";
	if (!reason)
		return SW_XDP_NATIVE;
	if (a->mode == SW_XDP_NATIVE) {
		say_warning(a->cli, g->ifname, "%s", reason);
		return SW_XDP_NATIVE;
	}
	say_warning(a->cli, g->ifname, "generic XDP, not native: %s", reason);
	return SW_XDP_GENERIC;
}

static int attach_fresh(struct attach *a, const struct guard *g, struct plan *plan,
			struct sw_info *ret, struct why *why)
{
	int err = install_fresh(g, plan, ret, why);

	if (err != -EOPNOTSUPP || plan->mode != SW_XDP_NATIVE || a->mode != MODE_AUTO)
		return err;
	say_warning(a->cli, g->ifname, "generic XDP, not native: the driver has no native XDP");
	plan->mode = SW_XDP_GENERIC;
	return install_fresh(g, plan, ret, why);
}

/* The mode and kind of a running guard stay; another one asked for is refused. */
static int keep_running(const struct attach *a, const struct guard *g,
			const struct xdp_state *running, struct plan *plan, struct why *why)
{
	plan->mode = running->mode;
	plan->kind = guard_has(g, GUARD_XDP_LINK) ? SW_ATTACH_LINK : SW_ATTACH_LIBXDP;
	if (a->mode != MODE_AUTO && a->mode != (int)plan->mode)
		return why_is(why, -EBUSY,
			      "guarded in %s mode, which cannot change while it runs; "
			      "detach first",
			      xdp_mode_name(plan->mode));
	if (a->kind != KIND_RUNNING && a->kind != (int)plan->kind)
		return why_is(why, -EBUSY,
			      "guarded with --attach %s, which cannot change while it "
			      "runs; detach first",
			      xdp_kind_name(plan->kind));
	return 0;
}

struct warn_about {
	struct cli *cli;
	const char *ifname;
};

static void warn(void *arg, const char *text)
{
	const struct warn_about *about = arg;

	say_warning(about->cli, about->ifname, "%s", text);
}

static int check_interface(struct attach *a, const struct guard *g, struct plan *plan,
			   struct why *why)
{
	struct warn_about about = {a->cli, g->ifname};
	struct check_scene scene = {g, plan, warn, &about};

	return checks_run(checks_interface, &scene, why);
}

static int check_machine(struct attach *a, struct why *why)
{
	struct warn_about about = {a->cli, a->ifname};
	struct check_scene scene = {.warn = warn, .arg = &about};

	return checks_run(checks_machine, &scene, why);
}

static int attach_locked(struct attach *a, const struct guard *g, struct sw_info *ret_info,
			 bool *ret_renewed, struct why *why)
{
	struct plan plan = {.ports = a->ports, .ports_auto = a->ports_auto};
	struct xdp_state running;
	int err;

	install_sweep();
	err = xdp_look(g, &running, why);
	if (err)
		return err;
	*ret_renewed = running.ours_count;
	if (running.ours_count) {
		err = keep_running(a, g, &running, &plan, why);
	} else {
		plan.mode = choose_mode(a, g);
		plan.kind = a->kind ?: SW_ATTACH_LIBXDP;
		/* Left by a process that was killed, or by somebody who took XDP away. */
		err = guard_has(g, NULL) ? install_remove(g, why) : 0;
	}
	if (!err)
		err = check_interface(a, g, &plan, why);
	if (err)
		return err;
	if (*ret_renewed)
		return install_renew(g, &plan, &running, ret_info, why);
	return attach_fresh(a, g, &plan, ret_info, why);
}

static struct json_object *facts(const struct guard *g, const struct sw_info *info,
				 const struct xdp_state *xdp, const char *result)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "interface", json_object_new_string(g->ifname));
	json_object_object_add(obj, "result", json_object_new_string(result));
	json_object_object_add(obj, "xdp", json_object_new_string(xdp_mode_name(info->xdp_mode)));
	json_object_object_add(obj, "attach",
			       json_object_new_string(xdp_kind_name(info->attach_kind)));
	json_object_object_add(obj, "dispatcher", json_object_new_boolean(xdp->dispatcher));
	json_object_object_add(obj, "tc", json_object_new_string(tc_kind_name(info->tc_kind)));
	return obj;
}

static void report(struct attach *a, const struct guard *g, const struct sw_info *info,
		   const char *result)
{
	struct xdp_state xdp = {};
	struct why ignored;

	xdp_look(g, &xdp, &ignored);
	say_done(a->cli, facts(g, info, &xdp, result), "synward: %s: %s (%s XDP, %s%s, %s)",
		 g->ifname, result, xdp_mode_name(info->xdp_mode), xdp_kind_name(info->attach_kind),
		 xdp.dispatcher ? " dispatcher" : "", tc_kind_name(info->tc_kind));
}

static int attach(struct attach *a, struct why *why)
{
	struct sw_info info;
	struct guard g;
	bool renewed;
	int lock, err;

	err = guard_by_name(a->ifname, &g, why);
	if (!err)
		err = check_machine(a, why);
	if (!err)
		err = pins_mount(why);
	if (err)
		return err;
	lock = pins_lock(why);
	if (lock < 0)
		return lock;
	err = attach_locked(a, &g, &info, &renewed, why);
	close(lock);
	if (!err)
		report(a, &g, &info, renewed ? "reloaded" : "attached");
	return err;
}

int cmd_attach(int argc, char **argv, struct cli *cli)
{
	static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {}};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "IFACE",
		.doc = "Guards the interface; on a guarded one, renews programs, ports and keys "
		       "without a gap.",
		.children = children,
	};
	struct attach a = {.cli = cli, .ports_auto = true};
	struct why why = {};
	int err;

	ports_all(&a.ports);
	cli_parse(&argp, argc, argv, &a);
	say_capture_libraries(cli);
	err = attach(&a, &why);
	if (err)
		say_error(cli, a.ifname, "%s", why.text[0] ? why.text : strerror(-err));
	return err;
}
