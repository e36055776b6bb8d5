// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "forward.h"
#include "nat.h"
#include "netdev.h"
#include "path.h"
#include "pins.h"
#include "setup.h"

__attribute__((format(printf, 2, 3))) static void warn(const struct setup *s, const char *format,
						       ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	s->warn(s->arg, text);
}

void setup_from(struct setup *s, const struct config *config,
		const struct config_interface *interface)
{
	struct sw_service services[SW_SERVICES];

	memcpy(s->key_file, config->synward.key_file, sizeof(config->synward.key_file));
	s->ports = interface->ports.ports;
	s->ports_auto = interface->ports.any;
	s->path = interface->path;
	s->service_paths = services_paths(services, config_services(config, interface, services));
	s->targets = interface->to;
	s->targets.flows = interface->flows;
	memcpy(s->forward, interface->forward, sizeof(s->forward));
	s->keep_syncookies = interface->syncookies == CONFIG_SYNCOOKIES_REFUSE;
	s->mode = interface->xdp; /* its words stand in the order of enum sw_xdp_mode, auto first */
	s->kind = interface->attach == CONFIG_ATTACH_LINK ? SW_ATTACH_LINK : SW_ATTACH_LIBXDP;
}

/* Where native mode would hold replies back, auto takes generic and says why. */
static enum sw_xdp_mode choose_mode(const struct setup *s, const struct guard *g)
{
	enum netdev_peer peer;
	const char *reason = NULL;

	if (s->mode == SW_XDP_GENERIC || netdev_peer(g->ifindex, &peer))
		return s->mode == SETUP_MODE_AUTO ? SW_XDP_NATIVE : s->mode;
	if (peer == NETDEV_PEER_NO_XDP)
		reason = "veth peer has no XDP program: replies would wait in its ring";
	else if (peer == NETDEV_PEER_UNSEEN)
		reason = "veth peer is in a namespace that cannot be seen: without an XDP program "
			 "there replies would wait in its ring";
	if (!reason)
		return SW_XDP_NATIVE;
	if (s->mode == SW_XDP_NATIVE) {
		warn(s, "%s", reason);
		return SW_XDP_NATIVE;
	}
	warn(s, "generic XDP, not native: %s", reason);
	return SW_XDP_GENERIC;
}

int setup_path(const struct setup *s)
{
	bool needs_proxy = s->targets.count || s->targets.flows || s->forward[0] ||
			   s->service_paths >> SW_SERVICE_PROXY & 1;

	return s->path == PATH_AUTO && needs_proxy ? SW_PATH_PROXY : s->path;
}

bool setup_hands_over(const struct setup *s, const struct guard *g, struct why *ret_lacks)
{
	unsigned int some = 1U << SW_SERVICE_AUTO | 1U << SW_SERVICE_HOST;

	ret_lacks->text[0] = '\0';
	return s->service_paths & some && !path_possible(SW_PATH_HOST, ret_lacks) &&
	       !check_takes_cookies(g, ret_lacks);
}

/* Where hand-overs cannot be all is translated, unless a service wants nothing but them. */
static int choose_hands_over(const struct setup *s, const struct guard *g, struct plan *plan,
			     struct why *why)
{
	struct why lacks;

	plan->hands_over = setup_hands_over(s, g, &lacks);
	if (plan->hands_over || !(s->service_paths >> SW_SERVICE_HOST & 1))
		return 0;
	return why_is(why, -EOPNOTSUPP, "a service has path = host: %s; auto takes what can be had",
		      lacks.text);
}

/* A port to guard is sent on to a container, or elsewhere, and has no socket here. */
static bool is_redirected(const struct setup *s, const struct guard *g, struct why *ret)
{
	struct nat_rule rule;
	struct why lacks;

	if (setup_path(s) != PATH_AUTO || path_possible(SW_PATH_PROXY, &lacks) ||
	    !nat_takes(g->ifname, &s->ports, &rule))
		return false;
	why_is(ret, 0, "port %u is redirected (%s)", rule.first, rule.where);
	return true;
}

/* Where NAT takes hand-overs away; of shared keys the kernel's own cookies know nothing. */
static enum sw_path beside_nat(const struct setup *s, const char *where)
{
	enum sw_path path = s->key_file[0] ? SW_PATH_PROXY : SW_PATH_COMPAT;

	warn(s, "%s path, not host: NAT is on here (%s), and the kernel's NAT loses the host path's "
		"connections; see docs/compat.md", path_name(path), where);
	return path;
}

int setup_choose_path(const struct setup *s, const struct guard *g, enum sw_path *ret,
		      struct why *why)
{
	struct why lacks, reason;
	char where[128];
	int err;

	if (is_redirected(s, g, &reason)) {
		warn(s, "proxy path, not host: %s; see docs/proxy.md", reason.text);
		*ret = SW_PATH_PROXY;
		return 0;
	}
	err = path_choose(setup_path(s), ret, &lacks, why);
	if (!err && lacks.text[0])
		warn(s, "%s path, not host: %s; see docs/compat.md", path_name(*ret), lacks.text);
	if (!err && setup_path(s) == PATH_AUTO && *ret == SW_PATH_HOST && nat_is_on(where))
		*ret = beside_nat(s, where);
	return err;
}

static int attach_fresh(const struct setup *s, const struct guard *g, struct plan *plan,
			struct sw_info *ret, struct why *why)
{
	int downs = netdev_link_downs(g->ifindex), err = install_fresh(g, plan, ret, why);

	if (!err && plan->mode == SW_XDP_NATIVE && downs >= 0 &&
	    netdev_link_downs(g->ifindex) > downs)
		warn(s, "the driver took the link down for a moment to turn native XDP on, and "
			"will again at detach: frames were lost; --xdp generic does without");
	if (err != -EOPNOTSUPP || plan->mode != SW_XDP_NATIVE || s->mode != SETUP_MODE_AUTO)
		return err;
	warn(s, "generic XDP, not native: %.*s", (int)strcspn(why->text, ";"), why->text);
	plan->mode = SW_XDP_GENERIC;
	return install_fresh(g, plan, ret, why);
}

bool setup_outgrown(const struct setup *s, const struct guard *g, enum sw_path running,
		    struct why *ret)
{
	struct why lacks;
	char where[128];

	if (running == SW_PATH_PROXY || setup_path(s) != PATH_AUTO)
		return false;
	if (is_redirected(s, g, ret))
		return true;
	if (running != SW_PATH_HOST || path_possible(SW_PATH_PROXY, &lacks) || !nat_is_on(where))
		return false;
	why_is(ret, 0, "NAT is on here (%s), and the kernel's NAT loses the host path's connections",
	       where);
	return true;
}

/*
 * The path of a guard that runs stays, unless the proxy path is asked for, or auto needs it:
 * that alone can go on with connections of the others, and no other can with its own.
 */
static int choose_next_path(const struct setup *s, const struct guard *g, enum sw_path running,
			    enum sw_path *ret, struct why *why)
{
	int asked = setup_path(s);
	struct why reason;

	*ret = running;
	if (running == SW_PATH_PROXY && asked != SW_PATH_PROXY && asked != PATH_AUTO)
		return why_is(why, -EBUSY,
			      "guarded on the proxy path, whose connections no other path can go on "
			      "with; 'synward detach %s --drain SECONDS' first",
			      g->ifname);
	if (asked == (int)running || running == SW_PATH_PROXY)
		return 0;
	if (asked != SW_PATH_PROXY && asked != PATH_AUTO)
		return why_is(why, -EBUSY,
			      "guarded on the %s path, which can change to proxy alone while it "
			      "runs; detach first",
			      path_name(running));
	if (asked == PATH_AUTO && !setup_outgrown(s, g, running, &reason))
		return 0;
	if (asked == PATH_AUTO)
		warn(s, "proxy path, not %s: %s; see docs/proxy.md", path_name(running), reason.text);
	*ret = SW_PATH_PROXY;
	return path_possible(SW_PATH_PROXY, why);
}

/* The mode and kind of a running guard stay; another one asked for is refused. */
static int keep_running(const struct setup *s, const struct guard *g,
			const struct xdp_state *running, struct plan *plan, struct why *why)
{
	struct sw_info info;

	plan->mode = running->mode;
	plan->kind = guard_has(g, GUARD_XDP_LINK) ? SW_ATTACH_LINK : SW_ATTACH_LIBXDP;
	if (s->mode != SETUP_MODE_AUTO && s->mode != (int)plan->mode)
		return why_is(why, -EBUSY,
			      "guarded in %s mode, which cannot change while it runs; "
			      "detach first",
			      xdp_mode_name(plan->mode));
	if (s->kind != SETUP_KIND_RUNNING && s->kind != (int)plan->kind)
		return why_is(why, -EBUSY,
			      "guarded with --attach %s, which cannot change while it "
			      "runs; detach first",
			      xdp_kind_name(plan->kind));
	if (guard_info(g, &info) || info.abi != SW_ABI)
		return setup_choose_path(s, g, &plan->path, why);
	return choose_next_path(s, g, info.path, &plan->path, why);
}

static int check_interface(const struct setup *s, const struct guard *g, struct plan *plan,
			   struct why *why)
{
	struct check_scene scene = {g, plan, s->warn, s->arg};

	return checks_run(checks_interface, &scene, why);
}

int setup_check_machine(const struct setup *s, struct why *why)
{
	struct plan plan = {.path = setup_path(s)};
	struct check_scene scene = {.plan = &plan, .warn = s->warn, .arg = s->arg};

	return checks_run(checks_machine, &scene, why);
}

static int guard_locked(const struct setup *s, const struct guard *g,
			const struct keyfile_secret *shared, struct setup_result *ret,
			struct host_maps *keep, struct why *why)
{
	struct plan plan = {
		.shared = shared,
		.ports = s->ports,
		.ports_auto = s->ports_auto,
		.targets = &s->targets,
		.beside_nat = setup_path(s) == SW_PATH_HOST,
		.keep_syncookies = s->keep_syncookies,
		.keep = keep,
	};
	struct xdp_state running;
	struct sw_info info;
	int err;

	install_sweep();
	err = xdp_look(g, &running, why);
	if (err)
		return err;
	ret->renewed = running.ours_count;
	plan.services = ret->renewed && s->services_stay ? NULL : &s->services;
	if (ret->renewed) {
		err = keep_running(s, g, &running, &plan, why);
	} else {
		plan.mode = choose_mode(s, g);
		plan.kind = s->kind ?: SW_ATTACH_LIBXDP;
		err = setup_choose_path(s, g, &plan.path, why);
		if (err)
			return err;
		/* Left by a process that was killed, or by somebody who took XDP away. */
		err = guard_has(g, NULL) ? install_remove(g, why) : 0;
	}
	if (!err && plan.path == SW_PATH_PROXY)
		err = choose_hands_over(s, g, &plan, why);
	if (!err && shared && plan.path == SW_PATH_COMPAT)
		err = why_is(why, -EOPNOTSUPP,
			     "a shared key file needs the host path: the compat path uses the "
			     "kernel's cookies, whose keys no other machine can have");
	if (!err)
		err = forward_resolve(g, s->forward, plan.mode, &plan.forward, why);
	if (!err)
		err = check_interface(s, g, &plan, why);
	if (err)
		return err;
	if (ret->renewed && !guard_info(g, &info) && info.abi == SW_ABI && info.path != plan.path)
		return install_change(g, &plan, &running, &ret->info, why);
	if (ret->renewed)
		return install_renew(g, &plan, &running, &ret->info, why);
	return attach_fresh(s, g, &plan, &ret->info, why);
}

int setup_guard(const struct setup *s, const struct guard *g, struct setup_result *ret,
		struct host_maps *keep, struct why *why)
{
	bool is_shared = s->key_file[0];
	struct setup_result result = {};
	struct keyfile_secret shared;
	int lock, err;

	err = pins_mount(why);
	if (!err && is_shared)
		err = keyfile_read(s->key_file, &shared, why);
	if (err)
		return err;
	lock = pins_lock(why);
	if (lock < 0)
		return lock;
	err = guard_locked(s, g, is_shared ? &shared : NULL, &result, keep, why);
	keyfile_wipe(&shared);
	close(lock);
	if (!err)
		*ret = result;
	return err;
}
