// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A guard that runs goes to the proxy path. Its programs and the new ones share the maps that
 * are nobody's own; the new ones are loaded, told everything and on tc beside the old, so that
 * all that is left is one exchange on the XDP hook.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "forward.h"
#include "host.h"
#include "install_parts.h"
#include "servers.h"
#include "settings.h"
#include "syncookies.h"

/* For frames that XDP has judged and tc has not seen yet: of a busy CPU's backlog. */
#define TC_BEHIND_MS 200

struct change {
	const struct guard *g;
	const struct plan *plan;
	const struct xdp_state *running;
	struct host_maps old;
	struct host host; /* the new */
	struct sw_config old_config;
	enum sw_tc_kind tc;
};

static int old_ports(const struct change *c, const struct ports *ports)
{
	return settings_update(host_maps_fd(&c->old, "config"), host_maps_fd(&c->old, "routes"),
			       ports);
}

static int new_ports(const struct change *c, const struct ports *ports)
{
	return settings_update(object_map(c->host.base, "config"),
			       object_map(c->host.base, "routes"), ports);
}

static const struct ports no_ports;

/* Both on one hook: the new one guards, then the old one no more. */
static int hand_over(void *arg)
{
	const struct change *c = arg;
	int err = new_ports(c, &c->plan->ports);

	return err ? err : old_ports(c, &no_ports);
}

static void take_back(const struct change *c)
{
	struct ports ports;

	memcpy(ports.word, c->old_config.port, sizeof(ports.word));
	new_ports(c, &no_ports);
	old_ports(c, &ports);
}

/* In a dispatcher the new program is to let all by until both are on. */
static int tell_settings(struct change *c, struct why *why)
{
	struct plan plan = *c->plan;
	__u32 zero = 0;
	int err;

	if (bpf_map_lookup_elem(host_maps_fd(&c->old, "config"), &zero, &c->old_config))
		return why_is(why, -errno, "cannot read the running guard's maps: %s",
			      strerror(errno));
	if (c->running->dispatcher)
		plan.ports = no_ports;
	err = install_put(&c->host, "config", &c->old_config);
	/* The clock of epochs stays, and with it cookies that are out. */
	if (!err)
		err = install_settings(c->g, &c->host, &plan, c->old_config.epoch_offset_ns);
	if (!err)
		err = servers_from_listeners(object_map(c->host.base, "servers"),
					     host_maps_fd(&c->old, "listeners"));
	return err ? why_is(why, err, "cannot fill the maps: %s", strerror(-err)) : 0;
}

static int load(struct change *c, struct why *why)
{
	int err = host_load(&c->host, c->plan->path, &c->old, c->plan->targets->flows, why);

	if (!err && !c->host.changed)
		err = why_is(why, -EBUSY,
			     "another version's guard cannot change its path while it runs; attach "
			     "with the path it has, or detach first");
	if (!err)
		err = tell_settings(c, why);
	if (!err)
		err = host_start(&c->host, why);
	return err;
}

/* All but XDP; from here on egress notes which connections their servers go on with. */
static int attach_beside(struct change *c, struct why *why)
{
	enum tc_way way = install_tc_way(c->plan->path);
	int err;

	err = tc_next_attach(c->g, object_program(c->host.base, OBJECT_TC), way, &c->tc, why);
	if (err)
		return err;
	err = install_hand(c->g, &c->host, why);
	if (!err)
		err = forward_attach(c->g, &c->host, c->plan->mode, c->plan->forward, why);
	if (err) {
		tc_hand_detach(c->g);
		tc_next_drop(c->g, way);
	}
	return err;
}

static int exchange(struct change *c, struct why *why)
{
	const struct xdp_both_on both_on = {hand_over, c};
	int err = xdp_replace(c->g, &c->host, c->running, c->plan->kind, &both_on, why);

	if (!err)
		return 0;
	if (c->running->dispatcher)
		take_back(c);
	forward_detach(c->g);
	tc_hand_detach(c->g);
	tc_next_drop(c->g, install_tc_way(c->plan->path));
	return err;
}

static void wait_for_tc(void)
{
	const struct timespec pause = {.tv_nsec = TC_BEHIND_MS * 1000000L};

	nanosleep(&pause, NULL);
}

/* After the exchange: what others see of the guard, and what only the old one needed. */
static int settle(struct change *c, struct sw_info *info, struct why *why)
{
	struct sw_info before;
	int err = host_maps_info(&c->old, &before);

	*info = install_describe(c->g, c->plan, c->tc);
	info->attached_at_ns = before.attached_at_ns; /* its counters go on too */
	syncookies_leave(c->g);			      /* while the pin says it was compat */
	if (!err)
		err = install_put(&c->host, "info", info);
	if (!err)
		err = install_renew_keys(&c->host, c->plan, c->old_config.epoch_offset_ns);
	if (!err)
		err = install_pin_maps(c->g, &c->host);
	if (!err && c->plan->services)
		err = install_services(&c->host, c->plan->services, why);
	wait_for_tc();
	return err ?: tc_next_keep(c->g, install_tc_way(c->plan->path), why);
}

int install_change(const struct guard *g, const struct plan *plan, const struct xdp_state *running,
		   struct sw_info *ret_info, struct why *why)
{
	struct change c = {.g = g, .plan = plan, .running = running};
	struct why text = {};
	struct sw_info info;
	int err;

	err = install_running_maps(g, running, &c.old, why);
	if (err)
		return err;
	err = load(&c, why);
	if (!err)
		err = install_keep(&c.host, plan, why);
	if (!err)
		err = attach_beside(&c, why);
	if (!err)
		err = exchange(&c, why);
	if (err)
		goto close;
	install_look_again(&c.host);
	err = settle(&c, &info, &text);
	if (err)
		why_is(why, err, "the path is changed, but not all that belongs to it: %s; attach again",
		       text.text[0] ? text.text : strerror(-err));
	else
		*ret_info = info;
close:
	if (err)
		install_let_go(plan);
	host_close(&c.host);
	host_maps_close(&c.old);
	return err;
}
