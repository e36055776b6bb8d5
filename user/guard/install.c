// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "forward.h"
#include "host.h"
#include "install_parts.h"
#include "keys.h"
#include "pins.h"
#include "settings.h"
#include "syncookies.h"
#include "tc.h"

/* Maps that are pinned under their names. secrets is not: a pin could be read. */
static const struct {
	const char *name;
	mode_t mode;
} pinned[] = {
	{"walk", 0600}, /* the timer lives as long as this pin */
	{"config", 0644}, {"listeners", 0600}, {"closed", 0600},     {"known", 0600},
	{"handed", 0600}, {"routes", 0600},    {"counters", 0644},   {"info", 0644},
	{"flows", 0600},  {"direct", 0600},    {"servers", 0600},    {"targets", 0600},
	{"proxy", 0600},  {"trace", 0600},     {"trace_ring", 0600}, {"trace_cpu", 0600},
	{"services", 0644}, {"service_state", 0644}, {"rtt", 0644}, {"events", 0600},
};

/* Maps of a path alone are passed over on the others. */
int install_pin_maps(const struct guard *g, const struct host *host)
{
	int err = pins_make_directory(g), fd;
	size_t i;

	for (i = 0; !err && i < sizeof(pinned) / sizeof(*pinned); i++) {
		fd = object_map(host->base, pinned[i].name);
		if (fd >= 0)
			err = pins_put(g, pinned[i].name, fd, pinned[i].mode);
	}
	return err;
}

int install_put(const struct host *host, const char *map, const void *value)
{
	__u32 zero = 0;

	return bpf_map_update_elem(object_map(host->base, map), &zero, value, BPF_ANY) ? -errno : 0;
}

int install_get(const struct host *host, const char *map, void *ret)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(object_map(host->base, map), &zero, ret) ? -errno : 0;
}

/* Proxy path: the kernel takes the program for tc ingress. */
static bool has_hand(const struct host *host)
{
	return object_program(host->base, OBJECT_HAND) >= 0;
}

int install_settings(const struct guard *g, const struct host *host, const struct plan *plan,
			  __u64 epoch_offset_ns)
{
	struct proxy_settings proxy = {
		.targets = plan->targets,
		.ports_auto = plan->ports_auto,
		.generic = plan->mode == SW_XDP_GENERIC,
		.guarded = g->ifindex,
		.forward = plan->forward,
		.hands_over = plan->hands_over,
		/* Past the stack it is XDP that must have translated all. */
		.after_gro = has_hand(host) && !plan->forward,
		.flow_sets = host_flow_sets(host),
	};
	int err = 0;

	if (plan->path == SW_PATH_PROXY)
		err = targets_fill(object_map(host->base, "targets"),
				   object_map(host->base, "proxy"), &proxy);
	if (err)
		return err;
	return settings_write(object_map(host->base, "config"), object_map(host->base, "routes"),
			      &plan->ports, epoch_offset_ns,
			      plan->beside_nat);
}

static __u64 time_of_day_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

struct sw_info install_describe(const struct guard *g, const struct plan *plan, enum sw_tc_kind tc)
{
	return (struct sw_info){
		.abi = SW_ABI,
		.ifindex = g->ifindex,
		.netns_inode = g->netns_inode,
		.attached_at_ns = time_of_day_ns(),
		.xdp_mode = plan->mode,
		.attach_kind = plan->kind,
		.tc_kind = tc,
		.ports_auto = plan->ports_auto,
		.path = plan->path,
		.forward = plan->forward,
		.version = SW_VERSION,
	};
}

int install_services(const struct host *host, const struct services *s, struct why *why)
{
	struct host_maps maps = {};
	struct services usual;
	int err;

	services_default(&usual, SW_MODE_ALWAYS);
	err = host_maps_keep(host, &maps);
	if (err)
		return why_is(why, err, "cannot open the maps: %s", strerror(-err));
	err = services_apply(&maps, s && s->count ? s : &usual, why);
	host_maps_close(&maps);
	return err;
}

static int fill_maps(const struct guard *g, const struct host *host, const struct plan *plan,
		     struct why *why)
{
	__u64 offset_ns = keys_epoch_offset_ns();
	int err;

	err = keys_fill(object_map(host->base, "secrets"), plan->shared, offset_ns);
	if (!err)
		err = install_settings(g, host, plan, offset_ns);
	if (err)
		return why_is(why, err, "cannot fill the maps: %s", strerror(-err));
	return install_services(host, plan->services, why);
}

int install_keep(const struct host *host, const struct plan *plan, struct why *why)
{
	int err = plan->keep ? host_maps_keep(host, plan->keep) : 0;

	return err ? why_is(why, err, "cannot keep the maps open: %s", strerror(-err)) : 0;
}

void install_let_go(const struct plan *plan)
{
	if (plan->keep)
		host_maps_close(plan->keep);
}

void install_look_again(const struct host *host)
{
	struct why ignored;

	host_start(host, &ignored);
}

enum tc_way install_tc_way(enum sw_path path)
{
	return path == SW_PATH_PROXY ? TC_EGRESS : TC_INGRESS;
}

/* Before XDP leaves anything to it. */
int install_hand(const struct guard *g, const struct host *host, struct why *why)
{
	return has_hand(host) ? tc_hand_attach(g, object_program(host->base, OBJECT_HAND), why) : 0;
}

/* Not every path has a program for tc. */
static int attach_tc(const struct guard *g, const struct host *host, enum sw_tc_kind *ret_kind,
		     struct why *why)
{
	int fd = object_program(host->base, OBJECT_TC);

	if (fd >= 0)
		return tc_attach(g, fd, install_tc_way(host->path), ret_kind, why);
	*ret_kind = SW_TC_NONE;
	return 0;
}

/* What is to be put back is written down, where a detach will find it, before it is changed. */
static int prepare_kernel(const struct guard *g, const struct host *host, struct sw_info *info,
			  struct why *why)
{
	int err = 0;

	if (info->path == SW_PATH_COMPAT && !info->syncookies_before)
		err = syncookies_before(g, &info->syncookies_before, why);
	if (err)
		return err;
	err = install_put(host, "info", info);
	if (err)
		return why_is(why, err, "cannot fill the maps: %s", strerror(-err));
	return info->path == SW_PATH_COMPAT ? syncookies_set(why) : 0;
}

int install_fresh(const struct guard *g, const struct plan *plan, struct sw_info *ret_info,
		  struct why *why)
{
	struct host host = {};
	struct why ignored;
	struct sw_info info;
	enum sw_tc_kind tc;
	int err;

	err = host_load(&host, plan->path, NULL, plan->targets->flows, why);
	if (err)
		return err;
	err = fill_maps(g, &host, plan, why);
	if (err)
		goto close;
	err = host_start(&host, why);
	if (!err)
		err = install_keep(&host, plan, why);
	if (err)
		goto close;
	err = install_pin_maps(g, &host);
	if (err) {
		why_is(why, err, "cannot pin below " GUARD_ROOT ": %s", strerror(-err));
		goto undo;
	}
	err = attach_tc(g, &host, &tc, why);
	if (!err)
		err = install_hand(g, &host, why);
	if (!err)
		err = forward_attach(g, &host, plan->mode, plan->forward, why);
	if (err)
		goto undo;
	info = install_describe(g, plan, tc);
	err = prepare_kernel(g, &host, &info, why);
	if (!err)
		err = xdp_attach(g, &host, plan->mode, plan->kind, why);
	if (err)
		goto undo;
	install_look_again(&host);
	*ret_info = info;
	goto close;
undo:
	install_let_go(plan);
	forward_detach(g);
	tc_detach(g, &ignored);
	syncookies_leave(g);
	pins_drop_all(g);
close:
	host_close(&host);
	return err;
}

int install_running_maps(const struct guard *g, const struct xdp_state *running,
			struct host_maps *ret, struct why *why)
{
	int prog_fd = xdp_open_ours(running), err, fd;
	size_t i;

	err = prog_fd < 0 ? prog_fd : host_maps_of(prog_fd, ret);
	if (prog_fd >= 0)
		close(prog_fd);
	if (err)
		return why_is(why, err, "cannot take over the running guard's maps: %s%s",
			      strerror(-err), err == -EPERM ? "; that needs CAP_SYS_ADMIN" : "");
	/* Some the XDP program does not use: without their pins none would be reused. */
	for (i = 0; !err && i < sizeof(pinned) / sizeof(*pinned); i++) {
		fd = host_maps_fd(ret, pinned[i].name) < 0 ? pins_open(g, pinned[i].name) : -ENOENT;
		if (fd >= 0)
			err = host_maps_add(ret, pinned[i].name, fd);
	}
	if (err) {
		host_maps_close(ret);
		return why_is(why, err, "cannot take over the running guard's maps: %s",
			      strerror(-err));
	}
	return 0;
}

/* Both hooks to the new programs, or none. */
static int switch_programs(const struct guard *g, const struct host *host, const struct plan *plan,
			   const struct xdp_state *running, enum sw_tc_kind *ret_tc,
			   struct why *why)
{
	int tc_fd = object_program(host->base, OBJECT_TC), old_tc = -1, err = 0;
	enum sw_tc_kind tc = SW_TC_NONE;
	struct why ignored;

	if (tc_fd >= 0)
		err = tc_replace(g, tc_fd, install_tc_way(host->path), &tc, &old_tc, why);
	if (err)
		return err;
	err = xdp_replace(g, host, running, plan->kind, NULL, why);
	if (err && old_tc >= 0) {
		int unused = -1;

		tc_replace(g, old_tc, install_tc_way(host->path), &tc, &unused, &ignored);
		if (unused >= 0)
			close(unused);
	}
	if (old_tc >= 0)
		close(old_tc);
	if (!err)
		*ret_tc = tc;
	return err;
}

int install_renew_keys(const struct host *host, const struct plan *plan, __u64 epoch_offset_ns)
{
	int secrets_fd = object_map(host->base, "secrets"), err;
	struct keys_state state;
	struct keys_news ignored;
	__u32 wait_s;

	if (plan->shared)
		return keys_follow(secrets_fd, object_map(host->base, "config"), plan->shared,
				   &ignored);
	err = keys_look(secrets_fd, epoch_offset_ns, &state);
	if (err || state.source == SW_KEYS_SHARED)
		return err;
	err = keys_rotate(secrets_fd, epoch_offset_ns, &wait_s);
	return err == -EAGAIN ? 0 : err;
}

/* After the switch: what the running maps are told, in the order that never refuses a good cookie.
 */
static int renew_maps(const struct guard *g, const struct host *host, const struct plan *plan, struct sw_info *info)
{
	struct sw_config old;
	struct sw_info before;
	int err;

	err = install_get(host, "config", &old);
	if (!err)
		err = install_get(host, "info", &before);
	/* The clock of epochs stays, though the time of day may have been set meanwhile. */
	if (!err)
		err = install_settings(g, host, plan, old.epoch_offset_ns);
	if (!err)
		err = install_renew_keys(host, plan, old.epoch_offset_ns);
	if (err < 0)
		return err;
	info->attached_at_ns = before.attached_at_ns; /* its counters go on too */
	info->syncookies_before = before.syncookies_before;
	return 0;
}

int install_renew(const struct guard *g, const struct plan *plan, const struct xdp_state *running,
		  struct sw_info *ret_info, struct why *why)
{
	struct host_maps maps = {};
	struct host host = {};
	struct sw_info info;
	enum sw_tc_kind tc;
	int err;

	err = install_running_maps(g, running, &maps, why);
	if (err)
		return err;
	err = host_load(&host, plan->path, &maps, plan->targets->flows, why);
	if (err)
		goto close_maps;
	err = install_keep(&host, plan, why);
	if (!err && !host.reused)
		err = fill_maps(g, &host, plan, why);
	if (!err)
		err = host_start(&host, why);
	if (!err)
		err = pins_make_directory(g); /* somebody may have taken it away */
	if (!err)
		err = install_hand(g, &host, why);
	if (!err)
		err = switch_programs(g, &host, plan, running, &tc, why);
	if (!err)
		err = forward_attach(g, &host, plan->mode, plan->forward, why);
	if (err)
		goto close;
	install_look_again(&host);
	info = install_describe(g, plan, tc);
	if (host.reused)
		err = renew_maps(g, &host, plan, &info);
	if (!err && host.reused && plan->services)
		err = install_services(&host, plan->services, why);
	if (!err)
		err = prepare_kernel(g, &host, &info, why);
	/* Another version's maps have changed; a lost pin comes back. */
	if (!err)
		err = install_pin_maps(g, &host);
	if (err)
		why_is(why, err, "the programs are renewed, but not their maps: %s; attach again",
		       strerror(-err));
	else
		*ret_info = info;
close:
	if (err)
		install_let_go(plan);
	host_close(&host);
close_maps:
	host_maps_close(&maps);
	return err;
}
